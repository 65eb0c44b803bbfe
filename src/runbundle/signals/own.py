"""The names that are our own: of attributes, span events and entries of baggage. Each stands here once.

`keys` says of each attribute which kind of value it may hold. Whoever uses one writes `own.RUN_ID`.
"""

SCOPE = "runbundle"
"""Name of the instrumentation scope of our own tracers."""

# -- the run: on the span that is the run, unless another place is named ---------------------------------------------

RUN_ID = "runbundle.run.id"
"""Id of the run; the boundary sets it on every span. As an entry of baggage it is a claim that nothing proves."""
TENANT_ID = "runbundle.tenant.id"
"""Whose run it is; set by `start_run`, absent if it is nobody's."""
CONFIG = "runbundle.config"
"""The configuration that `start_run` was given, as JSON; redaction takes its secrets out."""
RESULT = "runbundle.result"
"""What the run returned, as JSON, set by `set_result` and by decorators; a digest, unless the policy keeps fields."""
RESULT_KIND = "runbundle.result.kind"
"""Type of that value, as `dict`; `stream` for one that was handed on in pieces."""
REQUEST_ID = "runbundle.request.id"
"""The request that caused the run, from `start_run`; kept or digested."""
SESSION_ID = "runbundle.session.id"
"""The conversation that the run is part of, from `start_run` or from the run around it; kept or digested."""
USER_ID = "runbundle.user.id"
"""For whom the run works, from `start_run`; kept, digested or dropped, as the policy says."""
CASE_ID = "runbundle.case.id"
"""The case of a test set that the run works on, from `start_run`; kept or digested."""
REPEAT = "runbundle.repeat"
"""Which repetition of the case the run is, from `start_run`."""
RUN_ATTEMPT = "runbundle.run.attempt"
"""Which attempt at its work the run is, from 1; from `start_run`."""
RESUMED_FROM = "runbundle.resumed.from"
"""The checkpoint from which a run that was cut off goes on under its id; from `start_run` and LangGraph's callbacks."""
PARENT_RUN_ID = "runbundle.parent.run.id"
"""The run around this one, set where one begins within another."""
PARENT_SPAN_ID = "runbundle.parent.span.id"
"""The span of that run under which this one began: 16 hex digits."""
CHILD_RUN_ID = "runbundle.child.run.id"
"""On the event `CHILD`: the run that began there."""
CLAIMED_RUN_ID = "runbundle.claimed.run.id"
"""The run that somebody else said this is, without proof: kept if it could be a run's id, else a digest."""
IMPLICIT = "runbundle.implicit"
"""True on a span with which the boundary began a run, since nobody else had."""
VERSIONS = "runbundle.versions"
"""What the run was made with, as the JSON of `Versions`; set where a run begins."""

# -- every span ------------------------------------------------------------------------------------------------------

OP = "runbundle.op"
"""`run` or `step`: kinds of work for which the conventions have no `gen_ai.operation.name`."""
NAME = "runbundle.name"
"""Name of the run or step; on the event `CHILD`, of the run that began."""
NAME_DIGEST = "runbundle.name.digest"
"""Keyed digest of the span's original name, where another stands in its place that follows from the attributes; set by
the redactor."""
DIALECT = "runbundle.dialect"
"""Whose names the span's attributes had before they were read: the table that read them. Absent on spans of our own."""
STATUS = "runbundle.status"
"""How the span ended, where its status code cannot say it: `blocked`, `cancelled`, `abandoned`, `waiting`."""
ATTEMPT = "runbundle.attempt"
"""Which attempt at a tool call it is, if not the first; from `start_tool`."""
LANE = "runbundle.lane"
"""The path of named scopes above the span, set by the boundary: what a span says of it is not believed."""
ORDINAL = "runbundle.ordinal"
"""The span's place in its lane, from 0, set by the boundary."""
EFFECT = "runbundle.effect"
"""The lane in which the span's task was spawned and its place among the effects there, set by the boundary."""
JOINED = "runbundle.joined"
"""How a span from elsewhere came to its run: `signed`, `trace`, `any`, `id`; set by the boundary."""

# -- what was lost: on the first span of a run in each process, set by the boundary ----------------------------------

SPANS_STARTED = "runbundle.spans.started"
"""How many spans of the run the process started, this one included."""
SPANS_DROPPED = "runbundle.spans.dropped"
"""How many records of the run the process could not journal."""
SPANS_UNFOLLOWED = "runbundle.spans.unfollowed"
"""How many spans of the run were too many to be followed at once."""

# -- how it was redacted ---------------------------------------------------------------------------------------------

RECEIPT = "runbundle.redaction"
"""What the redactor did to the record, as the JSON of `redaction/receipt`; on every redacted record."""
REDACTION_POLICY = "runbundle.redaction.policy"
"""SHA-256 of the policy; on the span that is the run."""
REDACTION_KEY_ID = "runbundle.redaction.key_id"
"""Which key the digests were made with; on the span that is the run."""
REDACTION_MODE = "runbundle.redaction.mode"
"""`debug` if content was kept in the vault; on the span that is the run."""
CAPTURE = "runbundle.capture"
"""What became of each value that was not recorded whole, as the JSON of `redaction/captured`."""
MESSAGES = "runbundle.messages"
"""Roles and digests of the messages of a model call, as the JSON of `redaction/messages`; set by the redactor."""
COERCED = "runbundle.coerced"
"""A list of the fields of the record that were not of their declared types; set by `codec/coerce`."""
HIDDEN = "runbundle.redacted."
"""The beginning of the keys that stand in the place of keys nobody declared; 12 characters of a digest follow."""

# -- tool calls ------------------------------------------------------------------------------------------------------

CONTRACT_VERSION = "runbundle.contract.version"
"""Version of the tool's contract, for people; set by the redactor, as the next two."""
CONTRACT_SHA256 = "runbundle.contract.sha256"
"""Digest of the tool's contract."""
SIDE_EFFECTS = "runbundle.tool.side_effects"
"""What the contract says the tool does to the world: `none`, `read`, `write`, `destructive`."""
ARGUMENTS_DIGEST = "runbundle.tool.arguments.digest"
"""Keyed digest of the arguments before redaction; set by the redactor, as the next three."""
ARGUMENTS_BYTES = "runbundle.tool.arguments.bytes"
"""Their size in bytes, as JSON."""
RESULT_DIGEST = "runbundle.tool.result.digest"
"""Keyed digest of the tool's result before redaction."""
RESULT_BYTES = "runbundle.tool.result.bytes"
"""Its size in bytes, as JSON."""
PAYLOAD_DIGEST = {"arguments": ARGUMENTS_DIGEST, "result": RESULT_DIGEST}
"""The attribute with a payload's digest, by which payload it is."""
PAYLOAD_BYTES = {"arguments": ARGUMENTS_BYTES, "result": RESULT_BYTES}
"""The attribute with a payload's size, by which payload it is."""

# -- what nobody else may say -----------------------------------------------------------------------------------------

NOT_OF_OTHERS = frozenset(
    {
        RECEIPT, CONTRACT_VERSION, CONTRACT_SHA256, SIDE_EFFECTS, *PAYLOAD_DIGEST.values(), *PAYLOAD_BYTES.values(),
        NAME_DIGEST, MESSAGES, DIALECT, STATUS, ATTEMPT, RUN_ATTEMPT, REPEAT,
    }
)  # fmt: skip
"""What only our redactor, our tables and our own spans say: on a record of another scope that no redactor of ours has
seen it is dropped before the record is read."""

# -- decisions of policy: on the event `DECISION` --------------------------------------------------------------------

POLICY_DECISION = "runbundle.policy.decision"
"""`allowed`, `blocked`, `approved` or `denied`."""
POLICY_RULE = "runbundle.policy.rule"
"""The rule by which it was decided."""
POLICY_REASON = "runbundle.policy.reason"
"""Why, in words; redacted as content."""
POLICY_TOOL = "runbundle.policy.tool"
"""The tool that was to be called."""
POLICY = {"decision": POLICY_DECISION, "rule": POLICY_RULE, "reason": POLICY_REASON, "tool": POLICY_TOOL}
"""The attributes of a decision, by the words that the API has for them."""

# -- evidence: on the event `EVIDENCE`; the first two on spans of retrievals, too ------------------------------------

QUERY = "runbundle.query"
"""What was asked; redacted as content."""
RETRIEVER_NAME = "runbundle.retriever.name"
"""Who retrieved."""
DOCUMENT_ID = "runbundle.document.id"
"""The retriever's id of the document, else its rank."""
DOCUMENT_RANK = "runbundle.document.rank"
"""The document's place among what was found, from 1."""
DOCUMENT_SCORE = "runbundle.document.score"
"""The retriever's score of the document."""
DOCUMENT_URI = "runbundle.document.uri"
"""Where the document is; redacted as content."""
DOCUMENT_TITLE = "runbundle.document.title"
"""Its title; redacted as content."""
DOCUMENT_CONTENT = "runbundle.document.content"
"""Its content, which stays as a digest."""

# -- an agent's own events -------------------------------------------------------------------------------------------

EVENT_NAME = "runbundle.event.name"
"""On the event `EVENT`: what the agent calls it."""

# -- names of span events --------------------------------------------------------------------------------------------

EVENT = "runbundle.event"
"""An event of the agent's own, from `RunHandle.event`, or that a scope noted of its work."""
CHILD = "runbundle.child"
"""A run began within this span."""
DECISION = "runbundle.policy.decision"
"""Policy decided about a call; its attribute for the outcome has the same name."""
EVIDENCE = "runbundle.evidence"
"""One document that was retrieved."""
EARLIER_SCORE = "runbundle.score"
"""A score, in bundles that were sealed before scores were events of the GenAI conventions. Nothing emits it."""
EVENTS = frozenset({EVENT, CHILD, DECISION, EVIDENCE})
"""All names of events that are our own."""

# -- baggage ---------------------------------------------------------------------------------------------------------

RUN_TOKEN = "runbundle.run"  # noqa: S105 - the entry's name; the token is its value
"""The entry whose value is a signed token: one process tells another whose run it works for."""

# -- reserved --------------------------------------------------------------------------------------------------------

TAPE = "runbundle.tape"
"""Reserved for replay, nobody sets it yet: digest of the tape that a run was recorded on, on the span that is it."""
SOURCE = "runbundle.source"
"""Reserved for replay, nobody sets it yet: `recorded`, `live` or `overridden`, on each span with an effect."""
RESERVED = frozenset({TAPE, SOURCE})
"""Attributes that already pass the boundary, so that a bundle of today is read by who sets them tomorrow."""
