"""The loop over attributes, the plan that it runs, and the views that are written at its end."""

from typing import Any

import orjson

from runbundle.format.contract import FieldRule, parse_contract
from runbundle.redaction.attributes import redact_attributes
from runbundle.redaction.markers import Digester, is_digest, is_marker
from runbundle.redaction.payloads.taint import TaintTable
from runbundle.redaction.plan import Plan, Tenant, Work, compile_policy
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import Receipt
from runbundle.redaction.views import write_views
from runbundle.signals import own

FIND = parse_contract(
    {
        "name": "find",
        "data": {
            "rules": [
                {"selector": "/city", "action": "keep"},
                {"selector": "/email", "data_class": "personal"},
                {"selector": "/note", "action": "keep", "target": "output"},
            ]
        },
    }
)


def work(plan: Plan, tool: str = "") -> Work:
    """Return the data at hand for one record."""
    return Work(plan, Receipt(), tool, TaintTable(), Tenant(Digester(b"k")), [])


def redacted(raw: dict[str, Any], at_hand: Work) -> dict[str, Any]:
    """Return the attributes with their views written."""
    kept = redact_attributes(raw, at_hand, "attributes")
    write_views(at_hand)
    return kept


def test_a_key_that_nobody_declared_is_replaced_with_its_value() -> None:
    """Neither the key nor the value is in the result, and the receipt says where."""
    at_hand = work(compile_policy(Policy()))
    raw = {"customer.secretword": "SECRETWORD"}
    ((key, value),) = redacted(raw, at_hand).items()
    assert key.startswith(own.HIDDEN)
    assert is_marker(value)
    assert "SECRETWORD" not in value
    assert [(note.rule, note.path) for note in at_hand.receipt.notes] == [("undeclared", f"attributes.{key}")]
    assert raw == {"customer.secretword": "SECRETWORD"}
    assert redacted({key: value}, work(compile_policy(Policy()))) == {key: value}


def test_equal_keys_and_values_have_equal_stand_ins() -> None:
    """So an undeclared attribute can be compared between two spans of one tenant."""
    plan = compile_policy(Policy())
    assert redacted({"a.b": "x"}, work(plan)) == redacted({"a.b": "x"}, work(plan))
    assert redacted({"a.b": "x"}, work(plan)) != redacted({"a.b": "y"}, work(plan))


def test_a_plan_says_how_each_key_is_handled() -> None:
    """A safe key is a name; a known key keeps its kind whatever is called safe; a result has rules only if given."""
    result = (FieldRule(selector="/total", action="keep"),)
    plan = compile_policy(Policy(safe_keys=frozenset({"app.kind", "exception.message"}), result=result))
    assert plan.keys["app.kind"] == "name"
    assert plan.keys["exception.message"] == "error"
    assert plan.keys["runbundle.result"] == "outcome"
    assert compile_policy(Policy()).keys["runbundle.result"] != "outcome"
    assert plan.safe_key is None
    pattern = compile_policy(Policy(safe_keys=frozenset({"app.*"}))).safe_key
    assert pattern is not None
    assert (pattern("app.kind"), pattern("other.kind")) == (True, False)


def test_a_plan_stamps_each_span_with_the_tools_contract() -> None:
    """Nothing that a span says of its contract stands against the contract itself."""
    plan = compile_policy(Policy(contracts={"find": FIND}))
    kept = redacted({"runbundle.contract.sha256": "0" * 64}, work(plan, "find"))
    assert kept["runbundle.contract.sha256"] == FIND.sha256
    assert ("find", "input") in plan.payloads


def test_views_are_written_when_all_payloads_were_seen() -> None:
    """A value that the arguments withhold is masked in a result, though the result comes first."""
    at_hand = work(compile_policy(Policy(contracts={"find": FIND})), "find")
    raw = {
        "gen_ai.tool.call.result": orjson.dumps({"note": "write to ada@example.org"}).decode(),
        "gen_ai.tool.call.arguments": orjson.dumps({"city": "Oslo", "email": "ada@example.org"}).decode(),
    }
    kept = redact_attributes(raw, at_hand, "attributes")
    assert len(at_hand.views) == 2
    write_views(at_hand)
    assert orjson.loads(kept["gen_ai.tool.call.result"]) == {"note": "write to [REDACTED:personal]"}
    arguments = orjson.loads(kept["gen_ai.tool.call.arguments"])
    assert arguments["city"] == "Oslo"
    assert "ada" not in str(arguments)
    assert is_digest(kept["runbundle.tool.arguments.digest"])


def test_a_tenant_is_a_digester_and_what_was_worked_out_with_it() -> None:
    """Two tenants share no cache, so no digest of one is written for the other."""
    one, other = Tenant(Digester(b"k")), Tenant(Digester(b"k").for_tenant("acme"))
    assert one.digest("key", b"x") != other.digest("key", b"x")
    one.hidden_keys["k"] = "v"
    assert (other.hidden_keys, other.scopes, other.resources) == ({}, {}, {})
