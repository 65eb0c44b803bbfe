"""`python -m tests.clean_tree COMMAND...`: run a command, and fail if it has left anything in the working tree.

Tracked files that it changed, and files that it left untracked, are named; what was changed before is not held against
it. Outside a git checkout the command is run, and nothing is compared.
"""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def state(folder: Path) -> dict[str, str] | None:
    """Return what git has to say of each file that is not as committed, with a digest of it; None without git."""
    try:
        asked = subprocess.run(
            ["git", "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames"],
            cwd=folder, capture_output=True, check=True,
        )  # fmt: skip
        top = subprocess.run(["git", "rev-parse", "--show-toplevel"], cwd=folder, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    root = Path(top.stdout.decode().rstrip("\n"))
    found: dict[str, str] = {}
    for entry in asked.stdout.decode("utf-8", "surrogateescape").split("\0"):
        if entry:
            path = root / entry[3:]
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[entry[3:]] = entry[:2] + digest
    return found


def main(command: Sequence[str], folder: Path) -> int:
    """Run the command; return its exit code, or 1 if it went well and has left something."""
    before = state(folder)
    code = subprocess.run(command, cwd=folder, check=False).returncode
    after = state(folder)
    if before is None or after is None:
        return code
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    if changed:
        print("the tests have changed the working tree:", *changed, sep="\n  ", file=sys.stderr)
    return code or (1 if changed else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path.cwd()))
