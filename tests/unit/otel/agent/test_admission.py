"""A tool call before it runs: when a decision is needed, and how it is recorded."""

from collections.abc import Callable
from typing import Any

import pytest

import runbundle
from runbundle.contracts.approval import NOBODY, Decision, ToolCall, default_decider
from runbundle.otel.agent.admission import all_arguments, decision_attributes, decision_needed


def decider(_: ToolCall) -> bool:
    """Allow everything."""
    return True


def test_a_decision_is_needed_only_for_a_contract_that_does_not_allow(
    configured: Callable[..., runbundle.Handle],
) -> None:
    """Arguments are not even read for a call that may run; `deny` is never left to the application's decider."""
    assert decision_needed("pay", dict, call_id="c", run_id="r") is None  # nothing is configured
    contracts = [{"name": "pay", "policy": "require_approval"}, {"name": "wipe", "policy": "deny"}, {"name": "look"}]
    configured(contracts=contracts, decider=decider)
    for tool in ("look", "unknown"):
        assert decision_needed(tool, lambda: pytest.fail("read"), call_id="c", run_id="r") is None
    asked = decision_needed("pay", lambda: {"sum": 3}, call_id="c", run_id="r")
    assert asked is not None
    assert asked[0] is decider
    assert (asked[1].tool, dict(asked[1].arguments), asked[1].call_id) == ("pay", {"sum": 3}, "c")
    denied = decision_needed("wipe", dict, call_id="c", run_id="r")
    assert denied is not None
    assert denied[0] is default_decider


def test_the_event_of_a_decision_leaves_out_what_its_rule_says_already(
    configured: Callable[..., runbundle.Handle],
) -> None:
    """The default reason would be a digest in the bundle; a reason of a person's is recorded."""
    configured(contracts=[{"name": "pay", "policy": "require_approval"}])
    asked = decision_needed("pay", dict, call_id="c", run_id="r")
    assert asked is not None
    silent = decision_attributes(asked[1], Decision("blocked", reason=NOBODY))
    assert silent["runbundle.policy.decision"] == "blocked"
    assert silent["runbundle.policy.tool"] == "pay"
    assert "runbundle.policy.reason" not in silent
    assert decision_attributes(asked[1], Decision("blocked", reason="no"))["runbundle.policy.reason"] == "no"


def test_a_decider_sees_defaults_and_no_keyword_hides_a_parameter() -> None:
    """A positional-only parameter and a keyword of the same name may both be given."""

    def pay(to: str, /, amount: int = 3, **extra: Any) -> None: ...

    assert all_arguments(pay, ("ann",), {"to": "bob", "note": "x"}) == {"to": "ann", "note": "x", "amount": 3}
    assert all_arguments(pay, (), {"amount": 1}) == {"amount": 1}  # a call that could not be made
