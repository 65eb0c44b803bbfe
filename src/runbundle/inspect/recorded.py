"""What programs are given of one span of a sealed run."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RecordedSpan:
    """One span of a sealed run."""

    span_id: str
    """Id of the span, 16 hex digits."""
    trace_id: str
    """Id of its trace, 32 hex digits."""
    parent_id: str | None
    """Id of the parent, if that is a span of this run."""
    name: str
    """Name of the span; beyond 512 characters it is cut."""
    op: str
    """Kind of work: `run`, `agent`, `step`, `tool`, `model`, `retrieval` or `other`."""
    lane: str
    """Names of the scopes above the span, as a path; empty for none."""
    tool: str
    """Name of the tool that was called; empty for none."""
    model: str
    """Name of the model that was asked; empty for none."""
    status: str
    """How it ended: `ok`, `unset`, `error`, `blocked`, `cancelled`, `interrupted`, `abandoned` or `waiting`."""
    start_ns: int
    """Time of the start: nanoseconds since 1970."""
    duration_ns: int | None
    """Duration in nanoseconds; None if the span never ended."""
    tokens_in: int
    """Number of tokens that went into the model, as the span says."""
    tokens_out: int
    """Number of tokens that came out of the model, as the span says."""
    withheld: int
    """Number of redactions of the span, at most 65,535."""


@dataclass(frozen=True)
class SpanError:
    """A span that failed by itself, not because a span below it did."""

    span: RecordedSpan
    """The span."""
    path: tuple[str, ...]
    """Names of the spans from the outermost down to this one."""
    type: str
    """Name of the exception's type; empty if there was no exception, as for a span that never ended."""
    message: str
    """The redacted message: a marker, unless the tool's contract keeps the message."""
    frames: tuple[str, ...]
    """The stack, `file.py:line in function`, innermost last."""
    arguments: Any
    """What the contract keeps of the arguments, if the span is a tool call."""
    result: Any
    """What the contract keeps of the result, if the span is a tool call."""
    policy: dict[str, str]
    """The last decision of policy about the call: `decision`, `rule`, `reason`, `tool`, as far as they were said."""
