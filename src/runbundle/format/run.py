"""run.json, the index of a bundle, and config.snapshot.json. Within v1 a field may be added, never changed."""

from typing import Any, Literal

from pydantic import Field

from runbundle.format.base import (
    CaptureWord,
    ContractRef,
    Count,
    ErrorSummary,
    Finite,
    Moment,
    Nanoseconds,
    Record,
    Sha256,
)

RUN_SCHEMA = "runbundle/run/v1"
CONFIG_SCHEMA = "runbundle/config/v1"
RULES = 1
"""Version of the rules by which run.json, tool_calls.json and evidence.json follow from events.jsonl. A change of what
the same events come to is a new one; a change that old bundles agree with is none."""

RunStatus = Literal["ok", "error", "blocked", "cancelled", "interrupted", "incomplete", "abandoned", "waiting"]


class ConfigPointer(Record):
    """Where the configuration is."""

    path: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")
    """Path within the bundle."""
    sha256: Sha256
    """Of that file, which holds the configuration alone: equal configurations have equal digests."""


class ParentRun(Record):
    """The run that this one was nested in."""

    run_id: str
    """The outer run's id."""
    span_id: str = ""
    """The span of it under which this run began."""


class ChildRun(Record):
    """A run that began within this one."""

    run_id: str
    """Its id."""
    span_id: str
    """The span of this run under which it began."""
    name: str | None = None
    """Its name."""


class Engine(Record):
    """The agent framework in use."""

    name: str
    """Its distribution name."""
    version: str
    """Its version."""


class Git(Record):
    """The commit of the working directory."""

    commit: str
    """Full hash."""
    dirty: bool
    """Whether tracked files differed from it."""


class Versions(Record):
    """What the run was made with; best effort."""

    ai_agents: str | None = None
    """Version of the ai_agents package."""
    runbundle: str | None = None
    """Version of the library that recorded the run."""
    engine: Engine | None = None
    """The agent framework imported."""
    git: Git | None = None
    """Commit of the working directory."""
    python: str | None = None
    """Python version."""
    otel_sdk: str | None = None
    """OpenTelemetry SDK version."""
    providers: dict[str, str] = Field(default_factory=dict[str, str])
    """Model providers' packages that were imported when the process's first run began."""
    models: list[str] = Field(default_factory=list[str])
    """Models that answered, or were asked."""
    semconv: str
    """Schema URL of the semantic conventions in use, or `gen-ai`."""


class ResultSummary(Record):
    """The run's final result."""

    kind: str
    """Type of the value."""
    digest: str | None = None
    """Keyed digest of the value."""
    bytes: Count | None = None
    """Its size as JSON."""
    view: Any = None
    """The fields that the policy lets through."""


class FileEntry(Record):
    """One file of the bundle."""

    path: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")
    """Path within the bundle, `/`-separated."""
    bytes: Count
    """Size."""
    sha256: Sha256
    """Digest of the content."""
    media_type: str
    """`application/json` or `application/x-ndjson`."""


class Counts(Record):
    """How much of what."""

    events: Count
    """Lines of events.jsonl."""
    spans: Count
    """Spans."""
    logs: Count
    """Log records."""
    tool_calls: Count
    """Entries of tool_calls.json."""
    model_calls: Count
    """Spans of model calls."""
    retrievals: Count
    """Spans of retrievals."""
    policy_blocks: Count
    """Tool calls that policy refused."""
    errors: Count
    """Spans that ended in an error."""


class ReceiptTotal(Record):
    """How often one rule did one thing."""

    rule: str
    """`undeclared`, `content`, `contract:<tool>:<selector>`, …"""
    action: str
    """`digest`, `hash`, `mask`, `drop`, `truncate`, `shorten` or `floor`; `found`: it was redacted before,
    elsewhere."""
    count: Count
    """How often, in all spans."""


class RedactionSummary(Record):
    """By which rules the run was redacted, and what they did."""

    policy: Sha256 | None = None
    """Digest of the policy."""
    contracts: dict[str, ContractRef] = Field(default_factory=dict[str, ContractRef])
    """Contracts that were applied, by tool."""
    key_id: str | None = None
    """Which key the digests were made with; not the key."""
    totals: list[ReceiptTotal] = Field(default_factory=list[ReceiptTotal])
    """Sum of all receipts."""
    masked: dict[str, int] | None = None
    """Credentials that were still found in the bundle when it was sealed, and masked there, by rule."""
    content_mode: Literal["digest", "debug"] = "digest"
    """Whether prompts and outputs are digests only."""


class Completeness(Record):
    """What was expected, what arrived, and what was lost."""

    state: Literal["complete", "crashed", "lossy", "unknown"]
    """`complete` only if nothing is known to be missing."""
    spans_expected: Count | None = None
    """Spans that the run's processes say they started."""
    spans_seen: Count
    """Spans that arrived."""
    open_spans: list[str] = Field(default_factory=list[str])
    """Ids of spans that started and never ended."""
    cut_off: list[str] | None = None
    """Ids of spans that a process left open when it died, before the run was resumed: that is all there was."""
    dropped: dict[str, Count] = Field(default_factory=dict[str, Count])
    """Losses by reason."""
    late: Count = 0
    """Spans and logs that came after the first seal, and are in this revision."""
    roots: Count = 1
    """Spans that claim to be the run; more than one means that two runs shared an id. A resumption does not count."""
    capture: dict[CaptureWord, Count] | None = None
    """How many captured values there are by what became of them. Only `whole` and `oversize` ones compare."""
    grace_s: Finite | None = None
    """Seconds for which spans that were still open when the run had ended were waited for, in vain."""


class RunIndex(Record):
    """run.json: who, when, how it went, and the digest of every other file. Written last."""

    schema_: Literal["runbundle/run/v1"] = Field(default=RUN_SCHEMA, alias="schema")
    """Format and version."""
    rules: int | None = None
    """Version of the rules it was assembled by; absent in bundles that are older than the field."""
    self_sha256: Sha256 | None = None
    """Digest of run.json's canonical bytes without this field; absent in bundles that are older than the field."""
    run_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    """The run."""
    name: str | None = None
    """What the run is called."""
    attempt: Count | None = None
    """Which attempt at its work it is, if it was said to be one: the last of those under this id."""
    case_id: str | None = None
    """The case of a test set that it ran: what pairs a candidate with its baseline."""
    repeat: Count | None = None
    """Which repetition of the case it is."""
    request_id: str | None = None
    """The request that caused it: kept, or a marker, by policy."""
    tenant_id: str | None = None
    """Whose it is."""
    user_id: str | None = None
    """For whom it ran: kept, a keyed digest, or absent, by policy."""
    session_id: str | None = None
    """The conversation it is part of: kept, or a marker, by policy."""
    parent_run: ParentRun | None = None
    """The run it was nested in."""
    children: list[ChildRun] | None = None
    """The runs that began within it, in the order of their ids."""
    claimed: str | None = None
    """The run that the request claimed to be a part of, without proof: its id, or a keyed digest of the claim."""
    resumed_from: str | None = None
    """The checkpoint from which a run that had been cut off went on under its id."""
    started_at: Moment
    """RFC 3339, nanoseconds, UTC."""
    ended_at: Moment
    """RFC 3339, nanoseconds, UTC."""
    duration_ns: Nanoseconds
    """Nanoseconds, as decimal text."""
    status: RunStatus
    """How it ended."""
    error: ErrorSummary | None = None
    """Why, if it did not end well."""
    config: ConfigPointer
    """The configuration."""
    versions: Versions
    """What it was made with."""
    result: ResultSummary | None = None
    """What came out."""
    files: list[FileEntry]
    """Every other file of the bundle's core."""
    counts: Counts
    """How many spans, events, calls and errors."""
    usage: dict[str, Count] = Field(default_factory=dict[str, Count])
    """Tokens."""
    trace_ids: list[str]
    """The traces it spans."""
    redaction: RedactionSummary
    """By which rules it was redacted."""
    completeness: Completeness
    """What is known to be missing."""
    revision: Count = 1
    """1, or higher if data came after the first seal."""
    supersedes: Sha256 | None = None
    """Digest of the run.json that this one replaces."""
    determinism: dict[str, Any] | None = None
    """What a replay needs to know. Reserved: nothing writes it yet."""


class ConfigSnapshot(Record):
    """config.snapshot.json: the resolved configuration without its secrets."""

    schema_: Literal["runbundle/config/v1"] = Field(default=CONFIG_SCHEMA, alias="schema")
    """Format and version."""
    config: Any = None
    """The configuration, or null if the run was given none."""
