"""What a run costs whatever its length, and how much of it is the seal: `python -m tests.benchmarks.run_cost [RUNS]`.

Runs of 1 and of 31 spans are recorded, with nothing sealed meanwhile, and then sealed, all due at once: so the two do
not take the interpreter from each other. Then the same again with both side by side, as an agent has it. Printed are
microseconds a run: CPU of this process, all threads, and wall time; the median of the rounds. All stores are kept until
the end, since ext4 is slow at making files for some seconds after others were deleted.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import runbundle
from runbundle.recording.sealer import Sealer

RUNS, ROUNDS, SPANS = 200, 5, (1, 31)


def one_run(spans: int) -> None:
    """Record a run of that many spans: its own, and tool calls."""
    with runbundle.start_run("r"):
        for number in range(spans - 1):
            call = runbundle.start_tool("search", {"query": "weather in Bremen", "limit": number})
            with call:
                call.set_output({"hits": ["x" * 40] * 5})


def measured(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """Return microseconds of CPU and of wall time a run."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return (time.process_time() - cpu) / runs * 1e6, (time.perf_counter() - wall) / runs * 1e6


def one_round(folder: Path, spans: int, runs: int) -> dict[str, tuple[float, float]]:
    """Return what recording, sealing, and both at once cost."""
    found: dict[str, tuple[float, float]] = {}
    start_thread = Sealer._start_thread  # pyright: ignore[reportPrivateUsage]
    with runbundle.configure(store=folder / "apart", key=b"a key for benchmarks", recover=False) as handle:

        def record() -> None:
            for _ in range(runs):
                one_run(spans)

        record()
        handle.flush()
        Sealer._start_thread = lambda _: None  # type: ignore[method-assign]  # pyright: ignore[reportPrivateUsage]
        sealer = handle.recorder._sealer  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        sealer.close(30)
        sealer._closed = False
        found["record"] = measured(record, runs)
        Sealer._start_thread = start_thread  # type: ignore[method-assign]  # pyright: ignore[reportPrivateUsage]
        found["seal"] = measured(lambda: handle.flush(120), runs)
        found["both"] = measured(lambda: (record(), handle.flush(120)), runs)
    return found


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    with tempfile.TemporaryDirectory() as folder:
        for spans in SPANS:
            rounds = [one_round(Path(folder) / f"{spans}-{number}", spans, runs) for number in range(ROUNDS)]
            for what in rounds[0]:
                cpu, wall = (statistics.median(found[what][kind] for found in rounds) for kind in (0, 1))
                least = min(found[what][0] for found in rounds)
                print(f"{spans:>3} spans, {what:<7} CPU {cpu:6.0f} (min {least:6.0f})  wall {wall:6.0f} µs a run")


if __name__ == "__main__":
    main()
