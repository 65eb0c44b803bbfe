"""The fuzz targets of native/fuzz, which look for inputs by what these make the core do: `python -m
tests.fuzz.native_targets [SECONDS]`, by default 60 for each target. `make fuzz FUZZ_SECONDS=600` does the same.

Each begins with the inputs that are kept in native/corpus below its name. What it finds on its way stays in .cache/fuzz
for the next time, and so does an input that breaks a law; such a one is then put into native/corpus.
"""

import subprocess
import sys
from pathlib import Path

from tests.fuzz.native_readers import CORPUS

NAMES = ("json", "journal", "seal", "bundle")
_ROOT = Path(__file__).parents[2]
_FUZZ = _ROOT / "native" / "fuzz"
_SLOWEST_S = 10
_MOST_MB = 2048


class Missing(Exception):
    """What is needed to build the targets is not on this machine."""


def built() -> Path:
    """Build the targets, unless that was done for these sources, and return their folder; the first time takes a minute
    or two. Raises `Missing` without cargo or a compiler for C++.
    """
    done = subprocess.run([_FUZZ / "build.sh"], capture_output=True, text=True, check=False)
    if done.returncode == 2:
        raise Missing(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def command(folder: Path, name: str, scratch: Path, *limits: str) -> list[str | Path]:
    """Return the command that runs a target: new inputs, and one that breaks a law, go below `scratch`.

    `limits` are options of libFuzzer that say when it ends.
    """
    found = scratch / name
    found.mkdir(parents=True, exist_ok=True)
    return [
        folder / name, *limits, f"-timeout={_SLOWEST_S}", f"-rss_limit_mb={_MOST_MB}", f"-dict={_FUZZ / 'tokens.dict'}",
        f"-artifact_prefix={scratch}/{name}-", "-print_final_stats=1", "-verbosity=0", found, CORPUS / name,
    ]  # fmt: skip


def main(seconds: int) -> int:
    """Run each target for so long; return 1 if any found an input that breaks a law."""
    try:
        folder = built()
    except Missing as missing:
        print(missing)
        return 2
    failed = 0
    for name in NAMES:
        print(f"{name}: {seconds} s", flush=True)
        told = command(folder, name, _ROOT / ".cache" / "fuzz", f"-max_total_time={seconds}")
        failed |= subprocess.run(told, check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 60))
