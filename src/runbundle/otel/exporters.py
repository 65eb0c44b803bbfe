"""Exporters: wrappers that redact in front of other exporters, and exporters that write bundles."""

import copy
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk._logs import LogRecordLimits, LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from runbundle import settings
from runbundle.format.identity import NO_RUN
from runbundle.otel import active
from runbundle.otel.belonging.membership import Membership
from runbundle.otel.boundary.guests import is_guest, masked_span
from runbundle.otel.boundary.log_processor import BoundaryLogProcessor
from runbundle.otel.boundary.span_processor import BoundarySpanProcessor
from runbundle.otel.boundary.span_records import SpanCodec
from runbundle.otel.bundle_sink import BundleSink, release_sink, shared_sink
from runbundle.otel.composition import Redacted, compose, redacts_all
from runbundle.redaction.redactor import Redactor


def _followed(own: Redactor) -> Redactor:
    """Return the redactor of the configuration that is active, whose contracts and key hold; else one's own."""
    configuration = active.get()
    return own if configuration is None else configuration.redactor_at_source


class RedactingSpanExporter(SpanExporter):
    """Redacts spans in front of another exporter, on a provider that the application builds itself.

        exporter = runbundle.RedactingSpanExporter(OTLPSpanExporter())
        provider.add_span_processor(BatchSpanProcessor(exporter))

    While `configure()` is active its contracts and key apply, otherwise those of the environment; `redactor` replaces
    both. `redact` is as for `configure()`: with `agents`, the default, spans that are none of an agent's pass unchanged
    but for masked secrets.

    Not guaranteed: raw spans wait in the batch processor's queue in front of this exporter. Raises `ConfigError` or
    `ContractError` if the environment's key or contracts are wrong.
    """

    runbundle_redacts = True

    def __init__(self, inner: SpanExporter, redactor: Redactor | None = None, *, redact: Redacted = "agents") -> None:
        self._inner = inner
        self._all = redacts_all(redact)
        self._given = redactor or compose().redactor
        self._follows = redactor is None
        self._codec = SpanCodec()

    @property
    def _redactor(self) -> Redactor:
        return _followed(self._given) if self._follows else self._given

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Redact the spans and pass them on. A batch that cannot be redacted is not sent: it is reported as failed."""
        try:
            redactor = self._redactor
            redacted = [
                masked_span(self._codec, span)
                if not self._all and is_guest(span)
                else self._codec.to_span(span, redactor.redact_span(self._codec.to_record(span, NO_RUN)))
                for span in spans
            ]
        except Exception:  # noqa: BLE001 - fail closed
            return SpanExportResult.FAILURE
        return self._inner.export(redacted)

    def shutdown(self) -> None:
        """Shut the inner exporter down."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the inner exporter."""
        return self._inner.force_flush(timeout_millis)


class RedactingLogExporter(LogRecordExporter):
    """Redacts log records in front of another exporter; the arguments are those of `RedactingSpanExporter`.

    A record that cannot be redacted is withheld. Not guaranteed: raw records wait in the queue in front of it.
    """

    runbundle_redacts = True

    def __init__(
        self, inner: LogRecordExporter, redactor: Redactor | None = None, *, redact: Redacted = "agents"
    ) -> None:
        self._inner = inner
        self._all = redacts_all(redact)
        self._given = redactor or compose().redactor
        self._follows = redactor is None

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Redact the records and pass them on."""
        redacted: list[ReadableLogRecord] = []
        redactor = _followed(self._given) if self._follows else self._given
        boundary = BoundaryLogProcessor(redactor, None, Membership(()), redacts_all=self._all)
        boundary.add_log_record_processor(_Gathering(redacted))
        for given in batch:
            record = copy.copy(given.log_record)  # what is made of it sets the attributes anew
            limits = given.limits or LogRecordLimits()
            boundary.on_emit(ReadWriteLogRecord(record, given.resource, given.instrumentation_scope, limits=limits))
        return self._inner.export(redacted)

    def shutdown(self) -> None:
        """Shut the inner exporter down."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the inner exporter; those that have nothing to flush say nothing."""
        flush: Any = getattr(self._inner, "force_flush", None)
        return flush is None or flush(timeout_millis) is not False


class _Gathering(LogRecordProcessor):
    """Gathers records in the form that exporters take."""

    def __init__(self, gathered: list[ReadableLogRecord]) -> None:
        self._gathered = gathered

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        resource = log_record.resource or Resource.get_empty()
        self._gathered.append(
            ReadableLogRecord(log_record.log_record, resource, log_record.instrumentation_scope, log_record.limits)
        )

    def shutdown(self) -> None:
        """There is nothing to end."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the SDK's signature
        return True


class RedactingSpanProcessor(SpanProcessor):
    """Redacts spans in front of another processor; the arguments are those of `RedactingSpanExporter`.

        provider.add_span_processor(runbundle.RedactingSpanProcessor(processor))

    The inner processor gets live spans at their start, as every processor does, and redacted ones at their end.
    """

    runbundle_redacts = True

    def __init__(self, inner: SpanProcessor, redactor: Redactor | None = None, *, redact: Redacted = "agents") -> None:
        self._given = redactor or compose().redactor
        self._follows = redactor is None
        self._boundary = BoundarySpanProcessor(self._given, redacts_all=redacts_all(redact))
        self._boundary.add_span_processor(inner)

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Pass the start of the live span on."""
        self._boundary.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Pass the redacted span on; one that cannot be redacted is withheld."""
        if self._follows and (followed := _followed(self._given)) is not self._boundary.redactor:
            self._boundary.use_redactor(followed)
        self._boundary.on_end(span)

    def shutdown(self) -> None:
        """Shut the inner processor down."""
        self._boundary.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the inner processor."""
        return self._boundary.force_flush(timeout_millis)


class BundleSpanExporter(SpanExporter):
    """Writes bundles from exported spans: no code is needed with `OTEL_TRACES_EXPORTER=runbundle`.

        OTEL_TRACES_EXPORTER=runbundle RUNBUNDLE_STORE=./runs opentelemetry-instrument python app.py

    A span belongs to the run in its attribute `runbundle.run.id`, otherwise to the run of its trace. All spans of a
    trace wait in memory until one of them is agent work, in whichever batch it comes. Then they are a run, named as
    `RUNBUNDLE_RUN_ID_KEYS` and `RUNBUNDLE_GROUP_BY` say. `store` and `contracts` are by default those of the
    environment. Raises `ConfigError` for any other argument.

    Not guaranteed: an exporter gets only spans that have ended, and only as many as the batch processor kept. A killed
    process loses the spans that were not exported yet, and those that waited. At most 8,192 wait, for ten minutes; the
    run says how many it lost. Prefer `configure()`, which journals each span as it starts.
    """

    runbundle_redacts = True
    runbundle_writes_bundles = True
    _sink: BundleSink | None

    def __init__(self, store: str | None = None, contracts: str | None = None, **unknown: Any) -> None:
        settings.refuse_unknown(unknown, ("store", "contracts"))
        self._sink = shared_sink(store, contracts)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Record the spans of traces that are agent work; the others wait for that, and are forgotten."""
        if self._sink is None:
            return SpanExportResult.FAILURE
        self._sink.add_spans(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Seal the runs that have ended, unless a log exporter still adds to them."""
        sink, self._sink = self._sink, None
        if sink is not None:
            release_sink(sink)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Seal the runs that have ended; return False if anything failed."""
        return self._sink is None or bool(self._sink.recorder.flush(timeout_millis / 1000))


class BundleLogExporter(LogRecordExporter):
    """Writes exported log records into the bundles of their traces: `OTEL_LOGS_EXPORTER=runbundle`.

    Use it beside a `BundleSpanExporter` of the same store, which finds the runs; alone it writes nothing. A record that
    comes after its run was sealed is added to the bundle as late.
    """

    _sink: BundleSink | None

    def __init__(self, store: str | None = None, contracts: str | None = None, **unknown: Any) -> None:
        settings.refuse_unknown(unknown, ("store", "contracts"))
        self._sink = shared_sink(store, contracts)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Record the log records of traces that are agent work."""
        if self._sink is None:
            return LogRecordExportResult.FAILURE
        self._sink.add_logs(batch)
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """Seal the runs that have ended, unless a span exporter still adds to them."""
        sink, self._sink = self._sink, None
        if sink is not None:
            release_sink(sink)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Seal the runs that have ended; return False if anything failed."""
        return self._sink is None or bool(self._sink.recorder.flush(timeout_millis / 1000))
