"""The port is all that a source of records needs of a recorder."""

from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

from runbundle.format.identity import NO_RUN, RunKey
from runbundle.journal.lines import RecordLine, parse_line
from runbundle.otel.boundary.log_processor import BoundaryLogProcessor
from runbundle.otel.boundary.span_processor import BoundarySpanProcessor
from runbundle.recording.port import RecordPort
from runbundle.recording.recorder import Recorder
from runbundle.recording.results import FlushResult
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor


class Kept:
    """A recorder that keeps what it is given in lists."""

    def __init__(self) -> None:
        self.begun: list[RunKey] = []
        self.spans: list[tuple[dict[str, Any], bool]] = []
        self.logs: list[dict[str, Any]] = []
        self.dropped: list[str] = []

    def started(self, key: RunKey, line: bytes, *, is_run: bool = False) -> None:
        """Keep whose span has started."""
        self.begun.append(key)

    def ended(self, line: RecordLine, *, is_root: bool) -> None:
        """Keep a span."""
        self.spans.append((parse_line(line.line) or {}, is_root))

    def ended_unrecorded(self, key: RunKey, *, is_root: bool) -> None:
        """Keep that there was one."""
        self.dropped.append("span")

    def logged(self, line: RecordLine) -> None:
        """Keep a log record."""
        self.logs.append(parse_line(line.line) or {})

    def holds(self, key: RunKey) -> bool:
        """Tell whether a span of it has started."""
        return key in self.begun

    def lost(self, key: RunKey) -> int:
        """Lose nothing."""
        return 0

    def count_dropped(self, reason: str, count: int = 1, *, run: RunKey = NO_RUN) -> None:
        """Keep the reason."""
        self.dropped.append(reason)

    def flush(self, timeout_s: float = 30.0, *, take: bool = True) -> FlushResult:
        """Have nothing to wait for."""
        return FlushResult()

    def close(self, timeout_s: float = 30.0) -> FlushResult:
        """Have nothing to close."""
        return FlushResult()


def test_a_source_brings_redacted_records_to_whatever_has_the_port() -> None:
    """Spans and log records of a run, its own span last and as its root; nothing raw, nothing dropped."""
    kept = Kept()
    port: RecordPort = kept
    redactor = Redactor(Policy())
    boundary = BoundarySpanProcessor(redactor, port)
    provider, loggers = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    provider.add_span_processor(boundary)
    loggers.add_log_record_processor(BoundaryLogProcessor(redactor, port, boundary.membership))
    tracer = provider.get_tracer("agent")
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t", "gen_ai.tool.call.arguments": "hunter2"}
    with (
        tracer.start_as_current_span("invoke_agent a", attributes=agent),
        tracer.start_as_current_span("execute_tool t", attributes=tool),
    ):
        loggers.get_logger("agent").emit(LogRecord(body="hunter2", severity_number=SeverityNumber.INFO))
    provider.shutdown()
    assert [(record["name"], is_root) for record, is_root in kept.spans] == [
        ("execute_tool t", False),
        ("invoke_agent a", True),
    ]
    (key,) = set(kept.begun)
    assert len(kept.begun) == 2
    assert {record["run_id"] for record, _ in kept.spans} == {key.run_id} == {kept.logs[0]["run_id"]}
    assert "hunter2" not in repr((kept.spans, kept.logs))
    assert kept.dropped == []


def test_the_recorder_has_the_port() -> None:
    """Every method of the port, by name; the type checker compares the rest."""
    methods = {name for name in vars(RecordPort) if not name.startswith("_")}
    assert methods <= {name for name in dir(Recorder) if not name.startswith("_")}
