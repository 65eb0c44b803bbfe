"""One subject in this process: emit its runs, and print one line of JSON with what that took.

    python -m tests.benchmarks.emit floor --runs 100

Some runs go before, and are flushed, so that nothing is measured for being done first. With `--warm 0` they do not, and
`ready_s` says how long it took from the first import until the last run had returned. Of CPU and memory, this process
and all below it are counted.
"""

import argparse
import gc
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks import workload as work
from tests.benchmarks.resources import cpu_s, peak_mb
from tests.benchmarks.subjects import BY_KEY, Running, Setting

MOST_RUNS = 1000
"""A flush names so many bundles at most."""


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    made = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.emit", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    made.add_argument("subject", choices=tuple(BY_KEY))
    made.add_argument("--runs", type=int, default=100)
    made.add_argument("--warm", type=int, default=5, help="runs that go before")
    made.add_argument("--steps", type=int, default=work.STEPS, help="steps of a run; 0 leaves its root")
    made.add_argument("--folder", help="where it writes; by default a temporary folder")
    made.add_argument("--receiver", default="http://127.0.0.1:9")
    return made


def setting_of(given: argparse.Namespace, folder: str) -> Setting:
    """Return where a subject runs."""
    return Setting(f"{folder}/store", given.receiver, given.steps, BY_KEY[given.subject].options)


def emit(running: Running, numbers: range) -> None:
    """Do runs."""
    for number in numbers:
        running.run(number)


def flush(running: Running, runs: int) -> None:
    """Wait until all is where it goes. Raise `RuntimeError` if it is not."""
    arrived = running.flush()
    if arrived not in (-1, runs):
        raise RuntimeError(f"{arrived} of {runs} runs arrived")


def measured(given: argparse.Namespace, folder: str) -> dict[str, Any]:
    """Do everything; return the figures."""
    if given.warm:  # else it is asked how fast it is there, and how much memory that takes
        work.fill(work.MANY)
    began = time.perf_counter()
    running = BY_KEY[given.subject].make(setting_of(given, folder))
    if given.warm:
        emit(running, range(given.runs, given.runs + given.warm))
        flush(running, given.warm)
        gc.collect()
    total_s, caller_s = cpu_s(), time.thread_time()
    emit(running, range(given.runs))
    caller_s, ready_s = time.thread_time() - caller_s, time.perf_counter() - began
    flush(running, given.runs)
    peak = peak_mb()
    running.finish()
    total_s = cpu_s() - total_s
    spans = given.runs * work.spans_of(given.steps)
    return {
        "runs": given.runs, "spans": spans,
        "caller_us": caller_s / spans * 1e6, "total_us": total_s / spans * 1e6,
        "ready_s": ready_s, "peak_mb": peak,
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    given = parser().parse_args()
    if given.runs > MOST_RUNS:
        raise SystemExit(f"--runs: at most {MOST_RUNS}")
    random.seed(0)  # ids of spans
    if given.folder:
        Path(given.folder).mkdir(parents=True, exist_ok=True)
        print(json.dumps(measured(given, given.folder)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measured(given, folder)))


if __name__ == "__main__":
    main()
