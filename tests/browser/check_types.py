"""Checks the types of the page's modules: `python -m tests.browser.check_types`, a part of `make check`.

A machine without node leaves this out, and says so.
"""

import subprocess
import sys
from pathlib import Path

from tests.browser.environment import tsc, why_not


def main() -> None:
    """Check, and exit with what the checker says."""
    missing = why_not()
    if missing:
        print(f"the types of the page's modules are not checked: {missing}")
        return
    sys.exit(subprocess.run([tsc(), "-p", Path(__file__).with_name("tsconfig.json")], check=False).returncode)


if __name__ == "__main__":
    main()
