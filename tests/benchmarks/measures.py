"""What else a variant of runbundle costs, each in this process: python -m tests.benchmarks.measures tail

- `tail`: a run with one decorated tool every 5 ms, while the sealer works: by how much a call takes longer than the
  same function undecorated, at the 50th and the 99th percentile, in microseconds of wall time.
- `threads`: spans a second of 8 threads with 8 asyncio tasks each, over those of one thread, in one run each.

Beside these two stand the figures of the SDK's own span in the same process: the least that a target can ask for.

- `memory`: what is resident after a tenth of the runs and after all of them, in megabytes.

Each prints one line of JSON.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.benchmarks import workload as work
from tests.benchmarks.resources import resident_mb
from tests.benchmarks.subjects import KEY, VARIANTS, Setting, decorated_tool, ours_raw, raw_call

EVERY_S = 0.005
THREADS, TASKS = 8, 8


def _sdk_tool() -> Callable[..., dict[str, Any]]:
    """Return the workload's tool with a span of the SDK alone, which nobody exports."""
    from opentelemetry.sdk.trace import TracerProvider

    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("bench")

    def search(query: str, limit: int, filters: dict[str, Any], user_email: str) -> dict[str, Any]:
        return raw_call(tracer, limit, "call-1")

    return search


def _calls(search: Callable[..., Any], within: Callable[[int], Any], runs: int) -> list[float]:
    """Return how many microseconds a call in each run took longer than the same function without a span, sorted."""

    def plain(query: str, limit: int, filters: dict[str, Any], user_email: str) -> dict[str, Any]:
        return work.RESULTS[limit]

    without: list[float] = []
    took: list[float] = []
    began = time.perf_counter()
    for number in range(runs):
        arguments = work.ARGUMENTS[number % work.KINDS]
        with within(number):
            before = time.perf_counter_ns()
            plain(**arguments)
            between = time.perf_counter_ns()
            search(**arguments)
            after = time.perf_counter_ns()
        without.append((between - before) / 1000)
        took.append((after - between) / 1000)
        time.sleep(max(0.0, began + (number + 1) * EVERY_S - time.perf_counter()))
    usual = statistics.median(without)
    return sorted(one - usual for one in took)


def tail(options: dict[str, Any], folder: str, runs: int) -> dict[str, float]:
    """Measure single calls, first with spans of the SDK alone."""
    import runbundle

    warm = max(20, runs // 10)
    sdk = _calls(_sdk_tool(), lambda _: contextlib.nullcontext(), warm + runs)
    with runbundle.configure(store=folder, key=KEY, **options) as handle:
        search = decorated_tool()
        _calls(search, lambda number: runbundle.start_run("warm", run_id=f"warm-{number}"), warm)
        handle.flush()
        began = time.perf_counter()
        took = _calls(search, lambda number: runbundle.start_run("demo", run_id=f"run-{number}"), runs)
        rate = runs / (time.perf_counter() - began)
        assert handle.flush()
    return {
        "p50_us": took[runs // 2], "p99_us": took[runs * 99 // 100],
        "sdk_p50_us": sdk[len(sdk) // 2], "sdk_p99_us": sdk[len(sdk) * 99 // 100], "runs_per_s": rate,
    }  # fmt: skip


def _one(search: Callable[..., Any], calls: int) -> float:
    """Return how many calls a second one thread makes."""
    began = time.perf_counter()
    for call in range(calls):
        search(**work.ARGUMENTS[call % work.KINDS])
    return calls / (time.perf_counter() - began)


def _many(search: Callable[..., Awaitable[Any]], calls: int, in_context: Callable[[Any], Any]) -> float:
    """Return how many calls a second the tasks of many threads make."""

    async def tasks() -> None:
        async def task() -> None:
            for call in range(calls // (THREADS * TASKS)):
                await search(**work.ARGUMENTS[call % work.KINDS])
                await asyncio.sleep(0)

        await asyncio.gather(*(task() for _ in range(TASKS)))

    began = time.perf_counter()
    each = [threading.Thread(target=in_context(lambda: asyncio.run(tasks()))) for _ in range(THREADS)]
    for thread in each:
        thread.start()
    for thread in each:
        thread.join()
    return calls // (THREADS * TASKS) * THREADS * TASKS / (time.perf_counter() - began)


def threads(options: dict[str, Any], folder: str, calls: int) -> dict[str, float]:
    """Measure many threads against one, in turns, and the same with spans of the SDK alone."""
    import runbundle

    search, sdk_search = decorated_tool(), _sdk_tool()

    @runbundle.tool(name="search")
    async def search_async(query: str, limit: int, filters: dict[str, Any], user_email: str) -> dict[str, Any]:
        return work.RESULTS[limit]

    async def sdk_search_async(**arguments: Any) -> dict[str, Any]:
        return sdk_search(**arguments)

    found: list[tuple[float, float]] = []
    sdk: list[float] = []
    with runbundle.configure(store=folder, key=KEY, **options) as handle:
        for number in range(4):
            with runbundle.start_run("one", run_id=f"one-{number}"):
                one = _one(search, calls)
            with runbundle.start_run("many", run_id=f"many-{number}"):
                many = _many(search_async, calls, runbundle.in_context)
            assert handle.flush()
            found.append((one, many))
            sdk_one = _one(sdk_search, calls)
            sdk.append(_many(sdk_search_async, calls, lambda work: work) / sdk_one)
    found = found[1:]
    return {
        "one_spans_per_s": statistics.median(one for one, _ in found),
        "many_spans_per_s": statistics.median(many for _, many in found),
        "many_over_one": statistics.median(many / one for one, many in found),
        "sdk_many_over_one": statistics.median(sdk[1:]),
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
