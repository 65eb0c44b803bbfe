"""The browser of the tests, an accessibility checker and a type checker, from the npm registry.

They are installed once for each content of the lock file, into the user's cache, where RUNBUNDLE_TEST_ENVIRONMENTS or
XDG_CACHE_HOME may name another place. `python -m tests.browser.environment` installs them and says where they are.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from tests.interop.environments import place

_HERE = Path(__file__).parent
_PINS = ("package.json", "package-lock.json")
_UNPACK = """
import chromium from "@sparticuz/chromium";
console.log(await chromium.executablePath());
"""


def why_not() -> str:
    """Return why there can be no browser on this machine; "" if there can."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "there is no node and npm"
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "AMD64"):
        return "the browser is built for Linux on x86-64"
    return ""


def environment() -> Path:
    """Return the folder in which they are installed, which is done if it was not. Several processes may ask at once."""
    pins = hashlib.sha256(b"".join((_HERE / name).read_bytes() for name in _PINS))
    folder = place() / f"browser-{pins.hexdigest()[:12]}"
    if (folder / ".ready").exists():
        return folder
    place().mkdir(parents=True, exist_ok=True)
    with (place() / "browser.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / ".ready").exists():
            return folder
        for old in place().glob("browser-*"):
            shutil.rmtree(old)
        folder.mkdir()
        for name in _PINS:
            shutil.copy(_HERE / name, folder)
        (folder / "unpack.mjs").write_text(_UNPACK)
        _run(folder, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
        (folder / "bin").mkdir()
        _run(folder, "node", "unpack.mjs")
        (folder / ".ready").touch()
    return folder


def chromium() -> Path:
    """Return the browser's program."""
    return environment() / "bin" / "chromium"


def axe() -> str:
    """Return the script of the accessibility checker."""
    return (environment() / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


def tsc() -> Path:
    """Return the type checker."""
    return environment() / "node_modules" / ".bin" / "tsc"


def _run(folder: Path, *command: str) -> None:
    unpacked = {**os.environ, "TMPDIR": str(folder / "bin")} if command[0] == "node" else dict(os.environ)
    done = subprocess.run(command, cwd=folder, env=unpacked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def main() -> None:
    """Install, and say where."""
    print(why_not() or environment())


if __name__ == "__main__":
    main()
