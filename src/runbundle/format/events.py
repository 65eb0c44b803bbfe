"""One line of events.jsonl."""

from typing import Any, Literal

from pydantic import Field

from runbundle.format.base import CaptureWord, Count, ErrorSummary, Nanoseconds, Record, Whole

EventType = Literal[
    "run.started", "run.ended", "span.started", "span.ended", "span.event", "log", "policy.decision", "score"
]


class ScopeRef(Record):
    """The instrumentation library."""

    name: str | None = None
    """Its name."""
    version: str | None = None
    """Its version."""


class LinkRef(Record):
    """A link to another span."""

    trace_id: str
    """Its trace."""
    span_id: str
    """Its id."""


class Event(Record):
    """Something that happened, in canonical order: (`time_ns`, trace, span, rank of type, position in the span)."""

    seq: Count
    """From 0, without gaps."""
    time_ns: Nanoseconds
    """Nanoseconds since 1970, as decimal text."""
    type: EventType
    """What happened. `span.started` is derived from the span, so it is there whether or not the start was seen."""
    trace_id: str = Field(pattern="^[0-9a-f]{32}$")
    """32 hex digits; zeros for a log record outside any span."""
    span_id: str = Field(pattern="^[0-9a-f]{16}$")
    """16 hex digits; zeros for a log record outside any span."""
    parent_span_id: str | None = None
    """On span lines: the parent, unless the span is the root of its trace."""
    remote_parent: bool = False
    """Whether the parent is not part of this run."""
    parent_missing: bool = False
    """Whether it should be: it was a span of the same process. A sampler dropped it, or it was lost."""
    name: str
    """Name of the span, event or log event."""
    op: Literal["run", "agent", "step", "tool", "model", "retrieval", "other"] | None = None
    """On span lines and span events: what kind of work it is."""
    lane: str | None = None
    """On `span.started`: the path of named scopes above the span."""
    effect: str | None = None
    """On `span.started` of tools, models and retrievals: the lane in which its task or thread was spawned, and its
    place among the effects there. The same agent gives the same ones, however its tasks were scheduled; absent where
    that cannot be known."""
    joined: Literal["signed", "trace", "token", "any"] | None = None
    """On `span.started`: how a span whose parent is in another process came to this run."""
    capture: dict[str, CaptureWord] | None = None
    """On `span.ended`: what became of each captured value, by attribute key."""
    source: Literal["span_event", "log"] | None = None
    """Where an event came from."""
    status: str | None = None
    """On ends: `ok`, `error`, `unset`, `blocked`, `cancelled`, `interrupted`, `abandoned` or `waiting`."""
    duration_ns: Nanoseconds | None = None
    """On `span.ended`: nanoseconds, as decimal text."""
    error: ErrorSummary | None = None
    """On `span.ended`: what went wrong."""
    redactions: Count | None = None
    """On `span.ended`: how many redactions its receipt counts."""
    severity: Whole | None = None
    """On logs: the severity number of OpenTelemetry."""
    scope: ScopeRef | None = None
    """On `span.ended`: who instrumented it."""
    links: list[LinkRef] | None = None
    """On `span.started`: links to other spans."""
    dropped: dict[str, Whole] | None = None
    """On `span.ended`: what the SDK's limits discarded."""
    attributes: dict[str, Any]
    """Redacted attributes."""
