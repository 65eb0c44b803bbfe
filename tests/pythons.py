"""Run the unit tests on every Python of this machine, and on the lowest versions: `python -m tests.pythons [NAME]...`.

Each gets an environment of its own below `.cache/pythons`, which `uv`, from the package index, fills and a second run
uses again. Every Python has the versions of constraints.txt, and runs the tests twice: without the native core, and
with its wheel, which is the same for all, if cargo or a wheel made earlier is there. The oldest has two environments
more, of the lowest versions that pyproject.toml allows: `lowest`, where what an extra or a test tool needs may lift a
version of the package's own dependencies, runs the unit tests too; `lowest-core`, of the package alone, runs the demo.
Prints a line for each, and fails if one of them did. With names, such as 3.13 or lowest, only those are tried.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache" / "pythons"
OLDEST = (3, 11)
_ASK = "import sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name)"


def found(uv: Path) -> dict[str, Path]:
    """Return one interpreter for each version from the oldest that is allowed: on PATH, of pyenv, or known to uv."""
    names = [f"python3.{minor}" for minor in range(OLDEST[1], 30)]
    places = [Path(path) for name in names if (path := shutil.which(name))]
    places += sorted((Path.home() / ".pyenv" / "versions").glob("3.*/bin/python"))
    listed = subprocess.run([uv, "python", "list", "--only-installed"], capture_output=True, text=True, check=False)
    places += [Path(line.split()[1]) for line in listed.stdout.splitlines() if len(line.split()) > 1]
    pythons: dict[str, Path] = {}
    for place in places:
        asked = subprocess.run([place, "-c", _ASK], capture_output=True, text=True, check=False)
        match = re.fullmatch(r"3\.(\d+) cpython", asked.stdout.strip())  # a shim of pyenv answers for what is there
        if match and int(match[1]) >= OLDEST[1]:
            pythons.setdefault(f"3.{match[1]}", place)
    return dict(sorted(pythons.items(), key=lambda item: int(item[0].split(".")[1])))


def tool() -> Path:
    """Return uv, installed into an environment of its own."""
    uv = CACHE / "uv" / "bin" / "uv"
    if not uv.exists():
        subprocess.run([sys.executable, "-m", "venv", CACHE / "uv"], check=True)
        subprocess.run([CACHE / "uv" / "bin" / "python", "-m", "pip", "install", "--quiet", "uv"], check=True)
    return uv


def native_wheel() -> Path | None:
    """Return the wheel of the native core, which is built unless it was; None without cargo."""
    done = subprocess.run(
        [ROOT / "native" / "build.sh", sys.executable, "-m", "pip"], stdout=subprocess.PIPE, text=True, check=False
    )
    return Path(done.stdout.strip()) if done.returncode == 0 else None


def passes(uv: Path, name: str, python: Path, requirement: str, *options: str, native: Path | None = None) -> bool:
    """Fill an environment, run the unit tests or the demo there, and print how it went.

    With `native` the tests run again with that wheel in place, and have to use it.
    """
    inside = CACHE / name / "bin" / "python"
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        demo = ["-W", "error", "-m", "runbundle", "demo"]
        test = ["-m", "pytest", "-p", "no:cacheprovider", "tests/unit", "-m"]
        parallel = ["not alone", "--numprocesses=logical", "--dist=worksteal"]
        uses = [[*test, *parallel], [*test, "alone"]] if "dev" in requirement else [demo]
        commands: list[list[str | Path]] = [
            [uv, "venv", "--quiet", "--allow-existing", "--python", python, CACHE / name],
            [uv, "pip", "install", "--quiet", "--python", inside, *options, "--editable", requirement],
            [uv, "pip", "uninstall", "--quiet", "--python", inside, "runbundle-native"],
            *([inside, *use] for use in uses),
        ]
        if native is not None:
            commands += [
                [uv, "pip", "install", "--quiet", "--python", inside, "--no-deps", "--reinstall", native],
                [inside, "-c", "from runbundle.core.native import module; assert module() is not None"],
                *([inside, *use] for use in uses),
            ]
        for command in commands:
            environment = {**os.environ, "RUNBUNDLE_STORE": scratch, "PYTHONDONTWRITEBYTECODE": ""}
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{name}: FAILED after {time.monotonic() - began:.0f} s: {' '.join(map(str, command))}")
                print((done.stdout + done.stderr)[-6000:], flush=True)
                return False
    print(f"{name}: passed, {time.monotonic() - began:.0f} s", flush=True)
    return True


def main(wanted: Sequence[str] = ()) -> int:
    """Run them all, or those that are wanted; return the exit code."""
    CACHE.mkdir(parents=True, exist_ok=True)
    uv = tool()
    pythons = found(uv)
    print("found:", ", ".join(f"{version} ({path})" for version, path in pythons.items()), flush=True)
    oldest, lowest = next(iter(pythons.values())), ("--resolution", "lowest-direct")
    native = native_wheel()
    print("native core:", native.name if native is not None else "not tried, no cargo", flush=True)
    tries = {
        "lowest-core": partial(passes, uv, "lowest-core", oldest, ".", *lowest),
        "lowest": partial(passes, uv, "lowest", oldest, ".[all,dev]", *lowest),
    }
    for name, path in pythons.items():
        tries[name] = partial(passes, uv, name, path, ".[all,dev]", "--constraint", "constraints.txt", native=native)
    if unknown := set(wanted) - tries.keys():
        print(f"not here: {', '.join(sorted(unknown))}; there are {', '.join(tries)}")
        return 2
    went = [tried() for name, tried in tries.items() if not wanted or name in wanted]
    return 0 if all(went) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
