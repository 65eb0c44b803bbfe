"""tool_calls.json."""

from typing import Any, Literal

from pydantic import Field

from runbundle.format.base import CaptureWord, ContractRef, Count, ErrorSummary, Moment, Nanoseconds, Record, Whole


class Redaction(Record):
    """One thing that redaction did to a payload."""

    path: str
    """Where: `arguments/customer/email`."""
    rule: str
    """Because of what."""
    action: str
    """What was done."""


class Payload(Record):
    """Arguments or result of a call."""

    view: Any = None
    """What the contract lets through; null without a contract."""
    digest: str | None = None
    """Keyed digest of the whole, or absent: equal payloads have equal ones. Of an abandoned stream, of what it gave."""
    bytes: Count | None = None
    """Size of the whole as JSON."""
    capture: CaptureWord = "whole"
    """What became of it before redaction. Digests compare only where this is `whole` or `oversize`."""
    chunked: bool = False
    """Whether it is a sequence of a stream's items, whose digest the same answer in other items does not have."""
    redactions: list[Redaction] = Field(default_factory=list[Redaction])
    """What is missing from the view, and why."""


class PolicyOutcome(Record):
    """Whether the call might run."""

    decision: Literal["allowed", "blocked", "approved", "denied"]
    """The decision."""
    rule: str | None = None
    """The rule it was made by."""
    reason: str | None = None
    """The reason, as redaction left it."""


class ToolCall(Record):
    """One call of a tool."""

    call_id: str
    """The model's id of the call, else the span's id."""
    tool: str
    """The tool's name."""
    contract: ContractRef | None
    """The contract that was applied, or null: the tool is undeclared."""
    trace_id: str
    """Trace of the call's span."""
    span_id: str
    """The call's span."""
    parent_span_id: str | None = None
    """The span above it."""
    agent: str | None = None
    """The agent that called."""
    started_at: Moment
    """RFC 3339, nanoseconds, UTC."""
    duration_ns: Nanoseconds
    """Nanoseconds, as decimal text."""
    status: str
    """`ok`, `error`, `unset`, `blocked`, `cancelled`, `interrupted`, `abandoned` or `waiting`."""
    error: ErrorSummary | None = None
    """What went wrong."""
    policy: PolicyOutcome
    """What policy said."""
    side_effects: Literal["none", "read", "write", "destructive", "unknown"]
    """From the contract."""
    attempt: Whole = 1
    """1, or higher for a retry."""
    arguments: Payload | None = None
    """What it was called with."""
    result: Payload | None = None
    """What it returned."""


class ToolCalls(Record):
    """All tool calls of a run, in the order in which they started."""

    schema_: Literal["runbundle/tool_calls/v1"] = Field(default="runbundle/tool_calls/v1", alias="schema")
    """Format and version."""
    run_id: str
    """The run."""
    calls: list[ToolCall]
    """Empty if no tool was called."""
