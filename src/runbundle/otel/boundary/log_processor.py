"""The boundary for log records: every processor gets a redacted copy, and the bundle gets an event."""

from typing import Any

from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import (
    LogRecordProcessor,
    ReadableLogRecord,
    ReadWriteLogRecord,
    SynchronousMultiLogRecordProcessor,
)
from opentelemetry.sdk.resources import Resource

from runbundle.codec.coerce import log_record, time_of
from runbundle.format.identity import NO_RUN, RunKey
from runbundle.journal.lines import line_of
from runbundle.otel.belonging.membership import Membership
from runbundle.otel.belonging.undecided import scope_name
from runbundle.otel.boundary.guests import is_guest_log, masked_log
from runbundle.otel.boundary.limits import char_limit_of, state_cut
from runbundle.otel.boundary.span_records import SpanCodec, to_scope
from runbundle.recording.port import RecordPort
from runbundle.redaction.redactor import Redactor
from runbundle.signals import semconv
from runbundle.signals.records import LogRecordDict


class BoundaryLogProcessor(SynchronousMultiLogRecordProcessor):
    """Redacts every log record, records it if it is part of a run, and hands a copy on.

    Never raises. A record that cannot be redacted goes nowhere; it is counted as `boundary_log`.
    """

    def __init__(
        self, redactor: Redactor, recorder: RecordPort | None, membership: Membership, *, redacts_all: bool = False
    ) -> None:
        super().__init__()
        self._redactor = redactor
        self._recorder = recorder
        self._membership = membership
        self._redacts_all = redacts_all
        self.records = True
        """Whether log records of runs are recorded; else they are only redacted for the processors behind."""
        self.is_closed = False
        """Whether records are ignored; a provider that somebody else has built outlives us."""
        self.outlives_provider = False
        """Whether the end of a provider is not ours, as of one that a proxy is led away from."""
        self.is_exiting = False
        """Whether the process is ending; records of daemon threads are still journalled then."""
        self._codec = SpanCodec()
        self._downstream = 0

    def add_log_record_processor(self, log_record_processor: LogRecordProcessor) -> None:
        """Add a processor behind the boundary; it gets redacted records only."""
        super().add_log_record_processor(log_record_processor)
        self._downstream += 1

    def take_out(self) -> tuple[LogRecordProcessor, ...]:
        """Remove all processors behind the boundary, and return them."""
        with self._lock:
            taken, self._log_record_processors, self._downstream = self._log_record_processors, (), 0
        return taken

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Redact the record, record it and hand a copy on; the caller's record is not changed."""
        if self.is_closed and not self.is_exiting:
            return
        run = None
        try:
            run = self._membership.scope_of(log_record.log_record.context)
            if run is None and not self._membership.hold_log(log_record):
                run = self._membership.scope_of(log_record.log_record.context)  # decided meanwhile, it may be in one
                if run is None:
                    self._membership.outside.count_log(scope_name(log_record))
            guest = self._downstream > 0 and not self._redacts_all and is_guest_log(log_record)
            recorded = run is not None and self._recorder is not None and self.records
            if not recorded and not self._downstream:
                return
            if recorded or not guest:
                redacted = self._redactor.redact_log(raw_log(self._codec, log_record, run.key if run else NO_RUN))
                if recorded and self._recorder is not None:
                    self._recorder.logged(line_of("log", redacted))
                if self._downstream and not guest:
                    super().on_emit(self._copy(log_record, redacted))
            if guest:
                super().on_emit(masked_log(log_record))
        except Exception:  # noqa: BLE001 - never raise into the application; the record is withheld, and counted
            if self._recorder is not None:
                self._recorder.count_dropped("boundary_log", run=run.key if run else NO_RUN)

    def shutdown(self) -> None:
        """Shut down everything downstream."""
        if not self.outlives_provider or self.is_closed:
            super().shutdown()

    def _copy(self, given: ReadWriteLogRecord, record: LogRecordDict) -> ReadWriteLogRecord:
        log = given.log_record
        span_context = trace.SpanContext(
            int(record["trace_id"], 16),
            int(record["span_id"], 16),
            is_remote=False,
            trace_flags=log.trace_flags or trace.TraceFlags(0),
        )
        context = Context()
        if span_context.is_valid:
            context = trace.set_span_in_context(trace.NonRecordingSpan(span_context), context)
        copied = type(log)(
            timestamp=None if log.timestamp is None else record["time_ns"],
            observed_timestamp=time_of(log.observed_timestamp) or record["time_ns"],
            context=context,
            severity_text=record["severity_text"] or None,
            severity_number=SeverityNumber(record["severity"]) if record["severity"] else None,
            body=record["body"],
            attributes=record["attributes"],
            event_name=record["event_name"] or None,
        )
        return ReadWriteLogRecord(
            copied, self._codec.to_resource(record["resource"]), to_scope(record["scope"]), limits=given.limits
        )


def raw_log(codec: SpanCodec, given: ReadWriteLogRecord | ReadableLogRecord, run: RunKey) -> LogRecordDict:
    """Return the raw record of a log record."""
    log = given.log_record
    attributes: dict[str, Any] = dict(log.attributes or {})
    error: BaseException | None = getattr(log, "exception", None)
    if error is not None:
        attributes.setdefault(semconv.EXCEPTION_TYPE, type(error).__qualname__)
    state_cut(attributes, char_limit_of(log.attributes))
    raw: dict[str, Any] = {
        "run_id": run.run_id,
        "tenant_id": run.tenant_id,
        "trace_id": log.trace_id or 0,
        "span_id": log.span_id or 0,
        "time_ns": log.timestamp or log.observed_timestamp,
        "severity": _number_of(log.severity_number),
        "severity_text": log.severity_text or "",
        "event_name": log.event_name or "",
        "body": log.body,
        "attributes": attributes,
        "scope": codec.scope_record(given.instrumentation_scope),
        "resource": codec.resource_record(given.resource or Resource.get_empty()),
        "dropped": int(getattr(given, "dropped_attributes", 0) or 0),
    }
    return log_record(raw, log.observed_timestamp)


def _number_of(severity: Any) -> Any:
    return 0 if severity is None else severity.value if isinstance(severity, SeverityNumber) else severity
