"""Decisions about tool calls: who is asked, what counts as an answer, and that a fault denies."""

import asyncio
from typing import Any

import pytest

from runbundle.contracts.approval import (
    NOBODY,
    Decision,
    ToolCall,
    ask,
    ask_async,
    default_decider,
    is_refusal,
    refusal,
)
from runbundle.errors import PolicyBlocked
from runbundle.format.contract import parse_contract


def call(policy: str = "require_approval") -> ToolCall:
    """Return a call of a tool with a policy."""
    contract = parse_contract({"name": "pay", "policy": policy})
    return ToolCall("pay", {"iban": "SECRETWORD"}, "c1", contract, "r1")


@pytest.mark.parametrize(
    ("policy", "outcome", "reason"),
    [("allow", "allowed", ""), ("deny", "blocked", ""), ("require_approval", "blocked", NOBODY)],
)
def test_without_a_decider_the_contract_decides(policy: str, outcome: str, reason: str) -> None:
    """A call that needs an approval does not run, for nobody gave one."""
    decision = default_decider(call(policy))
    assert (decision.outcome, decision.reason, decision.rule) == (outcome, reason, f"contract:pay:{policy}")


@pytest.mark.parametrize("answer", [1, "yes", None, object(), Decision("maybe")])  # pyright: ignore[reportArgumentType]
def test_only_an_answer_counts_as_one(answer: Any) -> None:
    """A truthy object approves nothing, asked either way."""
    assert ask(lambda _: answer, call()).outcome == "denied"
    assert asyncio.run(ask_async(lambda _: answer, call())).outcome == "denied"


def test_an_async_decider_is_awaited_by_those_who_can() -> None:
    """A sync tool cannot wait for it, so its call is denied; a decider that raises denies."""

    async def approve(_: ToolCall) -> bool:
        return True

    async def fail(_: ToolCall) -> bool:
        raise RuntimeError("SECRETWORD")

    assert asyncio.run(ask_async(approve, call())).outcome == "approved"
    assert asyncio.run(ask_async(lambda _: False, call())).outcome == "denied"
    assert ask(approve, call()).outcome == "denied"
    failed = asyncio.run(ask_async(fail, call()))
    assert (failed.outcome, "SECRETWORD" in failed.reason) == ("denied", False)


def test_a_rule_with_data_in_it_is_replaced_by_the_contracts() -> None:
    """It is recorded, and shown to the agent."""
    assert ask(lambda _: Decision("approved", "shop:limit"), call()).rule == "shop:limit"
    assert ask(lambda _: Decision("approved", "for ada@example.org"), call()).rule == call().rule


def test_a_refusal_is_told_from_an_error_of_the_agents_own() -> None:
    """It names the tool and the rule, and nothing of the call."""
    assert refusal(call(), Decision("approved")) is None
    error = refusal(call(), Decision("denied", "shop:limit", "SECRETWORD"))
    assert error is not None
    assert ("pay" in str(error), "shop:limit" in str(error), "SECRETWORD" in str(error)) == (True, True, False)
    assert is_refusal(error)
    assert not is_refusal(PolicyBlocked(str(error)))
    assert "SECRETWORD" not in repr(call())
