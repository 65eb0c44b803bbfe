"""What the line of an ended span costs: redacted and encoded in Python, and by the native core.

python -m tests.benchmarks.native_spans

The spans are those that a recorder is given of the workload that is set beside peers: prompts of 2 KB and payloads of
1.3 KB, all different; once without a contract, once with one that keeps two fields of the arguments and two of each row
of the result. One thread; the best of some rounds, each with a redactor of its own that has seen two runs before; the
two cores take turns. Python's share includes the reading of dialects on both sides.
"""

import copy
import tempfile
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import runbundle
from runbundle.core import native
from runbundle.core.spans import SpanLines
from runbundle.format.contract import parse_contract
from runbundle.journal.lines import record_line
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor
from runbundle.signals.records import SpanRecord
from tests.benchmarks import workload as work
from tests.benchmarks.subjects import KEY, raw_run

ROUNDS, RUNS, WARM = 9, 10, 2


def recorded(contracts: list[dict[str, Any]], runs: int = RUNS) -> list[SpanRecord]:
    """Return the raw records of the ended spans of some runs: all of them, whichever core makes their lines."""
    found: list[SpanRecord] = []
    line_of = SpanLines.line

    def line(lines: SpanLines, record: SpanRecord, resource: int) -> bytes:
        found.append(copy.deepcopy({**record, "scope": {}}) | {"scope": record["scope"]})  # pyright: ignore
        return line_of(lines, record, resource)

    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(SpanLines, "line", line),
        runbundle.configure(store=folder, contracts=contracts, key=KEY) as handle,
    ):
        tracer = handle.tracer_provider.get_tracer("bench")
        run = raw_run(tracer, lambda number: runbundle.start_run("demo", run_id=f"run-{number}"), work.STEPS)
        for number in range(runs):
            run(number)
        handle.flush()
    if len(found) != runs * work.spans_of(work.STEPS):
        raise RuntimeError(f"{len(found)} spans were recorded, {runs * work.spans_of(work.STEPS)} were emitted")
    return found


def us_a_span(line: Callable[[SpanRecord, int], bytes], records: list[SpanRecord]) -> float:
    """Return microseconds of this thread's CPU time a span, after the first runs."""
    warm = WARM * work.spans_of(work.STEPS)
    for record in records[:warm]:
        line(record, 0)
    begun = time.thread_time_ns()
    for record in records[warm:]:
        line(record, 0)
    return (time.thread_time_ns() - begun) / len(records[warm:]) / 1000


def measure(name: str, contracts: list[dict[str, Any]]) -> None:
    """Print what a span costs either way, and how many the native core took."""
    records = recorded(contracts)
    policy = Policy(contracts={c.name: c for c in map(parse_contract, contracts)})
    python_us: list[float] = []
    native_us: list[float] = []
    lines = SpanLines(Redactor(policy))
    for _ in range(ROUNDS):
        redactor = Redactor(policy)
        python_us.append(us_a_span(lambda r, n, of=redactor: record_line("span", of.redact_span(r), n), records))
        lines = SpanLines(Redactor(policy))
        native_us.append(us_a_span(lines.line, records))
    taken = lines.by_native / (lines.by_native + lines.by_python)
    best, fast = min(python_us), min(native_us)
    print(f"{name:<20} Python {best:6.1f} us a span, native {fast:5.1f}: {best / fast:4.1f} times; it took {taken:.1%}")


def main() -> None:
    """Measure without a contract and with one."""
    if native.module() is None:
        print("the native core is not installed: make native")
        return
    measure("no contract", [])
    measure("contract keeps 2 + 2", work.CONTRACTS)


if __name__ == "__main__":
    main()
