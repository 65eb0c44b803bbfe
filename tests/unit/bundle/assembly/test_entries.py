"""Entries of tool_calls.json and evidence.json."""

import pytest

from runbundle.bundle.assembly.entries import retrieval, rfc3339, tool_call
from runbundle.bundle.assembly.timeline import span_from_entry
from runbundle.format.evidence import Retrieval
from runbundle.format.tool_calls import CallEntry
from tests.unit.bundle.assembly.spans import entry, span_id


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "1970-01-01T00:00:00.000000000Z"), (1_764_046_560_000_000_001, "2025-11-25T04:56:00.000000001Z")],
)
def test_times_keep_every_nanosecond(ns: int, text: str) -> None:
    """Nine digits, always."""
    assert rfc3339(ns) == text


def test_a_tool_call_without_any_attribute_is_an_entry() -> None:
    """It fits its model; the span's id stands for the call's, and nothing is claimed of a contract."""
    made = tool_call(span_from_entry(entry(), ended=True), None)
    call = CallEntry.model_validate(made)
    assert (call.call_id, call.tool, call.contract) == (span_id(1), "[REDACTED:name]", None)
    assert (call.side_effects, call.policy.decision, call.arguments) == ("unknown", "allowed", None)


def test_a_call_without_a_contract_has_no_view() -> None:
    """The marker gives digest and size; nothing of the content is there."""
    attributes = {"gen_ai.tool.call.arguments": "[REDACTED:undeclared]", "runbundle.tool.arguments.bytes": 120}
    payload = tool_call(span_from_entry(entry(attributes=attributes), ended=True), "boss")["arguments"]
    assert (payload["view"], payload["bytes"], payload["capture"]) == (None, 120, "whole")


def test_only_a_retrieval_or_a_span_with_evidence_is_an_entry() -> None:
    """Documents without an id get their number."""
    assert retrieval(span_from_entry(entry(), ended=True)) is None
    document = {"name": "runbundle.evidence", "time_ns": 11, "attributes": {"runbundle.document.id": "d"}}
    made = retrieval(span_from_entry(entry(events=[document]), ended=True))
    assert made is not None
    found = Retrieval.model_validate(made)
    assert (found.retriever, [(d.id, d.rank) for d in found.documents]) == ("unknown", [("d", 1)])
