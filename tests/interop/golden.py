"""Write the golden dumps anew: `python -m tests.interop.golden [NAME…]`, as `openai_agents.openinference`.

An upgrade of a framework or of an instrumentation makes another file, and leaves the older one: bundles of both are
tried.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from tests.interop import dumps
from tests.interop.combinations import COMBINATIONS, Combination
from tests.interop.environments import ROOT, environment
from tests.interop.running import dump
from tests.interop.stub import Stub


def fresh(combination: Combination, folder: Path, url: str) -> dumps.Dump:
    """Run the application of a combination; return what it emitted, settled."""
    made = dump(combination.application, combination.dialect, combination.environment, folder, url)
    port = str(urlsplit(url).port)
    replaced = {
        str(environment(combination.environment)): "/environment",
        str(ROOT): "/checkout",
        str(folder): "/folder",
        str(Path(sys.base_prefix)): "/python",
        f":{port}": ":8080",
        f'"server.port": {port}': '"server.port": 8080',
    }
    return dumps.settled(made, replaced, packages=combination.versions)


def main() -> None:
    """Write the dumps that are named, or all."""
    names = sys.argv[1:]
    with Stub() as stub:
        for combination in COMBINATIONS:
            if names and combination.name not in names:
                continue
            folder = Path(tempfile.mkdtemp())
            made = fresh(combination, folder, stub.url)
            dumps.save(made, combination.golden)
            shutil.rmtree(folder)
            print(f"{combination.golden.name}: {len(made['spans'])} spans, {combination.golden.stat().st_size} bytes")


if __name__ == "__main__":
    main()
