"""Draws the picture of the guide: `python -m tests.browser.picture` writes docs/picture/view.png.

It shows the run of `runbundle demo`, which has a call that policy refused.
"""

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from runbundle.store import LocalStore
from runbundle.view.server import Server
from tests.browser import environment
from tests.browser.chromium import Browser
from tests.browser.conftest import opened

PICTURE = Path(__file__).parents[2] / "docs" / "picture" / "view.png"


def main() -> None:
    """Run the demo, open it, and draw it."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        subprocess.run([sys.executable, "-m", "runbundle", "demo", "--store", store], check=True, capture_output=True)
        [run] = [path.parent.name for path in store.glob("*/run.json")]
        server = Server(LocalStore(store))
        threading.Thread(target=server.run, daemon=True).start()
        browser = Browser(environment.chromium(), Path(folder) / "profile")
        page = browser.page(width=1280, height=720)
        opened(page, server.link(run))
        page.wait("document.querySelector('.detail section.fault') !== null")
        print(page.picture(PICTURE))
        browser.close()
        server.stop()


if __name__ == "__main__":
    main()
