"""What waits is recorded as if it had been known to be a run from the start; what comes to nothing is not recorded."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry._logs import LogRecord
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

from runbundle.format.identity import NO_RUN, RunKey
from runbundle.journal.lines import RecordLine, parse_line
from runbundle.otel.boundary.log_processor import BoundaryLogProcessor
from runbundle.otel.boundary.span_processor import BoundarySpanProcessor
from runbundle.recording.results import FlushResult
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor

REDACTOR = Redactor(Policy())
WORK = {"gen_ai.operation.name": "chat"}


class Kept:
    """A recorder that keeps what it is given, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, RunKey, str]] = []
        self.started_as: dict[str, int] = {}

    def started(self, key: RunKey, line: bytes, *, is_run: bool = False) -> None:
        """Keep a start."""
        self.told.append(("start", key, (parse_line(line) or {})["span_id"]))

    def ended(self, line: RecordLine, *, is_root: bool) -> None:
        """Keep an end, and how many spans a local root says were started."""
        record = parse_line(line.line) or {}
        self.told.append(("end", line.run, record["span_id"]))
        if "runbundle.spans.started" in record["attributes"]:
            self.started_as[record["span_id"]] = record["attributes"]["runbundle.spans.started"]

    def logged(self, line: RecordLine) -> None:
        """Keep a log record."""
        self.told.append(("log", line.run, (parse_line(line.line) or {})["span_id"]))

    def ended_unrecorded(self, key: RunKey, *, is_root: bool) -> None:
        """Nothing of this fails."""
        raise AssertionError

    def holds(self, key: RunKey) -> bool:
        """Hold nothing."""
        return False

    def lost(self, key: RunKey) -> int:
        """Lose nothing."""
        return 0

    def count_dropped(self, reason: str, count: int = 1, *, run: RunKey = NO_RUN) -> None:
        """Nothing of this is dropped."""
        raise AssertionError(reason)

    def flush(self, timeout_s: float = 30.0, *, take: bool = True) -> FlushResult:
        """Have nothing to wait for."""
        return FlushResult()

    def close(self, timeout_s: float = 30.0) -> FlushResult:
        """Have nothing to close."""
        return FlushResult()


numbers = st.integers(0, 30)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("root"), st.booleans()),
        st.tuples(st.just("child"), numbers, st.booleans()),
        st.tuples(st.just("end"), numbers),
        st.tuples(st.just("end"), numbers),
        st.tuples(st.just("log"), numbers),
        st.tuples(st.just("say"), numbers),
    ),
    max_size=30,
)


class Played:
    """Spans that were started and ended as steps say, and what became of them."""

    def __init__(self, sequence: list[tuple[Any, ...]], *, known: bool) -> None:
        """`known`: every local root says from its start that it is agent work."""
        self.kept = Kept()
        self.boundary = BoundarySpanProcessor(REDACTOR, self.kept)
        provider = TracerProvider(active_span_processor=self.boundary, shutdown_on_exit=False)
        loggers = LoggerProvider(shutdown_on_exit=False)
        loggers.add_log_record_processor(BoundaryLogProcessor(REDACTOR, self.kept, self.boundary.membership))
        tracer, logger = provider.get_tracer("t"), loggers.get_logger("t")
        self.roots: list[int] = []
        self.ids: list[str] = []
        self.logs: list[int] = []
        self.works: set[int] = set()
        spans: list[Any] = []
        live: list[int] = []

        def start(context: Context, root: int | None, *, says: bool) -> None:
            here = len(spans)
            spans.append(tracer.start_span("s", context, attributes=WORK if says or (known and root is None) else {}))
            self.ids.append(f"{spans[here].get_span_context().span_id:016x}")
            self.roots.append(here if root is None else self.roots[root])
            live.append(here)
            if says:
                self.works.add(self.roots[here])

        more: list[Any]
        for kind, *more in [*sequence, *[("end", 0)] * 40]:
            if kind == "root":
                start(Context(), None, says=more[0])
            elif live and kind == "child":
                above = live[more[0] % len(live)]
                start(trace.set_span_in_context(spans[above], Context()), above, says=more[1])
            elif live and kind == "end":
                spans[live.pop(more[0] % len(live))].end()
            elif live and kind == "log":
                of = live[more[0] % len(live)]
                logger.emit(LogRecord(context=trace.set_span_in_context(spans[of], Context()), body="x"))
                self.logs.append(of)
            elif live:
                of = live[more[0] % len(live)]
                spans[of].set_attributes(WORK)
                self.works.add(self.roots[of])
        self.outside = self.boundary.membership.outside

    def told(self, root: int) -> list[tuple[str, int]]:
        """Return what was recorded of the spans beneath a root, each by its number."""
        found = [(kind, self.ids.index(span_id)) for kind, _, span_id in self.kept.told]
        return [(kind, number) for kind, number in found if self.roots[number] == root]


@given(steps)
def test_what_waits_is_recorded_as_if_it_had_been_known_from_the_start(sequence: list[tuple[Any, ...]]) -> None:
    """The same starts in the same order, the same ends, the same logs; one run; and as many as its root says."""
    late, early = Played(sequence, known=False), Played(sequence, known=True)
    for root in set(late.roots):
        found, wanted = late.told(root), early.told(root)
        if root not in late.works:
            assert found == []
            continue
        assert sorted(found) == sorted(wanted)
        starts = [number for kind, number in found if kind == "start"]
        assert starts == sorted(starts)
        for number in starts:
            assert found.index(("start", number)) < found.index(("end", number))
        ids = {late.ids[number] for number in starts}
        assert len({key for _, key, span_id in late.kept.told if span_id in ids}) == 1
        assert sum(count for span_id, count in late.kept.started_as.items() if span_id in ids) == len(starts)


@given(steps)
def test_what_is_in_no_run_is_counted_once(sequence: list[tuple[Any, ...]]) -> None:
    """What is recorded and what is outside are together what there was."""
    played = Played(sequence, known=False)
    recorded = sum(kind == "end" for kind, _, _ in played.kept.told)
    assert recorded + played.outside.spans == len(played.ids)
    logs = sum(kind == "log" for kind, _, _ in played.kept.told)
    assert recorded + logs + sum(played.outside.by_scope().values()) == len(played.ids) + len(played.logs)
