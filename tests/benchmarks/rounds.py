"""Rounds: each runs all subjects once, in processes of their own, in the same order; and what follows from them.

A machine is not the same twice, so what counts is the ratio of two figures of one round; of several rounds, its median.
"""

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.subjects import QUEUE, Subject
from tests.interop.environments import ROOT, environment

ENVIRONMENT = "benchmarks/peers"
_TIMEOUT_S = 900
_LOST = "Failed to export"
"""What exporters log of spans that they could not send; such spans cost too little."""

Figures = dict[str, float]
"""What one process measured."""
Round = dict[str, Figures]
"""Of each subject, by its key."""


class Bench(NamedTuple):
    """Where benchmarks run."""

    folder: Path
    """For all that they write; removed at the end alone, for ext4 is slow at making files after removing others."""
    receiver: str
    """The URL of what takes everything."""
    python: Path
    """In the peers' environment, which holds runbundle's dependencies too."""
    native: bool
    """Whether the native core is there."""


class Failed(Exception):
    """A benchmark's process failed."""


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """Make the environment if it is not there, serve a receiver, and leave nothing behind, also when terminated."""
    python = environment(ENVIRONMENT) / "bin" / "python"
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with tempfile.TemporaryDirectory(prefix="runbundle-bench-") as name, receiver() as url:
            folder = Path(name)
            yield Bench(folder, url, python, unpack_native(folder, ROOT))
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def receiver() -> Iterator[str]:
    """Serve what takes everything, in a process of its own; give its URL."""
    command = [sys.executable, "-m", "tests.benchmarks.receiver"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.communicate("")  # it ends with its input


def native_folder(folder: Path, source: Path) -> Path:
    """Return where the native core of a checkout is unpacked: never within this checkout."""
    return (folder if source == ROOT else source) / "native-core"


def unpack_native(folder: Path, source: Path) -> bool:
    """Unpack the native core that a checkout's sources make, built if it was not; return whether there is one."""
    build = source / "native" / "build.sh"
    if not build.exists():
        return False
    done = subprocess.run([build, sys.executable, "-m", "pip"], capture_output=True, text=True, check=False)
    if done.returncode:
        return False
    with zipfile.ZipFile(done.stdout.strip()) as wheel:
        wheel.extractall(native_folder(folder, source))
    return True


def variables_of(folder: Path, source: Path, more: dict[str, str]) -> dict[str, str]:
    """Return the environment of a benchmark's process: nothing of this user, and the code of `source`."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONPATH": os.pathsep.join(map(str, (source / "src", ROOT, native_folder(folder, source)))),
        "PYTHONHASHSEED": "0",
        "RUNBUNDLE_KEYS": str(folder / "keys"),
        "RUNBUNDLE_CACHE": str(folder / "cache"),
        "OTEL_BSP_MAX_QUEUE_SIZE": str(QUEUE),
        "NO_PROXY": "127.0.0.1",
        "PYDANTIC_DISABLE_PLUGINS": "__all__",  # Logfire's would be loaded by others that use pydantic
        **more,
    }


def run(bench: Bench, module: str, *arguments: object, source: Path = ROOT, **variables: str) -> Figures:
    """Run a module of the benchmarks in a process of its own; return what it printed last. Raise `Failed`."""
    command = [str(bench.python), "-m", f"tests.benchmarks.{module}", *map(str, arguments)]
    folder = tempfile.mkdtemp(dir=bench.folder)
    try:
        done = subprocess.run(
            command, cwd=folder, env=variables_of(bench.folder, source, variables), capture_output=True, text=True,
            timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(command[2:])}: took more than {_TIMEOUT_S} s") from error
    if done.returncode or not done.stdout.strip() or _LOST in done.stderr:
        raise Failed(f"{' '.join(command[2:])}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def emitted(bench: Bench, subject: Subject, runs: int, *more: object, source: Path = ROOT) -> Figures:
    """Run one subject."""
    place = tempfile.mkdtemp(dir=bench.folder)
    given = (subject.key, "--runs", runs, "--folder", place, "--receiver", bench.receiver, *more)
    return run(bench, "emit", *given, source=source, **subject.variables)


def alternate(
    bench: Bench, subjects: Sequence[Subject], rounds: int, runs: int, say: Callable[[str], None] = lambda _: None
) -> Iterator[Round]:
    """Yield rounds. One run of ours goes before and is not counted: it fills the cache of compiled rules."""
    for subject in [subject for subject in subjects if subject.is_ours][:1]:
        say("compiling the rules")
        emitted(bench, subject, 1)
    for number in range(1, rounds + 1):
        found: Round = {}
        for subject in subjects:
            say(f"round {number} of {rounds}: {subject.title}")
            found[subject.key] = emitted(bench, subject, runs)
        yield found


def ratios(rounds: Iterable[Round], of: str, over: str, figure: str) -> list[float]:
    """Return, round by round, one subject's figure over another's. A round without one of them gives none."""
    return [each[of][figure] / each[over][figure] for each in rounds if of in each and over in each]


def ratio(rounds: Iterable[Round], of: str, over: str, figure: str) -> float:
    """Return the median of the rounds' ratios; not a number if there is none."""
    found = ratios(rounds, of, over, figure)
    return statistics.median(found) if found else float("nan")


def median(rounds: Iterable[Round], of: str, figure: str) -> float:
    """Return the median of a subject's figure; not a number if there is none."""
    found = [each[of][figure] for each in rounds if of in each]
    return statistics.median(found) if found else float("nan")


def progress(text: str) -> None:
    """Show what is being done, in place on a terminal, as lines elsewhere; nothing with an empty text."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text[:79]}")
    elif text:
        sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
