"""Keep the raw spans and logs of a process, and what could be known of each span when it began."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

from opentelemetry import _logs, trace
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider


class Dumper(SpanProcessor, LogRecordProcessor):
    """Becomes the global provider of traces and of logs, and keeps what passes."""

    def __init__(self) -> None:
        self._begun: dict[int, tuple[str, list[str]]] = {}
        self._spans: list[dict[str, Any]] = []
        self._logs: list[dict[str, Any]] = []
        self.provider = TracerProvider()
        self.provider.add_span_processor(self)
        trace.set_tracer_provider(self.provider)
        loggers = LoggerProvider()
        loggers.add_log_record_processor(self)
        _logs.set_logger_provider(loggers)

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        self._begun[span.get_span_context().span_id] = span.name, sorted(span.attributes or {})

    def on_end(self, span: ReadableSpan) -> None:
        here, scope = span.get_span_context(), span.instrumentation_scope
        name, keys = self._begun.pop(here.span_id, (span.name, []))
        self._spans.append(
            {
                "name": span.name,
                "name_at_start": name,
                "kind": span.kind.name,
                "trace_id": f"{here.trace_id:032x}",
                "span_id": f"{here.span_id:016x}",
                "parent_span_id": f"{span.parent.span_id:016x}" if span.parent else None,
                "remote": bool(span.parent and span.parent.is_remote),
                "start_ns": span.start_time,
                "end_ns": span.end_time,
                "status": span.status.status_code.name,
                "status_message": span.status.description,
                "attributes": _plain(span.attributes),
                "keys_at_start": keys,
                "events": [
                    {"name": event.name, "time_ns": event.timestamp, "attributes": _plain(event.attributes)}
                    for event in span.events
                ],
                "links": [f"{link.context.span_id:016x}" for link in span.links],
                "scope": {
                    "name": scope.name if scope else "",
                    "version": scope.version if scope else "",
                    "schema_url": scope.schema_url if scope else "",
                },
            }
        )

    def on_emit(self, log_record: Any) -> None:
        record, scope = log_record.log_record, log_record.instrumentation_scope
        self._logs.append(
            {
                "event_name": record.event_name,
                "body": _plain(record.body),
                "attributes": _plain(record.attributes or {}),
                "trace_id": f"{record.trace_id or 0:032x}",
                "span_id": f"{record.span_id or 0:016x}",
                "time_ns": record.timestamp or record.observed_timestamp,
                "scope": scope.name if scope else "",
            }
        )

    def shutdown(self) -> None:
        """Keep what there is."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True

    def write(self, file: str) -> None:
        """Write everything that was kept, in the order of the spans' starts."""
        spans = sorted(self._spans, key=lambda span: span["start_ns"])
        Path(file).write_text(json.dumps({"versions": _versions(), "spans": spans, "logs": self._logs}))


def _versions() -> dict[str, str]:
    found = {package.metadata["Name"].lower(): package.version for package in importlib.metadata.distributions()}
    return dict(sorted(found.items()))


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "items"):
        return {str(key): _plain(one) for key, one in value.items()}
    return value if value is None or isinstance(value, str | int | float | bool) else repr(value)
