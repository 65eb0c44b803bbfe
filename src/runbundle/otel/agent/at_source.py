"""Our own content on spans: raw where our boundary owns every way out, redacted before it is set anywhere else.

Elsewhere means: before `configure()`, after `shutdown()`, and on a provider that somebody else has built, whose
exporters are handed the span as it is. A span that is not recording costs nothing.
"""

from collections.abc import Mapping, Sequence
from time import time_ns
from typing import Any, cast

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import Link, Span, SpanKind

from runbundle.format.identity import NO_RUN, RunKey, tenant_of
from runbundle.otel import active
from runbundle.otel.belonging.originals import Originals, context_with_originals
from runbundle.redaction.captured import Said, with_said
from runbundle.redaction.markers import marker
from runbundle.redaction.permitted.values import allowed
from runbundle.signals import own, semconv
from runbundle.signals.keys import SPAN_KEYS
from runbundle.signals.names import derived_names
from runbundle.signals.records import EventRecord, ResourceRecord, ScopeRecord, SpanRecord

_OUR_SCOPE: ScopeRecord = {"name": own.SCOPE, "version": "", "schema_url": "", "attributes": {}}
_NO_RESOURCE: ResourceRecord = {"attributes": {}, "schema_url": ""}
_ABOUT = (semconv.TOOL_NAME, own.RECEIPT, own.MESSAGES)
"""Attributes by which further values of a span are redacted, or that are extended by each of them."""
_UNNAMED = marker("name")
_PLAIN = frozenset({"name", "id", "number", "own"})


def start_span(name: str, context: Context, kind: SpanKind, attributes: dict[str, Any], links: Sequence[Link]) -> Span:
    """Start a span for an agent's work; values that exporters may see raw are redacted before they are on it.

    On a provider that the application built, the span shows redacted values, and the originals are kept in memory for
    the bundle until it ends.
    """
    handle = active.get()
    if _owns(handle):
        return active.tracer().start_span(name, context, kind, attributes, links)
    plain = {key: value for key, value in attributes.items() if _is_plain(key, value)}
    shown = (
        name
        if name in derived_names(plain)[1]
        else active.redactor_at_source(handle).shown_name(name, plain, tenant_of(plain.get(own.TENANT_ID)))
    )
    originals = None
    if handle is not None:
        originals = Originals(name, attributes)
        originals.shown_name, originals.shown = shown, dict(plain)
        context = context_with_originals(originals, context)
    span = active.tracer().start_span(shown, context, kind, plain, links)
    if (len(plain) < len(attributes) or shown != name) and span.is_recording():
        redacted = active.redactor_at_source(handle).redact_span(_record(span, attributes, name=name))["attributes"]
        _put(span, {key: value for key, value in redacted.items() if key not in plain}, originals)
    return span


def set_attributes(span: Span, attributes: Mapping[str, Any]) -> None:
    """Set attributes on any span: redacted first, unless the span is on a provider that our boundary owns."""
    if _owned(span):
        span.set_attributes(attributes)
    elif span.is_recording():
        originals = _originals_of(span)
        if originals is not None:
            originals.add(attributes)
        _show(span, attributes, _said_by(span), originals)


def set_value(span: Span, key: str, text: str, said: Said) -> None:
    """Set a captured value on a span, and replace what `runbundle.capture` said of that key.

    The value is redacted first, unless the span is on a provider that our boundary owns. Does nothing on a span that
    does not record.
    """
    owned = _owned(span)
    if not owned and not span.is_recording():
        return
    originals = None if owned else _originals_of(span)
    known = originals.attributes if originals is not None else _said_by(span)
    words = known.get(own.CAPTURE)
    attributes = {key: text}
    if words is not None or said.word != "whole" or said.chunked:
        attributes[own.CAPTURE] = with_said(words, {key: said})
    if owned:
        span.set_attributes(attributes)
        return
    if originals is not None:
        originals.add(attributes)
    _show(span, attributes, _said_by(span), originals)


def add_event(span: Span, name: str, attributes: Mapping[str, Any]) -> None:
    """Add an event to any span: redacted first, unless the span is on a provider that our boundary owns."""
    if _owned(span):
        span.add_event(name, attributes)
        return
    if not span.is_recording():
        return
    now, originals, said = time_ns(), _originals_of(span), _said_by(span)
    given: EventRecord = {"name": name, "time_ns": now, "attributes": dict(attributes), "dropped": 0}
    number = len(getattr(span, "events", ()))
    record = _record(span, {key: said[key] for key in _ABOUT if key in said}, [given])
    redacted = active.redactor_at_source(active.get()).redact_span(record, first_event=number)
    for event in redacted["events"]:
        span.add_event(event["name"], event["attributes"], now)
        if originals is not None:
            originals.events.append((event["name"], now, name, dict(attributes)))
    _put(span, {own.RECEIPT: redacted["attributes"][own.RECEIPT]}, originals)


def record_exception(span: Span, error: BaseException, attributes: Mapping[str, Any] | None) -> None:
    """Record an exception as the SDK does, as an event of the span; redacted as `add_event` does."""
    if _owned(span):
        span.record_exception(error, attributes)
    elif span.is_recording():
        SdkSpan.record_exception(cast("SdkSpan", _Adding(span)), error, attributes)


class _Adding:
    """Stands for a span in the SDK's own `record_exception`, which adds an event and does nothing else."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def add_event(self, name: str, attributes: Mapping[str, Any], timestamp: int | None = None) -> None:  # noqa: ARG002
        add_event(self._span, name, attributes)


def _owns(handle: active.ActiveConfiguration | None) -> bool:
    """Tell whether all that sees the spans of a configuration is behind its boundary."""
    return handle is not None and handle.owns_provider


def _owned(span: Span) -> bool:
    # A private name: without it no span is known to be ours, and all are redacted here.
    return getattr(getattr(span, "_span_processor", None), "on_own_provider", False) is True


def _is_plain(key: str, value: Any) -> bool:
    """Tell whether an attribute may stand as it is, whatever else is on the span."""
    kind = SPAN_KEYS.get(key)
    return kind in _PLAIN and allowed(kind, key, value) and key != own.CAPTURE


def _show(span: Span, attributes: Mapping[str, Any], said: Mapping[str, Any], originals: Originals | None) -> None:
    """Set attributes redacted, by what the span already says of its tool and its redaction."""
    if all(_is_plain(key, value) for key, value in attributes.items()):
        _put(span, dict(attributes), originals)
        return
    about = {key: said[key] for key in _ABOUT if key in said and key not in attributes}
    record = _record(span, {**about, **attributes})
    redacted = active.redactor_at_source(active.get()).redact_span(record)["attributes"]
    _put(span, {key: value for key, value in redacted.items() if about.get(key) != value}, originals)


def _put(span: Span, shown: dict[str, Any], originals: Originals | None) -> None:
    span.set_attributes(shown)
    if originals is not None:
        originals.shown.update(shown)


def _said_by(span: Span) -> Mapping[str, Any]:
    return getattr(span, "attributes", None) or {}


def _originals_of(span: Span) -> Originals | None:
    """Return where to keep what a live span is given and does not show; None for one that no bundle will have."""
    handle = active.get()
    return handle.membership.originals_of(span) if handle is not None else None


def _run_of(span: Span) -> RunKey:
    """Return whose span it is, since digests differ by tenant."""
    handle = active.get()
    if handle is not None:
        member = handle.membership.member_of(span)
        return member.key if member is not None else NO_RUN
    said = _said_by(span)
    return RunKey(tenant_of(said.get(own.TENANT_ID)), str(said.get(own.RUN_ID, "")))


def _record(
    span: Span, attributes: Mapping[str, Any], events: Sequence[EventRecord] = (), name: str = _UNNAMED
) -> SpanRecord:
    run = _run_of(span)
    return {
        "run_id": run.run_id, "tenant_id": run.tenant_id, "trace_id": "", "span_id": "", "parent_span_id": "",
        "remote_parent": False, "trace_state": "", "name": name, "kind": 0, "start_ns": 0, "end_ns": 0,
        "status_code": 0, "status_message": "", "attributes": dict(attributes), "events": list(events), "links": [],
        "scope": _OUR_SCOPE, "resource": _NO_RESOURCE, "dropped": {},
    }  # fmt: skip
