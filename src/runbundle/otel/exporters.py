"""Exporters: what redacts in front of others, and what writes bundles, for configuration by environment."""

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from runbundle import settings
from runbundle.format.identity import NO_RUN
from runbundle.otel import active
from runbundle.otel.boundary.guests import is_guest, masked_span
from runbundle.otel.boundary.span_processor import BoundarySpanProcessor
from runbundle.otel.boundary.span_records import SpanCodec
from runbundle.otel.bundle_sink import BundleSink, release_sink, shared_sink
from runbundle.otel.composition import Redacted, compose, redacts_all
from runbundle.redaction.redactor import Redactor


def _followed(own: Redactor) -> Redactor:
    """Return the redactor of the configuration that is active, whose contracts and key hold; else one's own."""
    return own if active.get() is None else active.redactor_at_source()


class RedactingSpanExporter(SpanExporter):
    """Redacts spans in front of another exporter: for providers whose processors are not ours to wrap.

    Raw spans wait in the batch processor's queue before they reach it; what `inner` sends is redacted. By default it
    goes by what `configure()` was given, while that is active, else by the environment. `redact` is as for
    `configure()`: by default spans that are none of an agent's pass as they are, but for secrets.
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
        """Redact and pass on. A batch that cannot be redacted is not sent."""
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


class RedactingSpanProcessor(SpanProcessor):
    """Redacts spans in front of another processor; `redact` is as for `configure()`."""

    runbundle_redacts = True

    def __init__(self, inner: SpanProcessor, redactor: Redactor | None = None, *, redact: Redacted = "agents") -> None:
        self._given = redactor or compose().redactor
        self._follows = redactor is None
        self._boundary = BoundarySpanProcessor(self._given, redacts_all=redacts_all(redact))
        self._boundary.add_span_processor(inner)

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Pass the start on."""
        self._boundary.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Pass the redacted span on."""
        if self._follows:
            self._boundary.redactor = _followed(self._given)
        self._boundary.on_end(span)

    def shutdown(self) -> None:
        """Shut the inner processor down."""
        self._boundary.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the inner processor."""
        return self._boundary.force_flush(timeout_millis)


class BundleSpanExporter(SpanExporter):
    """Writes bundles from exported spans: `OTEL_TRACES_EXPORTER=runbundle`, and no code at all.

    A span belongs to the run in its `runbundle.run.id`, else to the run its trace is: agent work makes a run of its
    trace, which ends with the trace's local root. An exporter sees spans only when they have ended and as many as the
    batch processor kept; `configure()` sees more, and is to be preferred.
    """

    runbundle_redacts = True
    runbundle_writes_bundles = True

    def __init__(self, store: str | None = None, contracts: str | None = None, **unknown: Any) -> None:
        settings.refuse_unknown(unknown, ("store", "contracts"))
        self._sink: BundleSink | None = shared_sink(store, contracts)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Record the spans; those of traces without agent work are none of a bundle's business."""
        if self._sink is None:
            return SpanExportResult.FAILURE
        self._sink.add_spans(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Seal what has ended, unless a log exporter still adds to it."""
        sink, self._sink = self._sink, None
        if sink is not None:
            release_sink(sink)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Seal what has ended; False if anything failed."""
        return self._sink is None or bool(self._sink.recorder.flush(timeout_millis / 1000))


class BundleLogExporter(LogRecordExporter):
    """Writes exported log records into the bundles of their traces: `OTEL_LOGS_EXPORTER=runbundle`.

    To be used beside `BundleSpanExporter`, of the same store, which tells what is a run: alone it writes nothing. What
    comes after a run was sealed is added to its bundle as late.
    """

    def __init__(self, store: str | None = None, contracts: str | None = None, **unknown: Any) -> None:
        settings.refuse_unknown(unknown, ("store", "contracts"))
        self._sink: BundleSink | None = shared_sink(store, contracts)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Record the log records of traces that are agent work."""
        if self._sink is None:
            return LogRecordExportResult.FAILURE
        self._sink.add_logs(batch)
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """Seal what has ended, unless a span exporter still adds to it."""
        sink, self._sink = self._sink, None
        if sink is not None:
            release_sink(sink)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Seal what has ended; False if anything failed."""
        return self._sink is None or bool(self._sink.recorder.flush(timeout_millis / 1000))
