"""A disk that really fills up, and is remounted read-only while the process works on."""

import os
import subprocess
import sys
from pathlib import Path

_NAMESPACES = (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"])
_REPOSITORY = Path(__file__).parents[2]


def way(place: Path) -> tuple[list[str], str]:
    """Return how to run a program that mounts: in a namespace of its own; else with a limit in place of a disk."""
    for prefix in _NAMESPACES:
        tried = [*prefix, "mount", "-t", "tmpfs", "tmpfs", str(place)]
        try:
            if subprocess.run(tried, capture_output=True, check=False).returncode == 0:
                return prefix, "tmpfs"
        except FileNotFoundError:
            continue
    return [], "limit"


def run(prefix: list[str], place: Path, mode: str) -> str:
    """Run the program; return what it printed."""
    command = [*prefix, sys.executable, "-m", "tests.crash.full_disk", str(place), mode]
    done = subprocess.run(command, cwd=_REPOSITORY, env={**os.environ}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_disk_fills_up_and_becomes_read_only(tmp_path: Path) -> None:
    """The agent goes on, every lost record is counted, the others are in bundles that verify."""
    prefix, mode = way(tmp_path)
    assert run(prefix, tmp_path / "disk", mode).startswith(mode)


def test_files_may_not_grow(tmp_path: Path) -> None:
    """The same with a limit on the size of files in place of a disk, which needs no rights at all."""
    assert run([], tmp_path / "disk", "limit").startswith("limit")
