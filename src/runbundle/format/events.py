"""Model of one line of events.jsonl."""

from typing import Any, Literal

from pydantic import Field

from runbundle.format.base import Count, ErrorSummary, Nanoseconds, Record, Whole
from runbundle.format.words import CaptureWord

EventType = Literal[
    "run.started", "run.ended", "span.started", "span.ended", "span.event", "log", "policy.decision", "score"
]


class ScopeRef(Record):
    """The instrumentation library that recorded a span."""

    name: str | None = None
    """Name of the library."""
    version: str | None = None
    """Version of the library."""


class LinkRef(Record):
    """A link to another span."""

    trace_id: str
    """Id of the other span's trace, 32 hex digits."""
    span_id: str
    """Id of the other span, 16 hex digits."""


class Event(Record):
    """One event of a run. Events are sorted by time, trace, span, type and position within the span."""

    seq: Count
    """Number of the line, from 0, without gaps."""
    time_ns: Nanoseconds
    """Time of the event: nanoseconds since 1970-01-01 UTC, as decimal text."""
    type: EventType
    """Kind of event. Every span has a `span.started`, which is derived from the span's start time, and a
    `span.ended`."""
    trace_id: str = Field(pattern="^[0-9a-f]{32}$")
    """Id of the trace, 32 hex digits; zeros for a log record outside any span."""
    span_id: str = Field(pattern="^[0-9a-f]{16}$")
    """Id of the span, 16 hex digits; zeros for a log record outside any span."""
    parent_span_id: str | None = None
    """On `span.started` and `span.ended`: id of the parent span. Absent on the root of a trace."""
    remote_parent: bool = False
    """Whether the parent span is not part of this bundle."""
    parent_missing: bool = False
    """Whether the parent is missing: it was a span of the same process, so a sampler dropped it or it was lost."""
    name: str
    """Name of the span, of the span event, or of the log event."""
    op: Literal["run", "agent", "step", "tool", "model", "retrieval", "other"] | None = None
    """On spans and span events: the kind of work that the span does."""
    lane: str | None = None
    """On `span.started`: the names of the scopes above the span, as a path."""
    effect: str | None = None
    """On `span.started` of tools, models and retrievals: a name for the call that is the same in each run of the same
    agent, however its tasks were scheduled. It consists of the lane in which the task or thread was spawned and the
    call's number there. Absent if it cannot be determined."""
    joined: Literal["signed", "trace", "token", "any", "id"] | None = None
    """On `span.started`, if the span came to the run from elsewhere: why it was taken into this run. `signed`, `any`:
    its request named the run. `trace`: the run is that of its trace. `id`: its spans carry the run's id, or that of the
    run's conversation."""
    capture: dict[str, CaptureWord] | None = None
    """On `span.ended`: how completely each value was captured, by attribute key."""
    source: Literal["span_event", "log"] | None = None
    """Whether the event was a span event or a log record."""
    status: str | None = None
    """On `span.ended` and `run.ended`: `ok`, `error`, `unset`, `blocked`, `cancelled`, `interrupted`, `abandoned` or
    `waiting`."""
    duration_ns: Nanoseconds | None = None
    """On `span.ended`: duration of the span in nanoseconds, as decimal text."""
    error: ErrorSummary | None = None
    """On `span.ended`: the error that ended the span."""
    redactions: Count | None = None
    """On `span.ended`: number of redactions that the span's receipt counts."""
    severity: Whole | None = None
    """On `log`: the severity number of OpenTelemetry, 1 to 24."""
    scope: ScopeRef | None = None
    """On `span.ended`: the library that recorded the span."""
    links: list[LinkRef] | None = None
    """On `span.started`: the span's links to other spans."""
    dropped: dict[str, Whole] | None = None
    """On `span.ended`: number of attributes, events and links that the limits of the OpenTelemetry SDK discarded."""
    attributes: dict[str, Any]
    """The attributes, redacted."""
