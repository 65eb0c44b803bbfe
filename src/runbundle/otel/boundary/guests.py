"""Spans and log records of the application's own, on their way to its exporters: unchanged but for masked secrets.

Within a service, a recorder of agents is a guest: the service's requests and queries reach its backend as if nothing
were recorded. Only known secrets and the findings of detectors are masked. Bundles redact everything, whatever this
module says.
"""

from collections.abc import Mapping
from typing import Any, cast

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState

from runbundle.format.identity import NO_RUN
from runbundle.otel.belonging.span_identity import copied_attributes
from runbundle.otel.boundary.span_records import SpanCodec, bounded_list
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.others_telemetry import has_agent_key, mask_attributes, mask_text, mask_value
from runbundle.signals.operations import is_agent_work
from runbundle.signals.records import LATEST_NS


def is_guest(span: ReadableSpan) -> bool:
    """Tell whether a span is none of an agent's: not agent work in any dialect, and without an agent's content."""
    attributes = copied_attributes(span)
    if is_agent_work(span.name, attributes) or has_agent_key(attributes):
        return False
    return not any(
        str(event.name).startswith("gen_ai.") or has_agent_key(event.attributes or ()) for event in span.events
    ) and not any(has_agent_key(link.attributes or ()) for link in span.links)


def is_guest_log(record: ReadWriteLogRecord) -> bool:
    """Tell whether a log record is none of an agent's."""
    log = record.log_record
    name = log.event_name or ""
    return not (str(name).startswith(("gen_ai.", "runbundle.")) or has_agent_key(log.attributes or ()))


def masked_span(codec: SpanCodec, given: ReadableSpan) -> ReadableSpan:
    """Return a span of the application's with its secrets masked.

    A span with values of undeclared types is rebuilt, since one that no exporter can write would cost it a whole batch.
    """
    span = given if _is_typed(given) else codec.to_span(given, codec.to_record(given, NO_RUN))
    own = span.attributes  # once: each look makes a new mapping
    name, attributes = mask_text(span.name), _attributes(own)
    events, links = [_event(event) for event in span.events], [_link(link) for link in span.links]
    status, scope, resource = _status(span.status), _scope(span.instrumentation_scope), _resource(span.resource)
    context = _context(span.context)
    parent = _context(span.parent)
    if (
        name == span.name
        and attributes is own
        and all(new is old for new, old in zip(events, span.events, strict=True))
        and all(new is old for new, old in zip(links, span.links, strict=True))
        and status is span.status
        and scope is span.instrumentation_scope
        and resource is span.resource
        and context is span.context
        and parent is span.parent
    ):
        return span
    return ReadableSpan(
        name=name,
        context=context,
        parent=parent,
        resource=resource,
        attributes=attributes,
        events=bounded_list(events, span.dropped_events),
        links=bounded_list(links, span.dropped_links),
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=scope,
    )


def _is_typed(span: ReadableSpan) -> bool:
    times = (span.start_time, span.end_time, *(event.timestamp for event in span.events))
    texts = (span.name, *(event.name for event in span.events))
    return (
        all(type(time_ns) is int and 0 <= time_ns <= LATEST_NS for time_ns in times)
        and all(type(text) is str and text.isascii() for text in texts)
        and span.kind.__class__ is SpanKind
        and span.status.status_code.__class__ is StatusCode
    )


def masked_log(given: ReadWriteLogRecord) -> ReadWriteLogRecord:
    """Return a copy of an application's log record with its secrets masked."""
    log = given.log_record
    copied = type(log)(
        timestamp=log.timestamp,
        observed_timestamp=log.observed_timestamp,
        context=log.context,
        severity_text=log.severity_text and mask_text(log.severity_text),
        severity_number=log.severity_number,
        body=mask_value(log.body),
        attributes=dict(mask_attributes(log.attributes or {})),
        event_name=log.event_name and mask_text(log.event_name),
    )
    resource = _resource(given.resource) if given.resource is not None else None
    return ReadWriteLogRecord(copied, resource, _scope(given.instrumentation_scope), limits=given.limits)


def _attributes(attributes: Any) -> Any:
    if not attributes:
        return attributes
    masked = mask_attributes(attributes)
    if masked is attributes:
        return attributes
    bounded = BoundedAttributes(attributes=dict(masked), immutable=True)
    bounded.dropped = int(getattr(attributes, "dropped", 0))
    return bounded


def _event(event: Event) -> Event:
    name, attributes = mask_text(event.name), _attributes(event.attributes)
    if name == event.name and attributes is event.attributes:
        return event
    return Event(name, attributes, event.timestamp)


def _link(link: Link) -> Link:
    attributes, context = _attributes(link.attributes), _context(link.context)
    return link if attributes is link.attributes and context is link.context else Link(context, attributes)


def _context(context: Any) -> Any:
    if context is None or not context.trace_state:
        return context
    text = context.trace_state.to_header()
    if mask_text(text) == text:
        return context
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags, TraceState())


def _status(status: Status) -> Status:
    text = status.description
    if not text or (shown := mask_text(text)) == text:
        return status
    return Status(status.status_code, shown)


_known: dict[int, tuple[Any, Any]] = {}
"""Resources and scopes by identity, each with its masked form; a process has a handful."""
KNOWN.on_change(_known.clear)


def _resource(resource: Resource) -> Resource:
    return _remembered(resource, _masked_resource)


def _masked_resource(resource: Resource) -> Resource:
    attributes = cast("Mapping[str, Any]", resource.attributes)
    masked, url = mask_attributes(attributes), mask_text(resource.schema_url or "")
    return (
        resource
        if masked is attributes and url == (resource.schema_url or "")
        else Resource(cast("Any", dict(masked)), url)
    )


def _scope(scope: InstrumentationScope | None) -> InstrumentationScope | None:
    return None if scope is None else _remembered(scope, _masked_scope)


def _masked_scope(scope: InstrumentationScope) -> InstrumentationScope:
    texts = [str(text or "") for text in (scope.name, scope.version, scope.schema_url)]
    shown, given = [mask_text(text) for text in texts], cast("Mapping[str, Any]", scope.attributes or {})
    attributes = mask_attributes(given)
    if shown == texts and attributes is given:
        return scope
    return InstrumentationScope(shown[0], shown[1], shown[2], cast("Any", dict(attributes)))


def _remembered(given: Any, shown: Any) -> Any:
    known = _known.get(id(given), (None, None))
    if known[0] is not given:
        if len(_known) > 512:
            _known.clear()
        changes = -1
        while changes != KNOWN.changes:  # a secret that is learned meanwhile may be in what was just made
            changes = KNOWN.changes
            known = (given, shown(given))
        _known[id(given)] = known
    return known[1]
