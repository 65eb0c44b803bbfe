"""The plain record that a span becomes at the edge, once, and stays until it is a line of a journal.

Records are dicts, not models: one is made for every span, and everything on that path works on plain values.
"""

from typing import Any, TypedDict

from runbundle.format.identity import RunKey

Attributes = dict[str, Any]
"""Attribute values as OpenTelemetry allows them: str, bool, int, float, bytes, None, and lists and maps of these."""

LATEST_NS = 2**63 - 1
"""The last time that a record can have, in 2262. The first is 0, the beginning of 1970."""

_TIMES = ("start_ns", "end_ns", "events.time_ns", "time_ns")
REPLACED = frozenset(f"{word}:replaced" for word in _TIMES)
"""Said of a time that was none, or not between 1970 and 2262: another stands in its place."""
COERCED_WORDS = REPLACED | frozenset(
    (
        *_TIMES, "trace_id", "span_id", "parent_span_id", "name", "kind", "status_code", "status_message",
        "attributes", "events.name", "events.attributes", "links.trace_id", "links.span_id", "links.attributes",
        "severity", "severity_text", "event_name", "body",
    )
)  # fmt: skip
"""All that `runbundle.coerced` may say: a field that was given as another type, or as what JSON cannot hold."""


class EventRecord(TypedDict):
    """A span event."""

    name: str
    time_ns: int
    attributes: Attributes
    dropped: int


class LinkRecord(TypedDict):
    """A link to another span."""

    trace_id: str
    span_id: str
    trace_state: str
    attributes: Attributes
    dropped: int


class ScopeRecord(TypedDict):
    """The instrumentation library that made the span."""

    name: str
    version: str
    schema_url: str
    attributes: Attributes


class ResourceRecord(TypedDict):
    """The process that made the span."""

    attributes: Attributes
    schema_url: str


class SpanRecord(TypedDict):
    """One ended span. Ids are lower-case hex, times are nanoseconds since 1970."""

    run_id: str
    tenant_id: str
    """Whose run it is; "" for a run without a tenant."""
    trace_id: str
    span_id: str
    parent_span_id: str
    """Empty for the root of a trace."""
    remote_parent: bool
    trace_state: str
    name: str
    kind: int
    start_ns: int
    end_ns: int
    status_code: int
    """0 unset, 1 ok, 2 error, as in OTLP."""
    status_message: str
    attributes: Attributes
    events: list[EventRecord]
    links: list[LinkRecord]
    scope: ScopeRecord
    resource: ResourceRecord
    dropped: dict[str, int]
    """What the SDK's limits discarded: `attributes`, `events`, `links`. Empty if nothing."""


class LogRecordDict(TypedDict):
    """One log record."""

    run_id: str
    tenant_id: str
    trace_id: str
    span_id: str
    time_ns: int
    severity: int
    severity_text: str
    event_name: str
    body: Any
    attributes: Attributes
    scope: ScopeRecord
    resource: ResourceRecord
    dropped: int


def run_of(record: SpanRecord | LogRecordDict) -> RunKey:
    """Return the run that a record is part of."""
    return RunKey(record["tenant_id"], record["run_id"])
