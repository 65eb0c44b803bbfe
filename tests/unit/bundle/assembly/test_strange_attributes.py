"""Whatever an instrumentation puts into our own attributes, the run is sealed."""

from collections.abc import Callable

import pytest
from opentelemetry import trace

import runbundle
from runbundle.bundle.verify import verify
from tests.conftest import sealed

_COUNTS = ("runbundle.spans.dropped", "runbundle.spans.started", "runbundle.spans.unfollowed")
_VALUES = ("abc", ["a"], [1], float("nan"), -1, 2**70, "", True)


@pytest.mark.parametrize(
    "key", [*_COUNTS, "runbundle.contract.sha256", "runbundle.contract.version", "gen_ai.operation.name"]
)
def test_a_value_of_another_type_keeps_no_run_from_its_seal(
    configured: Callable[..., runbundle.Handle], key: str
) -> None:
    """A value of another type keeps no run from its seal."""
    handle = configured()
    for number, value in enumerate(_VALUES):
        with runbundle.start_run("r", run_id=f"r{number}"), runbundle.start_tool("t"):
            trace.get_current_span().set_attribute("runbundle.contract.sha256", "a" * 64)
            trace.get_current_span().set_attribute(key, value)  # pyright: ignore[reportArgumentType]
    result = handle.flush()
    assert not result.failed
    assert len(result.sealed) == len(_VALUES)


def test_a_number_where_text_belongs_is_text_in_the_bundle(configured: Callable[..., runbundle.Handle]) -> None:
    """An instrumentation that numbers its tools and calls has a bundle in which they are named by these numbers."""
    handle = configured()
    said = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": 5, "gen_ai.tool.call.id": 7}
    odd = {"runbundle.attempt": "2", "runbundle.tool.side_effects": "many", "runbundle.contract.sha256": 3}
    with runbundle.start_run("r"), runbundle.start_retriever("r") as run:
        handle.tracer.start_span("execute_tool t", attributes={**said, **odd}).end()
        run.add_evidence([{"id": 1}])
        rank = {"runbundle.document.id": 4.0, "runbundle.document.rank": "x", "runbundle.document.score": True}
        trace.get_current_span().add_event("runbundle.evidence", rank)
    bundle = sealed(handle)
    (call,) = bundle.tool_calls().calls
    evidence = bundle.evidence()
    assert (call.tool, call.call_id, call.attempt, call.side_effects) == ("5", "7", 1, "unknown")
    assert evidence is not None
    assert [(d.id, d.rank, d.score) for d in evidence.retrievals[0].documents] == [("1", 1, None), ("4.0", 2, None)]
    assert verify(bundle.store, bundle.key).verdict == "verified"


@pytest.mark.parametrize("text", ["[]", '"x"', '{"python": true, "git": {"commit": null}}', '{"providers": "all"}'])
def test_malformed_versions_are_left_out(configured: Callable[..., runbundle.Handle], text: str) -> None:
    """What a span says of versions has a form that is checked, and need not be of the types of run.json."""
    handle = configured()
    with runbundle.start_run("r"):
        trace.get_current_span().set_attribute("runbundle.versions", text)
    assert sealed(handle).index.versions.python is None


def test_sums_beyond_what_json_holds_are_cut(configured: Callable[..., runbundle.Handle]) -> None:
    """Counts that are no counts keep no run from its seal."""
    handle = configured()
    with runbundle.start_run("r"):
        for _ in range(3):
            with runbundle.start_model("m"):
                trace.get_current_span().set_attribute("gen_ai.usage.input_tokens", 2**63 - 1)
                receipt = '{"n":[],"more":{"a|digest":18446744073709551615}}'
                trace.get_current_span().set_attribute("runbundle.redaction", receipt)
    bundle = sealed(handle)
    assert bundle.index.usage == {"input_tokens": 2**63 - 1}
    assert verify(bundle.store, bundle.key).verdict == "verified"
