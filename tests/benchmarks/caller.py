"""What the agent's own thread pays for a span, and whether many threads at once hold each other up.

python -m tests.benchmarks.caller

(a) CPU time of the calling thread for one decorated tool span, durable to the operating system, against one span of
the bare SDK with a no-op exporter behind its BatchSpanProcessor. (b) Spans a second of 8 threads with 8 asyncio tasks
each, against those of one thread. Rounds alternate; medians.
"""

import asyncio
import statistics
import tempfile
import threading
import time
from collections.abc import Callable

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import runbundle
from tests.benchmarks.pipeline import Nothing

SPANS, ROUNDS = 3000, 7


@runbundle.tool
def lookup(word: str, page: int) -> dict[str, object]:
    """Return something small."""
    return {"word": word, "page": page, "found": True}


@runbundle.tool
async def lookup_async(word: str, page: int) -> dict[str, object]:
    """Return something small."""
    return {"word": word, "page": page, "found": True}


def thread_us(function: Callable[[], None]) -> float:
    """Return microseconds of this thread's CPU time a span."""
    begun = time.thread_time_ns()
    function()
    return (time.thread_time_ns() - begun) / SPANS / 1000


def caller() -> tuple[float, float]:
    """Return microseconds a span: bare, and ours."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nothing()))
    tracer = provider.get_tracer("bare")

    def bare() -> None:
        with tracer.start_as_current_span("run"):
            for page in range(SPANS):
                with tracer.start_as_current_span("execute_tool lookup", attributes={
                    "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "lookup",
                    "gen_ai.tool.call.arguments": '{"word":"bundle","page":1}',
                }) as span:  # fmt: skip
                    span.set_attribute("gen_ai.tool.call.result", f'{{"word":"bundle","page":{page},"found":true}}')

    def ours() -> None:
        with runbundle.start_run("r"):
            for page in range(SPANS):
                lookup("bundle", page)

    theirs_us: list[float] = []
    ours_us: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        runbundle.configure(store=folder, key=b"a key for benchmarks") as handle,
    ):
        for _ in range(ROUNDS):
            theirs_us.append(thread_us(bare))
            ours_us.append(thread_us(ours))
            handle.flush()
    provider.shutdown()
    return statistics.median(theirs_us), statistics.median(ours_us)


def convoy() -> tuple[float, float]:
    """Return spans a second: of one thread, and of 8 threads with 8 tasks each."""

    def one() -> float:
        begun = time.perf_counter()
        with runbundle.start_run("one"):
            for page in range(SPANS):
                lookup("bundle", page)
        return SPANS / (time.perf_counter() - begun)

    async def tasks() -> None:
        async def task() -> None:
            for page in range(SPANS // 64):
                await lookup_async("bundle", page)
                await asyncio.sleep(0)

        await asyncio.gather(*(task() for _ in range(8)))

    def many() -> float:
        begun = time.perf_counter()
        with runbundle.start_run("many"):
            threads = [threading.Thread(target=runbundle.in_context(lambda: asyncio.run(tasks()))) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return SPANS // 64 * 64 / (time.perf_counter() - begun)

    singles: list[float] = []
    crowds: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        runbundle.configure(store=folder, key=b"a key for benchmarks") as handle,
    ):
        for _ in range(ROUNDS):
            singles.append(one())
            handle.flush()
            crowds.append(many())
            handle.flush()
    return statistics.median(singles), statistics.median(crowds)


if __name__ == "__main__":
    theirs, mine = caller()
    print(f"caller   bare SDK {theirs:5.1f} us a span, runbundle {mine:5.1f}: {mine / theirs:.1f} times (target 1.5)")
    single, crowd = convoy()
    print(f"convoy   1 thread {single:.0f} spans/s, 8 x 8 {crowd:.0f}: {crowd / single:.2f} of it (target 0.8)")
