"""Two tables of fields: those that follow from events.jsonl, and those that only the seal knew.

`verify` assembles a bundle again from its events.jsonl (`reassemble`). A derived field must come out as it is stored.
A guarded field cannot be derived; only the digest that run.json contains of itself protects it. That digest reveals
damage, but no edit after which somebody computed it again.
"""

from typing import NamedTuple

from runbundle.format.layout import EVIDENCE, RUN, TOOL_CALLS


class Guarded(NamedTuple):
    """A field that cannot be derived from the events."""

    why: str
    """The reason why it cannot."""
    also: str = ""
    """The condition that verify checks instead, if there is one."""


_RUN = """
    schema run_id name attempt case_id repeat request_id tenant_id user_id session_id
    parent_run.run_id parent_run.span_id children.run_id children.span_id children.name claimed resumed_from
    started_at ended_at duration_ns status error.type error.message error.span_id config.path config.sha256
    versions.ai_agents versions.runbundle versions.engine.name versions.engine.version versions.git.commit
    versions.git.dirty versions.python versions.providers versions.models
    result.kind result.digest result.bytes result.view files.path files.bytes files.sha256 files.media_type
    counts.events counts.spans counts.logs counts.tool_calls counts.model_calls counts.embeddings counts.retrievals
    counts.policy_blocks counts.errors usage trace_ids redaction.policy redaction.contracts.version
    redaction.contracts.sha256 redaction.key_id redaction.totals.rule redaction.totals.action redaction.totals.count
    redaction.content_mode completeness.state completeness.spans_expected completeness.spans_seen
    completeness.open_spans completeness.cut_off completeness.dropped completeness.roots completeness.capture
    completeness.unread determinism
"""
_CALLS = """
    schema run_id calls.call_id calls.tool calls.contract.version calls.contract.sha256 calls.trace_id calls.span_id
    calls.also calls.parent_span_id calls.agent calls.started_at calls.duration_ns calls.status calls.error.type
    calls.error.message calls.error.span_id calls.policy.decision calls.policy.rule calls.policy.reason
    calls.side_effects calls.attempt
    calls.arguments.view calls.arguments.digest calls.arguments.bytes calls.arguments.capture calls.arguments.chunked
    calls.arguments.redactions.path calls.arguments.redactions.rule calls.arguments.redactions.action
    calls.result.view calls.result.digest calls.result.bytes calls.result.capture calls.result.chunked
    calls.result.redactions.path calls.result.redactions.rule calls.result.redactions.action
"""
_EVIDENCE = """
    schema run_id retrievals.trace_id retrievals.span_id retrievals.retriever
    retrievals.query.digest retrievals.query.bytes retrievals.query.view retrievals.query.capture
    retrievals.documents.id retrievals.documents.rank retrievals.documents.uri retrievals.documents.title
    retrievals.documents.score retrievals.documents.digest retrievals.documents.bytes
    retrievals.documents.capture retrievals.documents.cited_by
"""
DERIVED: dict[str, frozenset[str]] = {
    RUN: frozenset(_RUN.split()),
    TOOL_CALLS: frozenset(_CALLS.split()),
    EVIDENCE: frozenset(_EVIDENCE.split()),
}
"""Derived fields, by file. They follow from events.jsonl by the version of the rules that `rules` in run.json names."""

TORN, MALFORMED, COLLIDED = "torn_lines", "malformed_records", "collided"
GUARDED: dict[str, dict[str, Guarded]] = {
    RUN: {
        "self_sha256": Guarded("it is the guard itself", "it is the digest of all other fields"),
        "rules": Guarded(
            "no event names the rules of its assembly", "all derived fields follow from the events by these rules"
        ),
        f"completeness.dropped.{TORN}": Guarded("journal lines that could not be read left no event"),
        f"completeness.dropped.{MALFORMED}": Guarded("malformed records left no event, or an incomplete one"),
        f"completeness.dropped.{COLLIDED}": Guarded("further records that claimed the same span left no event"),
        "completeness.late": Guarded("late records look like all others", "it is 0 in the first revision"),
        "completeness.grace_s": Guarded("waiting leaves no event", "it is absent if no span is open"),
        "versions.otel_sdk": Guarded(
            "it is an attribute of the resource, which is in no event", "it is derived if the run's span has it"
        ),
        "versions.semconv": Guarded("the schema URL of a library is in no event"),
        "redaction.masked": Guarded("masking before the seal leaves no event"),
        "revision": Guarded("the events do not show how often the bundle was sealed", "the earlier revisions are kept"),
        "supersedes": Guarded(
            "it is the digest of the revision before", "it matches the run.json that is kept of that revision"
        ),
    },
    TOOL_CALLS: {},
    EVIDENCE: {},
}
"""Guarded fields, by file: the events do not determine them."""
