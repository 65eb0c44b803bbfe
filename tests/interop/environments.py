"""Environments for the frameworks, which do not all go together: `python -m tests.interop.environments`.

Each is named by a file of exact versions in `requirements/`, made once and used again by every checkout until that file
changes. They lie in the user's cache, or where RUNBUNDLE_TEST_ENVIRONMENTS says; an old one is removed when its
successor is made. None of them holds runbundle: it is taken from the checkout, with its entry points.

`python -m tests.interop.environments --pin` makes the files of exact versions anew from the `.in` beside them.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).parent / "requirements"
NAMES = tuple(sorted(path.stem for path in REQUIREMENTS.glob("*.txt")))
_OLDEST = "3.11"


def place() -> Path:
    """Return the folder of all environments."""
    said = os.environ.get("RUNBUNDLE_TEST_ENVIRONMENTS")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(said) if said else Path(cache) / "runbundle-tests"


def environment(name: str) -> Path:
    """Return the folder of an environment, which is made if it is not there. Several processes may ask at once."""
    pinned = REQUIREMENTS / f"{name}.txt"
    digest = hashlib.sha256(pinned.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = place() / f"{name}-{digest}"
    if (folder / ".ready").exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (place() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / ".ready").exists():
            return folder
        for old in place().glob(f"{name}-*"):
            shutil.rmtree(old)
        uv = _uv()
        _run(uv, "venv", "--quiet", "--python", sys.executable, folder)
        _run(uv, "pip", "install", "--quiet", "--no-deps", "--python", folder / "bin" / "python", "-r", pinned)
        (folder / ".ready").touch()
    return folder


def pins(name: str) -> dict[str, str]:
    """Return the versions of an environment, by package."""
    lines = (line.split("==") for line in (REQUIREMENTS / f"{name}.txt").read_text().splitlines() if "==" in line)
    return {package: version.split(" ")[0] for package, version in lines}


def entry_points(folder: Path) -> Path:
    """Write the entry points of the checkout's package into a folder, as an installation has them; return it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    info = folder / f"runbundle-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: runbundle\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    lines = [f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in of.items()) for group, of in groups]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder


def _uv() -> Path:
    """Return uv, from the package index, in an environment of its own."""
    folder = place() / "uv"
    uv = folder / "bin" / "uv"
    with (place() / "uv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not uv.exists():
            _run(sys.executable, "-m", "venv", folder)
            _run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv")
    return uv


def _run(*command: object) -> None:
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def pin() -> None:
    """Resolve each `.in`, with what runbundle itself depends on, into exact versions."""
    place().mkdir(parents=True, exist_ok=True)
    uv = _uv()
    for given in sorted(REQUIREMENTS.rglob("*.in")):
        out = given.with_suffix(".txt")
        options = ("--quiet", "--no-header", "--no-annotate", "--python-version", _OLDEST, "--upgrade")
        _run(uv, "pip", "compile", *options, given, ROOT / "pyproject.toml", "-o", out)


def main() -> None:
    """Make all environments, and say how long each took."""
    if "--pin" in sys.argv:
        pin()
    for name in NAMES:
        began = time.monotonic()
        folder = environment(name)
        print(f"{folder.name}: {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
