"""What a rule that truncates leaves of numbers."""

from typing import Any

import orjson
import pytest

from runbundle.contracts.explain import explain
from runbundle.core.spans import SpanLines
from runbundle.format.contract import ToolContract, parse_contract
from runbundle.journal.lines import record_line
from runbundle.redaction.markers import Digester
from runbundle.redaction.payloads.payload import compile_payload_rules, redact_payload
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import Receipt
from runbundle.redaction.redactor import Redactor

PHONE = 491711234567
CUT = parse_contract(
    {"name": "find", "data": {"rules": [
        {"selector": "/phone", "action": "truncate", "max_chars": 3}, {"selector": "/id", "action": "keep"},
    ]}}
)  # fmt: skip


def kept(found: ToolContract, payload: Any) -> Any:
    """Return what the contract keeps of a payload; twice is as once."""
    rules = compile_payload_rules(found, "input")
    once = redact_payload(payload, rules, Digester(b"k"), Receipt(), "arguments")
    assert redact_payload(once, rules, Digester(b"k"), Receipt(), "arguments") == once
    return once


@pytest.mark.parametrize(
    ("number", "left"),
    [(PHONE, "491…[+9]"), (-PHONE, "-49…[+10]"), (PHONE + 0.5, "491…[+11]"), (10**30, "100…[+28]"),
     (12345678, "123…[+5]"), (1234567, 1234567), (True, True), (0.5, 0.5)],
)  # fmt: skip
def test_a_long_number_is_cut_as_text_is(number: float, left: Any) -> None:
    """Eight digits are enough to be a person's; a shorter number stays whole."""
    assert kept(CUT, {"phone": number})["phone"] == left
    assert kept(CUT, {"phone": [{"is": number}]})["phone"] == [{"is": left}]
    assert kept(CUT, {"id": number})["id"] == (number if number != 10**30 else str(number))


def test_a_number_within_the_limit_stays_a_number() -> None:
    """As a text within it stays as it is."""
    wide = parse_contract(
        {"name": "find", "data": {"rules": [{"selector": "", "action": "truncate", "max_chars": 12}]}}
    )
    assert kept(wide, PHONE) == PHONE


def test_an_explanation_says_that_it_is_cut() -> None:
    """A row for each number."""
    said = {row.path: row.action for row in explain(CUT, {"phone": PHONE, "id": PHONE})}
    assert said == {"/phone": "truncate", "/id": "keep"}


@pytest.mark.parametrize("number", [PHONE, -PHONE, 12345678.5, 1234567, 123])
def test_both_cores_cut_it(number: float) -> None:
    """The line is Python's, whichever core was asked."""
    arguments = orjson.dumps({"phone": number, "id": number}).decode()
    given: Any = lambda: {  # noqa: E731
        "run_id": "r", "tenant_id": "", "trace_id": "1" * 32, "span_id": "2" * 16, "parent_span_id": "",
        "remote_parent": False, "trace_state": "", "name": "execute_tool find", "kind": 0, "start_ns": 1, "end_ns": 2,
        "status_code": 1, "status_message": "", "events": [], "links": [], "dropped": {},
        "attributes": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find",
                       "gen_ai.tool.call.arguments": arguments},
        "scope": {"name": "lib", "version": "1", "schema_url": "", "attributes": {}},
        "resource": {"attributes": {}, "schema_url": ""},
    }  # fmt: skip
    redactor = lambda: Redactor(Policy(contracts={"find": CUT}, digester=Digester(b"k")))  # noqa: E731
    assert SpanLines(redactor()).line(given(), 0) == record_line("span", redactor().redact_span(given()), 0)
