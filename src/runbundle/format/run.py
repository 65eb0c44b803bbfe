"""Models of run.json, the index of a bundle, and config.snapshot.json. Within v1 fields may be added, not changed."""

from typing import Any, Literal

from pydantic import Field

from runbundle.format.base import ContractRef, Count, ErrorSummary, Finite, Moment, Nanoseconds, Record, Sha256
from runbundle.format.words import CONFIG_SCHEMA, RUN_SCHEMA, CaptureWord

RunStatus = Literal["ok", "error", "blocked", "cancelled", "interrupted", "incomplete", "abandoned", "waiting"]


class ConfigPointer(Record):
    """The path and digest of the configuration."""

    path: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")
    """Path of the configuration within the bundle."""
    sha256: Sha256
    """SHA-256 of that file. It holds only the configuration, so equal configurations have equal digests."""


class ParentRun(Record):
    """The outer run of a nested run."""

    run_id: str
    """Id of the outer run."""
    span_id: str = ""
    """Id of the outer run's span under which this run began."""


class ChildRun(Record):
    """A run that began within this run."""

    run_id: str
    """Id of the inner run."""
    span_id: str
    """Id of this run's span under which the inner run began."""
    name: str | None = None
    """Name of the inner run."""


class Engine(Record):
    """The agent framework that the run used."""

    name: str
    """Name of the framework's package."""
    version: str
    """Version of the framework's package."""


class Git(Record):
    """The commit of the working directory."""

    commit: str
    """Full hash of the commit."""
    dirty: bool
    """Whether tracked files differed from the commit."""


class Versions(Record):
    """Versions of the software that made the run, as far as they could be determined."""

    ai_agents: str | None = None
    """Version of the ai_agents package."""
    runbundle: str | None = None
    """Version of the library that recorded the run."""
    engine: Engine | None = None
    """The agent framework that was imported."""
    git: Git | None = None
    """Commit of the working directory."""
    python: str | None = None
    """Version of Python."""
    otel_sdk: str | None = None
    """Version of the OpenTelemetry SDK."""
    providers: dict[str, str] = Field(default_factory=dict[str, str])
    """Versions of model providers' packages that were imported when the process's first run began, by package."""
    models: list[str] = Field(default_factory=list[str])
    """Names of the models that were asked or answered, sorted."""
    semconv: str
    """Schema URL of the semantic conventions that the spans follow; `gen-ai` if no span names one."""


class ResultSummary(Record):
    """The final result of a run."""

    kind: str
    """Name of the value's type; `messages` for the messages of an agent, `unknown` if nobody said it."""
    digest: str | None = None
    """Keyed digest of the value."""
    bytes: Count | None = None
    """Size of the value as JSON, in bytes."""
    view: Any = None
    """The parts of the value that the policy keeps."""


class FileEntry(Record):
    """One sealed file of the bundle."""

    path: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")
    """Path within the bundle, `/`-separated."""
    bytes: Count
    """Size of the file in bytes."""
    sha256: Sha256
    """SHA-256 of the content, in hex."""
    media_type: str
    """`application/json` or `application/x-ndjson`."""


class Counts(Record):
    """Numbers of events, spans, calls and errors."""

    events: Count
    """Number of lines of events.jsonl."""
    spans: Count
    """Number of spans."""
    logs: Count
    """Number of log records."""
    tool_calls: Count
    """Number of entries of tool_calls.json: of calls, not of spans."""
    model_calls: Count
    """Number of model calls. Spans of one call count once: those with one response id, and one within another. By rules
    1 it is the number of spans of model calls and of embeddings."""
    embeddings: Count | None = None
    """Number of calls of embedding models; absent if there are none, and by rules 1."""
    retrievals: Count
    """Number of spans of retrievals."""
    policy_blocks: Count
    """Number of tool calls that the policy refused."""
    errors: Count
    """Number of spans that ended in an error."""


class ReceiptTotal(Record):
    """How often one rule took one action."""

    rule: str
    """Name of the rule: `undeclared`, `content`, `contract:<tool>:<selector>`, … `runbundle explain RULE` describes
    it."""
    action: str
    """The action: `digest`, `hash`, `mask`, `drop`, `truncate`, `shorten` or `floor`; `found` if the value had already
    been redacted elsewhere."""
    count: Count
    """Number of times, in all spans together."""


class RedactionSummary(Record):
    """The rules by which the run was redacted, and how often each acted."""

    policy: Sha256 | None = None
    """SHA-256 of the redaction policy."""
    contracts: dict[str, ContractRef] = Field(default_factory=dict[str, ContractRef])
    """The contracts that were applied, by name of the tool."""
    key_id: str | None = None
    """A name for the key that the digests were made with; it does not reveal the key."""
    totals: list[ReceiptTotal] = Field(default_factory=list[ReceiptTotal])
    """Sums of the receipts of all spans."""
    masked: dict[str, int] | None = None
    """Number of credentials that were found and masked only when the bundle was sealed, by rule."""
    content_mode: Literal["digest", "debug"] = "digest"
    """`digest` if prompts and outputs were kept only as digests; `debug` if they are also in the encrypted vault."""


class Completeness(Record):
    """The numbers of records that were expected, arrived and were lost."""

    state: Literal["complete", "crashed", "lossy", "unknown"]
    """`complete` if nothing is known to be missing, `crashed` if the run's own span never ended, `lossy` if records are
    missing, `unknown` if nobody said how many spans there were."""
    spans_expected: Count | None = None
    """Number of spans that the run's processes say they started; absent if none of them said."""
    spans_seen: Count
    """Number of spans that arrived."""
    open_spans: list[str] = Field(default_factory=list[str])
    """Ids of spans that started and never ended."""
    cut_off: list[str] | None = None
    """Ids of spans that a process left open when it died, before the run was resumed. Their ends never existed."""
    dropped: dict[str, Count] = Field(default_factory=dict[str, Count])
    """Number of lost records, by reason."""
    late: Count = 0
    """Number of spans and logs that came after the first seal and are in this revision."""
    roots: Count = 1
    """Number of spans that claim to be this run. More than one means that two runs shared an id; attempts and
    resumptions of one run are not counted."""
    capture: dict[CaptureWord, Count] | None = None
    """Number of captured values, by how completely each was captured. Only digests of `whole` and `oversize` values can
    be compared."""
    unread: dict[str, Count] | None = None
    """Number of spans of which no attribute says what they are, by the library that recorded them: they are `other`
    work, and attributes of them were withheld as unknown. At most 16 libraries are named, the first by name; `?` stands
    for a library without a name, `…` for all others."""
    grace_s: Finite | None = None
    """Number of seconds for which the seal waited for spans that were still open after the run had ended."""


class RunIndex(Record):
    """run.json: identity, times, status and counts of a run, and the digest of every other sealed file.

    It is written last, and its presence seals the bundle.
    """

    schema_: Literal["runbundle/run/v1"] = Field(default=RUN_SCHEMA, alias="schema")
    """Name and version of the format."""
    rules: int | None = None
    """Version of the rules by which the bundle was assembled; absent in bundles older than this field."""
    self_sha256: Sha256 | None = None
    """SHA-256 of the canonical bytes of run.json without this field; absent in bundles older than this field."""
    run_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    """Id of the run."""
    name: str | None = None
    """Name of the run."""
    attempt: Count | None = None
    """Number of the attempt, if the run was said to be one; with several attempts under this id, the last."""
    case_id: str | None = None
    """Id of the test case that the run executed. It pairs a candidate run with its baseline."""
    repeat: Count | None = None
    """Number of the repetition of the case."""
    request_id: str | None = None
    """Id of the request that caused the run; kept or a marker, by policy."""
    tenant_id: str | None = None
    """The tenant that owns the run."""
    user_id: str | None = None
    """Id of the user for whom the run worked; kept, a keyed digest, or absent, by policy. Where the run's own span
    names none, that of the first span that does."""
    session_id: str | None = None
    """Id of the conversation that the run is part of; kept or a marker, by policy. Where the run's own span names none,
    that of the first span that does."""
    parent_run: ParentRun | None = None
    """The outer run, if this run is nested."""
    children: list[ChildRun] | None = None
    """The runs that began within this run, in the order of their ids; at most 1000."""
    claimed: str | None = None
    """The run that the request claimed to belong to, without proof: the id, or a keyed digest of the claim."""
    resumed_from: str | None = None
    """The checkpoint from which the run was resumed, if it was."""
    started_at: Moment
    """Time at which the run began: RFC 3339, UTC, with nanoseconds."""
    ended_at: Moment
    """Time at which the run ended: RFC 3339, UTC, with nanoseconds."""
    duration_ns: Nanoseconds
    """Duration of the run in nanoseconds, as decimal text."""
    status: RunStatus
    """How the run ended. `incomplete`: its end or its beginning is missing, or two runs shared its id. Where the run's
    own span is not from `start_run` and does not say how it ended, the run is an `error` if its last agent was one."""
    error: ErrorSummary | None = None
    """The error that ended the run, if there was one; `span_id` is the span in which it began."""
    config: ConfigPointer
    """The file that holds the configuration."""
    versions: Versions
    """Versions of the software that made the run."""
    result: ResultSummary | None = None
    """The final result, if the run set one: `runbundle.result`, `final_result`, or the output messages of the run's own
    span; if that says none and is not from `start_run`, of its last agent."""
    files: list[FileEntry]
    """Every other sealed file of the bundle."""
    counts: Counts
    """Numbers of spans, events, calls and errors."""
    usage: dict[str, Count] = Field(default_factory=dict[str, Count])
    """Number of tokens, by kind, such as `input_tokens`: of each call once, as its innermost span says. `total_tokens`
    are those of calls that say only their sum."""
    trace_ids: list[str]
    """Ids of the traces in which the run has spans, sorted."""
    redaction: RedactionSummary
    """Summary of the redaction."""
    completeness: Completeness
    """Numbers of the records that were expected, arrived and were lost, and the verdict on them."""
    revision: Count = 1
    """Number of the revision: 1, and one more for each seal of later data."""
    supersedes: Sha256 | None = None
    """SHA-256 of the run.json that this revision replaced."""
    determinism: dict[str, Any] | None = None
    """Settings that a replay needs, such as a seed; no recorder writes it yet."""


class ConfigSnapshot(Record):
    """config.snapshot.json: the configuration of the run, without its secrets."""

    schema_: Literal["runbundle/config/v1"] = Field(default=CONFIG_SCHEMA, alias="schema")
    """Name and version of the format."""
    config: Any = None
    """The configuration, or null if the run was started without one."""
