"""Replay a dump through runbundle in this process: tables are tried without the frameworks.

    handle = runbundle.configure(store=..., contracts=...)
    replay(load("tests/interop/dumps/....json.gz"), handle)     # as in code
    handle.flush()
    export(load("..."), BundleSpanExporter(store=...))           # as by an exporter

Spans start and end in the order in which they did, under their ids and times; at its start a span has the name and the
attributes that it had then.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from runbundle.otel.handle import Handle
from tests.interop.dumps import Dump, Span, in_order

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class _TheirIds(IdGenerator):
    """Gives the next span the ids of the span that is replayed."""

    def __init__(self) -> None:
        self.span: Span = {}

    def generate_span_id(self) -> int:
        return int(self.span["span_id"], 16)

    def generate_trace_id(self) -> int:
        return int(self.span["trace_id"], 16)

    def is_trace_id_random(self) -> bool:
        return True


def replay(dump: Dump, handle: Handle, *, until: Callable[[Span], bool] | None = None) -> None:
    """Start and end the spans of a dump on the provider of a configuration, as in code; emit its logs.

    Not guaranteed: what depends on the time that passes, as a grace period does, or on threads. `until` stops before
    the first span for which it is true has ended, as a process does that dies there.
    """
    provider, ids = handle.tracer_provider, _TheirIds()
    provider.id_generator = ids
    tracers: dict[str, Any] = {}
    live: dict[str, trace.Span] = {}
    logs = _logs_by_span(dump)
    for moment, span in in_order(dump["spans"]):
        if moment == "start":
            ids.span = span
            scope = span["scope"]
            tracer = tracers.get(repr(scope))
            if tracer is None:
                tracer = provider.get_tracer(scope["name"], scope.get("version") or None, scope.get("schema_url"))
                tracers[repr(scope)] = tracer
            live[span["span_id"]] = tracer.start_span(
                span["name_at_start"],
                context=_context_of(span, live),
                kind=SpanKind[span["kind"]],
                attributes={key: _value(span["attributes"][key]) for key in _known_at_start(span)},
                links=_links(dump, span),
                start_time=span["start_ns"],
            )
            continue
        one = live[span["span_id"]]
        for event in span["events"]:
            one.add_event(event["name"], _values(event["attributes"]), timestamp=event["time_ns"])
        one.set_attributes(_values(span["attributes"]))
        if span["name"] != span["name_at_start"]:
            one.update_name(span["name"])
        if span["status"] != "UNSET":
            one.set_status(Status(StatusCode[span["status"]], _message(span)))
        for record in logs.pop(span["span_id"], ()):
            handle.logger_provider.get_logger(record["scope"]).emit(_log(record, span, live[span["span_id"]]))
        if until is not None and until(span):
            return
        one.end(max(span["end_ns"], span["start_ns"]))


def export(
    dump: Dump, spans: SpanExporter, logs: LogRecordExporter | None = None, *, at_most: int = 512, each_s: float = 5.0
) -> None:
    """Hand the ended spans of a dump to an exporter as a batch processor does: in the order of their ends.

    A batch has at most `at_most` spans, and ends `each_s` seconds after its first. Logs come before the spans that they
    belong to. The caller flushes.
    """
    by_span = _logs_by_span(dump)
    ended = [span for moment, span in in_order(dump["spans"]) if moment == "end"]
    for batch in _batches(ended, at_most, round(each_s * 1e9)):
        found = [(record, span) for span in batch for record in by_span.pop(span["span_id"], ())]
        if logs is not None and found:
            logs.export(
                [
                    ReadableLogRecord(
                        _log(record, span, NonRecordingSpan(_context(span))),
                        Resource.create(),
                        InstrumentationScope(record["scope"]),
                    )
                    for record, span in found
                ]
            )
        spans.export([_ended(dump, span) for span in batch])


def _batches(ended: Iterable[Span], at_most: int, each_ns: int) -> Iterator[list[Span]]:
    batch: list[Span] = []
    for span in ended:
        if batch and (len(batch) >= at_most or span["end_ns"] - batch[0]["end_ns"] > each_ns):
            yield batch
            batch = []
        batch.append(span)
    if batch:
        yield batch


def _ended(dump: Dump, span: Span) -> ReadableSpan:
    scope = span["scope"]
    parent = _parent(span)
    return ReadableSpan(
        span["name"],
        _context(span),
        parent,
        Resource.create(),
        _values(span["attributes"]),
        [Event(event["name"], _values(event["attributes"]), event["time_ns"]) for event in span["events"]],
        _links(dump, span),
        SpanKind[span["kind"]],
        status=Status(StatusCode[span["status"]], _message(span)),
        start_time=span["start_ns"],
        end_time=span["end_ns"],
        instrumentation_scope=InstrumentationScope(scope["name"], scope.get("version"), scope.get("schema_url")),
    )


def _known_at_start(span: Span) -> list[str]:
    return [key for key in span["keys_at_start"] if key in span["attributes"]]


def _message(span: Span) -> str | None:
    return span["status_message"] if span["status"] == "ERROR" else None


def _context_of(span: Span, live: dict[str, trace.Span]) -> otel_context.Context:
    parent = _parent(span)
    if parent is None:
        return otel_context.Context()
    above = None if parent.is_remote else live.get(span["parent_span_id"])
    return trace.set_span_in_context(above or NonRecordingSpan(parent), otel_context.Context())


def _parent(span: Span) -> SpanContext | None:
    if not span["parent_span_id"]:
        return None
    return SpanContext(int(span["trace_id"], 16), int(span["parent_span_id"], 16), span["remote"], _SAMPLED)


def _context(span: Span) -> SpanContext:
    return SpanContext(int(span["trace_id"], 16), int(span["span_id"], 16), is_remote=False, trace_flags=_SAMPLED)


def _links(dump: Dump, span: Span) -> list[Link]:
    """Return links; a dump names the span that is linked to, which has its own trace."""
    traces = {other["span_id"]: other["trace_id"] for other in dump["spans"]} if span["links"] else {}
    return [
        Link(SpanContext(int(traces.get(other, span["trace_id"]), 16), int(other, 16), False, _SAMPLED))
        for other in span["links"]
    ]


def _logs_by_span(dump: Dump) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for record in dump["logs"]:
        found.setdefault(record["span_id"], []).append(record)
    return found


def _log(record: dict[str, Any], span: Span, live: trace.Span) -> LogRecord:
    return LogRecord(
        timestamp=record.get("time_ns") or span["end_ns"],
        observed_timestamp=record.get("time_ns") or span["end_ns"],
        context=trace.set_span_in_context(live, otel_context.Context()),
        severity_number=SeverityNumber.INFO,
        body=record["body"],
        attributes=_values(record["attributes"]),
        event_name=record["event_name"],
    )


def _values(attributes: dict[str, Any]) -> dict[str, Any]:
    return {key: _value(value) for key, value in attributes.items()}


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
