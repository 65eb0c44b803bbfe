"""Contracts that tools declare in their own code."""

from typing import Annotated

import pytest

import runbundle
from runbundle.contracts.declared import DECLARED
from runbundle.contracts.derive import Sensitive
from runbundle.errors import ContractError
from runbundle.otel.agent.declaring import declare_tool
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor


def pay(to: Annotated[str, Sensitive("personal")], amount: int) -> None:
    """Pay."""


def look() -> None:
    """Look."""


def test_a_tool_has_the_name_of_its_contract_else_its_own() -> None:
    """A function that declares nothing makes no contract."""
    assert declare_tool(look, "look", "", None, ()) == "look"
    assert declare_tool(look, "look", "see", None, ()) == "see"
    assert declare_tool(pay, "pay", "", {"name": "transfer"}, ()) == "transfer"
    with pytest.raises(ContractError):
        declare_tool(pay, "pay", "other", runbundle.ToolContract(name="transfer"), ())


def test_an_annotation_withholds_what_keep_would_keep() -> None:
    """Of two rules for one place the stricter one counts."""
    declare_tool(pay, "pay", "", None, ("/to", "/amount"))
    redactor = Redactor(Policy())
    DECLARED.follow(redactor)
    actions = {rule.selector: rule.effective_action for rule in redactor.policy.contracts["pay"].data.rules}
    assert actions["/amount"] == "keep"
    assert actions["/to"] != "keep"
