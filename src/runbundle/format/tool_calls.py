"""Model of tool_calls.json."""

from typing import Any, Literal

from pydantic import Field

from runbundle.format.base import ContractRef, Count, ErrorSummary, Moment, Nanoseconds, Record, Whole
from runbundle.format.words import CaptureWord


class Redaction(Record):
    """One redaction of a payload."""

    path: str
    """Path of the value that was redacted: `arguments/customer/email`."""
    rule: str
    """Name of the rule; `runbundle explain RULE` describes it."""
    action: str
    """The action that was taken, such as `mask`."""


class PayloadEntry(Record):
    """The arguments or the result of a tool call."""

    view: Any = None
    """The parts that the contract keeps; null if the tool has no contract."""
    digest: str | None = None
    """Keyed digest of the whole payload: equal payloads have equal digests. For an abandoned stream it covers the items
    that were read. Absent if the payload was not captured as a whole."""
    bytes: Count | None = None
    """Size of the whole payload as JSON, in bytes."""
    capture: CaptureWord = "whole"
    """How completely the payload was captured before redaction. Compare digests only if this is `whole` or
    `oversize`."""
    chunked: bool = False
    """Whether the payload is the list of a stream's items. The same answer, cut into other items, has another
    digest."""
    redactions: list[Redaction] = Field(default_factory=list[Redaction])
    """The redactions: which parts are missing from `view`, and by which rule."""


class PolicyOutcome(Record):
    """The decision whether the call may run."""

    decision: Literal["allowed", "blocked", "approved", "denied"]
    """The decision."""
    rule: str | None = None
    """Name of the rule that decided."""
    reason: str | None = None
    """Reason for the decision, redacted."""


class CallEntry(Record):
    """One call of a tool."""

    call_id: str
    """Id that the model gave the call; the span's id if it gave none."""
    tool: str
    """Name of the tool."""
    contract: ContractRef | None
    """The contract that was applied; null if the tool has none."""
    trace_id: str
    """Id of the trace of the call's span."""
    span_id: str
    """Id of the call's span. Of several spans that tell of one call it is the outermost, or the first."""
    also: list[str] | None = None
    """Ids of further spans that tell of the same call, such as that of an MCP server: what the call's span does not say
    is taken from them. At most 1000 are listed; absent if there are none."""
    parent_span_id: str | None = None
    """Id of the parent span."""
    agent: str | None = None
    """Name of the agent that made the call."""
    started_at: Moment
    """Time at which the call began: RFC 3339, UTC, with nanoseconds."""
    duration_ns: Nanoseconds
    """Duration of the call in nanoseconds, as decimal text."""
    status: str
    """Status of the span: `ok`, `error`, `unset`, `blocked`, `cancelled`, `interrupted`, `abandoned` or `waiting`."""
    error: ErrorSummary | None = None
    """The error that ended the call."""
    policy: PolicyOutcome
    """The decision of the policy about this call."""
    side_effects: Literal["none", "read", "write", "destructive", "unknown"]
    """The strongest effect that the tool can have, by its contract; `unknown` without a contract."""
    attempt: Whole = 1
    """Number of the attempt: 1, or higher for a retry."""
    arguments: PayloadEntry | None = None
    """The arguments of the call; null if they were not recorded."""
    result: PayloadEntry | None = None
    """The result of the call; null if there is none."""


class ToolCalls(Record):
    """tool_calls.json: all tool calls of a run, in the order in which they started."""

    schema_: Literal["runbundle/tool_calls/v1"] = Field(default="runbundle/tool_calls/v1", alias="schema")
    """Name and version of the format."""
    run_id: str
    """Id of the run."""
    calls: list[CallEntry]
    """The calls; empty if no tool was called."""
