"""What else a variant of runbundle costs, each in this process: python -m tests.benchmarks.measures tail

- `tail`: a run with one decorated tool every 5 ms, while the sealer works: by how much a call takes longer than the
  same function undecorated, at the 50th and the 99th percentile, in microseconds of wall time.
- `threads`: spans a second of 8 threads with 8 asyncio tasks each, over those of one thread, in one run each.
- `memory`: what is resident after a tenth of the runs and after all of them, in megabytes.

Each prints one line of JSON.
"""

import argparse
import asyncio
import gc
import json
import statistics
import tempfile
import threading
import time
from typing import Any

from tests.benchmarks import workload as work
from tests.benchmarks.resources import resident_mb
from tests.benchmarks.subjects import KEY, VARIANTS, Setting, decorated_tool, ours_raw

EVERY_S = 0.005
THREADS, TASKS = 8, 8


def tail(options: dict[str, Any], folder: str, runs: int) -> dict[str, float]:
    """Measure single calls."""
    import runbundle

    search = decorated_tool()
    plain: Any = search.__wrapped__  # type: ignore[attr-defined]
    without: list[float] = []
    took: list[float] = []
    warm = max(20, runs // 10)
    with runbundle.configure(store=folder, key=KEY, **options) as handle:
        for number in range(warm):
            with runbundle.start_run("warm", run_id=f"warm-{number}"):
                search(**work.ARGUMENTS[number % work.KINDS])
        handle.flush()
        began = time.perf_counter()
        for number in range(runs):
            arguments = work.ARGUMENTS[number % work.KINDS]
            with runbundle.start_run("demo", run_id=f"run-{number}"):
                before = time.perf_counter_ns()
                plain(**arguments)
                between = time.perf_counter_ns()
                search(**arguments)
                after = time.perf_counter_ns()
            without.append((between - before) / 1000)
            took.append((after - between) / 1000)
            time.sleep(max(0.0, began + (number + 1) * EVERY_S - time.perf_counter()))
        rate = runs / (time.perf_counter() - began)
        assert handle.flush()
    usual = statistics.median(without)
    took.sort()
    return {"p50_us": took[runs // 2] - usual, "p99_us": took[runs * 99 // 100] - usual, "runs_per_s": rate}


def threads(options: dict[str, Any], folder: str, calls: int) -> dict[str, float]:
    """Measure many threads against one, in turns."""
    import runbundle

    search = decorated_tool()

    @runbundle.tool(name="search")
    async def search_async(query: str, limit: int, filters: dict[str, Any], user_email: str) -> dict[str, Any]:
        return work.RESULTS[limit]

    def one(number: int) -> float:
        began = time.perf_counter()
        with runbundle.start_run("one", run_id=f"one-{number}"):
            for call in range(calls):
                search(**work.ARGUMENTS[call % work.KINDS])
        return calls / (time.perf_counter() - began)

    async def tasks() -> None:
        async def task() -> None:
            for call in range(calls // (THREADS * TASKS)):
                await search_async(**work.ARGUMENTS[call % work.KINDS])
                await asyncio.sleep(0)

        await asyncio.gather(*(task() for _ in range(TASKS)))

    def many(number: int) -> float:
        began = time.perf_counter()
        with runbundle.start_run("many", run_id=f"many-{number}"):
            each = [threading.Thread(target=runbundle.in_context(lambda: asyncio.run(tasks()))) for _ in range(THREADS)]
            for thread in each:
                thread.start()
            for thread in each:
                thread.join()
        return calls // (THREADS * TASKS) * THREADS * TASKS / (time.perf_counter() - began)

    found: list[tuple[float, float]] = []
    with runbundle.configure(store=folder, key=KEY, **options) as handle:
        for number in range(4):
            pair = one(number), many(number)
            assert handle.flush()
            found.append(pair)
    found = found[1:]
    return {
        "one_spans_per_s": statistics.median(one for one, _ in found),
        "many_spans_per_s": statistics.median(many for _, many in found),
        "many_over_one": statistics.median(many / one for one, many in found),
    }


def memory(options: dict[str, Any], folder: str, runs: int) -> dict[str, float]:
    """Measure the memory early and late."""
    running = ours_raw(Setting(folder, "", work.STEPS, options))
    early = 0.0
    for number in range(runs):
        running.run(number)
        if number % 50 == 49:
            running.flush()
        if number == runs // 10:
            gc.collect()
            early = resident_mb()
    running.flush()
    gc.collect()
    found = {"early_mb": early, "late_mb": resident_mb()}
    running.finish()
    return found


MEASURES = {"tail": (tail, 1000), "threads": (threads, 1920), "memory": (memory, 600)}
"""Each with how many runs or calls it takes."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.measures", description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )  # fmt: skip
    parser.add_argument("measure", choices=tuple(MEASURES))
    parser.add_argument("--variant", choices=[variant.key for variant in VARIANTS], default=VARIANTS[0].key)
    parser.add_argument("--times", type=int, default=0, help="runs or calls; by default enough of them")
    given = parser.parse_args()
    measure, usual = MEASURES[given.measure]
    options = next(variant.options for variant in VARIANTS if variant.key == given.variant)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(options, folder, given.times or usual)))


if __name__ == "__main__":
    main()
