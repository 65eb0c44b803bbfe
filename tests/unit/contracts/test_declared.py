"""Contracts that tools declare: redactors that are there and those to come use them."""

import pytest

from runbundle.contracts.declared import DeclaredContracts
from runbundle.errors import ContractError
from runbundle.format.contract import FieldRule, ToolContract, parse_contract
from runbundle.redaction.markers import Digester
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor


def contract(*rules: tuple[str, str], name: str = "find") -> ToolContract:
    """Return a contract with rules, each a selector and an action."""
    return parse_contract({"name": name, "data": {"rules": [{"selector": s, "action": a} for s, a in rules]}})


def redactor(*contracts: ToolContract) -> Redactor:
    """Return a redactor with configured contracts."""
    return Redactor(Policy(contracts={one.name: one for one in contracts}, digester=Digester(b"k")))


def actions(one: Redactor) -> dict[str, str]:
    """Return the actions that a redactor's contract of the tool has, by selector."""
    return {rule.selector: rule.effective_action for rule in one.policy.contracts["find"].data.rules}


def test_a_declared_contract_reaches_redactors_made_before_and_after() -> None:
    """One that does not follow keeps what it was given."""
    declared, before, after, apart = DeclaredContracts(), redactor(), redactor(), redactor()
    declared.follow(before)
    declared.declare("m.find", contract(("/a", "keep")), (), explicit=False)
    declared.follow(after)
    assert actions(before) == actions(after) == {"/a": "keep"}
    assert apart.policy.contracts == {}


def test_a_configured_contract_is_only_tightened() -> None:
    """What annotations withhold is added; a rule that keeps something is not."""
    declared, one = DeclaredContracts(), redactor(contract(("/a", "keep"), ("/b", "drop")))
    declared.follow(one)
    withheld = [FieldRule(selector="/a", action="mask"), FieldRule(selector="/b", action="mask")]
    declared.declare("m.find", contract(("/c", "keep")), withheld, explicit=False)
    assert actions(one) == {"/a": "mask", "/b": "drop"}


def test_two_tools_of_one_name_cannot_both_declare() -> None:
    """The same owner may declare anew; what another's annotations withhold is added."""
    declared, one = DeclaredContracts(), redactor()
    declared.follow(one)
    declared.declare("m.find", contract(("/a", "keep")), (), explicit=True)
    declared.declare("m.find", contract(("/b", "keep")), (), explicit=True)
    assert actions(one) == {"/b": "keep"}
    with pytest.raises(ContractError, match="two tools of this name"):
        declared.declare("n.find", contract(("/a", "keep")), (), explicit=True)
    declared.declare("n.find", contract(), [FieldRule(selector="/b", action="mask")], explicit=False)
    assert actions(one) == {"/b": "mask"}


def test_a_twin_has_the_same_contracts_and_follows_too() -> None:
    """It is made from what was configured, so that a declaration that was cleared is not in it."""
    declared, one = DeclaredContracts(), redactor(contract(("/x", "keep"), name="other"))
    declared.follow(one)
    twin = declared.twin(one)
    declared.declare("m.find", contract(("/a", "keep")), (), explicit=False)
    assert twin is not one
    assert twin.policy.contracts == one.policy.contracts
    declared.clear()
    assert set(declared.twin(one).policy.contracts) == {"other"}
