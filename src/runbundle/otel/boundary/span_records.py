"""Converts spans of the SDK to records and back, by public constructors only.

The SDK freezes a span before it shows it to processors (in SDK 1.45 attributes are immutable in `_on_ending` already),
so a redacted span is a new span.
"""

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, cast

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState

from runbundle.codec.coerce import hex_id, span_record, text_of_scope, time_of
from runbundle.core import native
from runbundle.format.identity import RunKey
from runbundle.journal.lines import Begun, start_line
from runbundle.otel.belonging.span_identity import span_context_of
from runbundle.signals import own
from runbundle.signals.records import ResourceRecord, ScopeRecord, SpanRecord

_COPY_THEMSELVES = frozenset({BoundedAttributes, MappingProxyType, dict})
_INTERNAL, _UNSET = SpanKind.INTERNAL, StatusCode.UNSET
_NO_SCOPE: ScopeRecord = {"name": "", "version": "", "schema_url": "", "attributes": {}}


class SpanCodec:
    """Converts spans; keeps the records of resources and scopes by identity, since a process has a handful."""

    def __init__(self) -> None:
        self._resources: dict[int, tuple[Resource, ResourceRecord]] = {}
        self._scopes: dict[int, tuple[InstrumentationScope, ScopeRecord]] = {}
        self._rebuilt_resources: dict[int, tuple[ResourceRecord, Resource]] = {}

    def to_record(self, span: ReadableSpan, run: RunKey, *, ended: bool = True) -> SpanRecord:
        """Return the raw record of a span. Attribute values of declared types are shared with the span."""
        record: SpanRecord | None = None
        if self._reader is not None and ended == (span.__class__ is ReadableSpan):
            scope, resource = self.scope_record(span.instrumentation_scope), self.resource_record(span.resource)
            record = self._reader.record(span, run.run_id, run.tenant_id, scope, resource)
        if record is None:
            record = self._read(span, run, ended=ended)
        if own.DIALECT in record["attributes"] and record["scope"]["name"] == own.SCOPE:
            del record["attributes"][
                own.DIALECT
            ]  # nobody translates our own spans: it would make of a run's span another
        return record

    def start_line(
        self, span: ReadableSpan, lane: str, label: str, *, is_run: bool = False, begun: Begun | None = None
    ) -> bytes:
        """Return the line of a journal that says that a span has started; see `journal.lines.start_line`."""
        line: bytes | None = None
        if self._reader is not None:
            line = self._reader.start_line(span, lane, label, is_run, begun)
        if line is not None:
            return line
        context, parent, start_ns = span_context_of(span), span.parent, time_of(span.start_time)
        return start_line(
            hex_id(context.trace_id, 32),
            hex_id(context.span_id, 16),
            hex_id(parent.span_id, 16) if parent else "",
            time.time_ns() if start_ns is None else start_ns,
            lane,
            label,
            is_run=is_run,
            begun=begun,
        )

    @cached_property
    def _reader(self) -> Any:
        """The native core's reader of plain spans; None without it."""
        module = native.module()
        if module is None:
            return None
        return module.SpanReader({
            "ended": ReadableSpan,
            "live": getattr(sdk, "_Span", ReadableSpan),
            "context": SpanContext,
            "attributes": BoundedAttributes,
            "list": BoundedList,
            "kind": SpanKind,
            "status": Status,
            "code": StatusCode,
        })  # fmt: skip

    def _read(self, span: ReadableSpan, run: RunKey, *, ended: bool) -> SpanRecord:
        context, parent = span_context_of(span), span.parent
        kind, status = span.kind, span.status
        code = status.status_code
        events, lost_events = _parts(span, "events")
        links, lost_links = _parts(span, "links")
        dropped: dict[str, int] = {}
        if lost := span.dropped_attributes:
            dropped["attributes"] = lost
        if lost_events:
            dropped["events"] = lost_events
        if lost_links:
            dropped["links"] = lost_links
        raw: dict[str, Any] = {
            "run_id": run.run_id,
            "tenant_id": run.tenant_id,
            "trace_id": context.trace_id,
            "span_id": context.span_id,
            "parent_span_id": parent.span_id if parent else "",
            "remote_parent": bool(parent and parent.is_remote),
            "trace_state": _header(context),
            "name": span.name,
            # Of most spans: the value of an enumeration's member is made by a function, 0.4 µs.
            "kind": 0 if kind is _INTERNAL else kind.value if kind.__class__ is SpanKind else -1,
            "start_ns": span.start_time,
            "end_ns": span.end_time,
            "status_code": 0 if code is _UNSET else code.value if code.__class__ is StatusCode else -1,
            "status_message": status.description or "",
            "attributes": _copied(span.attributes),
            "events": [
                {
                    "name": event.name,
                    "time_ns": event.timestamp,
                    "attributes": _copied(event.attributes),
                    "dropped": _dropped(event.attributes),
                }
                for event in events
            ],
            "links": [
                {
                    "trace_id": link.context.trace_id,
                    "span_id": link.context.span_id,
                    "trace_state": _header(link.context),
                    "attributes": _copied(link.attributes),
                    "dropped": _dropped(link.attributes),
                }
                for link in links
            ],
            "scope": self.scope_record(span.instrumentation_scope),
            "resource": self.resource_record(span.resource),
            "dropped": dropped,
        }
        return span_record(raw, ended=ended)

    def resource_record(self, resource: Resource) -> ResourceRecord:
        """Return the record of a resource; the same object for the same resource."""
        known = self._resources.get(id(resource))
        if known is None:
            record: ResourceRecord = {
                "attributes": dict(cast("Mapping[str, Any]", resource.attributes)),
                "schema_url": resource.schema_url or "",
            }
            if len(self._resources) > 256:
                self._resources.clear()
            known = self._resources[id(resource)] = (resource, record)
        return known[1]

    def scope_record(self, scope: InstrumentationScope | None) -> ScopeRecord:
        """Return the record of an instrumentation scope; the same object for the same scope."""
        if scope is None:
            return _NO_SCOPE
        known = self._scopes.get(id(scope))
        if known is None:
            record: ScopeRecord = {
                "name": text_of_scope(scope.name),
                "version": text_of_scope(scope.version or ""),
                "schema_url": text_of_scope(scope.schema_url or ""),
                "attributes": dict(cast("Mapping[str, Any]", scope.attributes or {})),
            }
            if len(self._scopes) > 256:
                self._scopes.clear()
            known = self._scopes[id(scope)] = (scope, record)
        return known[1]

    def to_span(self, span: ReadableSpan, record: SpanRecord) -> ReadableSpan:
        """Build the span for downstream processors: all its text is from the redacted record.

        Only ids, flags, the kind and the counts of dropped parts are taken from the original span.
        """
        return ReadableSpan(
            name=record["name"],
            context=_context(span_context_of(span), record["trace_state"]),
            parent=_context(span.parent, "") if span.parent else None,
            resource=self.to_resource(record["resource"]),
            attributes=_attributes(record["attributes"], span.dropped_attributes),
            events=bounded_list(
                [Event(e["name"], _attributes(e["attributes"], e["dropped"]), e["time_ns"]) for e in record["events"]],
                span.dropped_events,
            ),
            links=bounded_list(
                [
                    Link(_context(link.context, new["trace_state"]), _attributes(new["attributes"], new["dropped"]))
                    for link, new in zip(span.links, record["links"], strict=False)
                ],
                span.dropped_links,
            ),
            kind=span.kind if span.kind.__class__ is SpanKind else SpanKind.INTERNAL,
            status=Status(StatusCode(record["status_code"]), record["status_message"] or None)
            if record["status_code"] == StatusCode.ERROR.value
            else Status(StatusCode(record["status_code"])),
            start_time=record["start_ns"],
            end_time=record["end_ns"],
            instrumentation_scope=to_scope(record["scope"]),
        )

    def to_resource(self, record: ResourceRecord) -> Resource:
        """Build a resource from a redacted record; the same object for the same record."""
        known = self._rebuilt_resources.get(id(record))
        if known is None:
            if len(self._rebuilt_resources) > 256:
                self._rebuilt_resources.clear()
            known = (record, Resource(record["attributes"], record["schema_url"]))
            self._rebuilt_resources[id(record)] = known
        return known[1]


def to_scope(record: ScopeRecord) -> InstrumentationScope:
    """Build an instrumentation scope from a redacted record."""
    return InstrumentationScope(record["name"], record["version"], record["schema_url"], record["attributes"])


def _parts(span: ReadableSpan, name: Literal["events", "links"]) -> tuple[Sequence[Any], int]:
    """Return a span's events or links, and how many of them limits discarded."""
    # A private name, where it is what it was, of a span that the SDK has made: the public one copies a list, 1.2 µs,
    # and nearly all are empty.
    held: Any = getattr(span, f"_{name}", None) if span.__class__ is ReadableSpan else None
    if held.__class__ is BoundedList and not held:
        return (), held.dropped
    if name == "events":
        return span.events, span.dropped_events
    return span.links, span.dropped_links


def _copied(attributes: Any) -> dict[str, Any]:
    # Those of the SDK copy themselves in a third of the time that dict() takes, which asks for each key under a lock.
    if not attributes:
        return {}
    if attributes.__class__ in _COPY_THEMSELVES:
        return attributes.copy()
    return dict(attributes)


def _header(context: SpanContext) -> str:
    state = context.trace_state
    return state.to_header() if state and state.__class__ is TraceState else ""


def _context(context: SpanContext, trace_state: str) -> SpanContext:
    """Copy a span context with only the trace state that may pass."""
    state = TraceState.from_header([trace_state]) if trace_state else TraceState()
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags, state)


def _attributes(attributes: Mapping[str, Any], dropped: int) -> BoundedAttributes:
    bounded = BoundedAttributes(attributes=dict(attributes), immutable=True)
    bounded.dropped = dropped
    return bounded


def bounded_list(items: Sequence[Any], dropped: int) -> Sequence[Any]:
    """Return events or links in the SDK's type, with the number of those that limits discarded."""
    if not dropped:
        return items
    bounded: BoundedList[Any] = BoundedList(len(items))
    bounded.extend(items)
    bounded.dropped = dropped
    return bounded


def _dropped(attributes: Any) -> int:
    return int(getattr(attributes, "dropped", 0))
