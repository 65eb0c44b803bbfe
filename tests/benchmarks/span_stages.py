"""Where the caller's time for a span goes, stage by stage: `python -m tests.benchmarks.span_stages`.

Three workloads: that which is set beside peers without a contract, the same with its contract, and decorated tools. The
spans of some runs are caught on their way, and each stage is done again with what it got: nothing else runs beside it,
and the sealer has nothing to do. Printed is CPU time of this thread in microseconds a span, the least of some rounds.

`python -m tests.benchmarks.span_stages contract redact 40` does one stage of a workload 40 times and prints nothing,
for a tool that counts instructions, `valgrind --tool=callgrind`; twice, as the difference has no start of Python in it.
"""

import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import TracerProvider

import runbundle
from runbundle.core.spans import SpanLines
from runbundle.journal.lines import line_of
from runbundle.journal.writer import JournalWriter
from runbundle.redaction.redactor import Redactor
from tests.benchmarks import workload as work
from tests.benchmarks.subjects import KEY, raw_run

RUNS, ROUNDS = 10, 15
SPANS = work.spans_of(work.STEPS)
_numbers = itertools.count()


@runbundle.tool
def lookup(word: str, page: int) -> dict[str, object]:
    """Return something small."""
    return {"word": word, "page": page, "found": True}


def peers_run(tracer: Any, begin: Callable[[], Any]) -> None:
    """Emit one run of the workload: the next one."""
    raw_run(tracer, lambda _: begin(), work.STEPS)(next(_numbers))


def decorated_run(tracer: Any, begin: Callable[[], Any]) -> None:
    """Do one run of decorated tools."""
    with begin():
        for page in range(SPANS - 1):
            lookup("bundle", page)


Emit = Callable[[Any, Callable[[], Any]], None]
WORKLOADS: dict[str, tuple[Emit, list[dict[str, Any]]]] = {
    "plain": (peers_run, []),
    "contract": (peers_run, work.CONTRACTS),
    "decorated": (decorated_run, []),
}


class Stage(NamedTuple):
    """One stage: what prepares a round, and what is measured of it, with what that has returned."""

    work: Callable[[Any], object]
    prepare: Callable[[], Any] = lambda: None
    per: int = RUNS * SPANS


class _NoPort:
    """Takes records and keeps none."""

    def started(self, *args: object, **more: object) -> None:
        """Do nothing."""

    def lost(self, key: object) -> int:
        """Nothing was."""
        return 0


@contextmanager
def stages(name: str) -> Iterator[dict[str, Stage]]:
    """Catch the spans of a workload, and give its stages by their names."""
    emit, contracts = WORKLOADS[name]
    bare = TracerProvider(shutdown_on_exit=False).get_tracer("bench")
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "r"}
    with (
        tempfile.TemporaryDirectory() as folder,
        runbundle.configure(store=folder, contracts=contracts, key=KEY) as handle,
    ):
        boundary, tracer = handle.boundary, handle.tracer_provider.get_tracer("bench")
        recorder: Any = handle.recorder
        recorder._sealer.settled = lambda *args, **more: None

        def whole(_: object) -> None:
            for _run in range(RUNS):
                emit(tracer, lambda: runbundle.start_run("r"))

        seen = _caught(boundary, whole)
        table = boundary.membership
        members = []
        for span, context in seen:
            members += [table.enter(span, context)] if context is not None else [table.leave(span)]
        started = [(span, m) for (span, context), m in zip(seen, members, strict=True) if context is not None]
        ended = [(span, m) for (span, context), m in zip(seen, members, strict=True) if context is None]
        codec, policy = boundary._codec, boundary.redactor.policy

        def membership(_: object) -> None:
            for span, context in seen:
                if context is not None:
                    table.enter(span, context)
                else:
                    table.leave(span)

        def start_notes(_: object) -> None:
            kept, boundary.recorder = boundary.recorder, _NoPort()  # type: ignore[assignment]
            for span, member in started:
                if not member.is_run:
                    boundary._started(span, member)
            boundary.recorder = kept

        raw = [boundary._raw(span, member) for span, member in ended]
        by_kind = {
            kind: [one for one in raw if one["attributes"].get("gen_ai.operation.name") == kind]
            for kind in ("chat", "execute_tool")
        }
        redacted = [boundary.redactor.redact_span(one) for one in raw]
        lines = [line_of("span", one) for one in redacted]
        journals = Path(folder) / "journals"

        def append(_: object) -> None:
            writer = JournalWriter.open_in(journals / str(time.monotonic_ns()), "w")
            for one in lines:
                writer.write(one)
            writer.close()

        def redact(records: list[Any]) -> Stage:
            return Stage(
                lambda redactor: [redactor.redact_span(one) for one in records], lambda: Redactor(policy), len(records)
            )

        yield {
            "sdk": Stage(lambda _: [
                emit(bare, lambda: bare.start_as_current_span("invoke_agent r", attributes=attributes))
                for _run in range(RUNS)
            ]) if emit is not decorated_run else Stage(lambda _: None),
            "whole": Stage(whole),
            "membership": Stage(membership),
            "start": Stage(start_notes),
            "record": Stage(lambda _: [codec.to_record(span, member.key) for span, member in ended]),
            "raw": Stage(lambda _: [boundary._raw(span, member) for span, member in ended]),
            "line": Stage(
                lambda lines: [lines.line(one, 0) for one in raw], lambda: SpanLines(Redactor(policy)), len(raw)
            ),
            "redact": redact(raw),
            **{f"redact {kind}": redact(records) for kind, records in by_kind.items() if records},
            "append": Stage(append),
        }  # fmt: skip
        handle.flush()


TELL = {
    "sdk": "the SDK's span, payloads as JSON",
    "whole": "all of it, with the SDK's span",
    "membership": "membership: enter and leave",
    "start": "start noted, without its line",
    "record": "to_record",
    "raw": "to_record and own attributes",
    "line": "the line, by the core that is there",
    "redact": "redact_span, in Python",
    "redact chat": "of that a model's span",
    "redact execute_tool": "of that a tool's span",
    "append": "record_line and append",
}


def _caught(boundary: Any, work: Callable[[object], None]) -> list[tuple[Any, Any]]:
    """Return the spans that start and end while `work` is done, in order; those that start with their context."""
    seen: list[tuple[Any, Any]] = []
    start, end = boundary.on_start, boundary.on_end

    def on_start(span: Any, parent_context: Any = None) -> None:
        seen.append((span, parent_context if parent_context is not None else otel_context.get_current()))
        start(span, parent_context)

    def on_end(span: Any) -> None:
        seen.append((span, None))
        end(span)

    boundary.on_start, boundary.on_end = on_start, on_end
    try:
        work(None)
    finally:
        del boundary.on_start, boundary.on_end
    return seen


def least_us(stage: Stage, rounds: int = ROUNDS) -> float:
    """Return microseconds a span, the least of some rounds."""
    found: list[float] = []
    for _ in range(rounds):
        given = stage.prepare()
        begun = time.thread_time_ns()
        stage.work(given)
        found.append((time.thread_time_ns() - begun) / stage.per / 1000)
    return min(found)


def main() -> None:
    """Measure and print; or do one stage so many times."""
    if len(sys.argv) == 4:
        with stages(sys.argv[1]) as found:
            stage = found[sys.argv[2]]
            for _ in range(int(sys.argv[3])):
                stage.work(stage.prepare())
        return
    for name in sys.argv[1:] or WORKLOADS:
        with stages(name) as found:
            print(name)
            for key, stage in found.items():
                print(f"  {TELL[key]:<36}{least_us(stage):7.1f} us")


if __name__ == "__main__":
    main()
