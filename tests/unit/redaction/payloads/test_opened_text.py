"""What a rule withholds in a text that is an object or a list, however the text is written."""

import json
from typing import Any

import pytest

from runbundle.contracts.explain import explain
from runbundle.core.spans import SpanLines
from runbundle.format.contract import ToolContract, parse_contract
from runbundle.journal.lines import record_line
from runbundle.redaction.markers import Digester
from runbundle.redaction.payloads.opened_text import PLAIN, SHUT, opened
from runbundle.redaction.payloads.payload import compile_payload_rules, redact_payload
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import Receipt
from runbundle.redaction.redactor import Redactor

MAIL = "ada.lovelace@example.com"
INNER = {"email": MAIL, "city": "Bremen"}
DIGEST = Digester(b"k" * 32)
KEEP = {"action": "keep"}
OPENED: dict[str, str] = {
    "as it is": json.dumps(INNER),
    "behind blanks": " \n\t" + json.dumps(INNER),
    "behind a byte order mark": "\ufeff" + json.dumps(INNER),
    "behind what is not seen": "\0\u200b " + json.dumps(INNER),
    "in a JSON string": json.dumps(json.dumps(INNER)),
    "in a JSON string that begins with a line end": json.dumps("\n" + json.dumps(INNER)),
    "in JSON strings three deep": json.dumps(json.dumps(json.dumps(INNER))),
    "with a number beyond 64 bits": json.dumps({**INNER, "n": 2**70}),
    "with a key in escapes": json.dumps(INNER).replace("email", "\\u0065mail"),
}
WITHHELD: dict[str, str] = {
    "with a NaN, as Python writes it": json.dumps({**INNER, "score": float("nan")}),
    "with an infinity": json.dumps({**INNER, "score": float("-inf")}),
    "with half of a character": json.dumps({**INNER, "text": "\ud83d"}),
    "with a number that is none": json.dumps(INNER)[:-1] + ', "n": 1e999}',
    "with a key twice": json.dumps(INNER)[:-1] + ', "email": null}',
    "with a key twice, in a JSON string": json.dumps(json.dumps(INNER)[:-1] + ', "email": null}'),
    "JSON lines": json.dumps(INNER) + "\n" + json.dumps(INNER),
    "a dict of Python": repr(INNER),
    "a list of Python": repr([INNER]),
    "bytes of Python": str(json.dumps(INNER).encode()),
    "the text of a KeyError": str(KeyError(json.dumps(INNER))),
    "cut at its end": json.dumps(INNER)[:-1],
    "deeper than can be read": json.dumps(INNER)[:-1] + ', "d": ' + "[" * 2000 + "]" * 2000 + "}",
    "in a JSON string that was cut": json.dumps(json.dumps(INNER))[:-3],
}
PLAIN_TEXTS = [
    "Bremen is wet", '"Rain," she said.', "(1) see {above}", "", " ", "\ufeff", "[REDACTED:credential] and [more]",
    json.dumps("Bremen"), "7", "b is 'wet'", "u", "'tis [sic]", "[REDACTED:content]", "\"[REDACTED:content] x",
]  # fmt: skip


def contract(*rules: dict[str, Any]) -> ToolContract:
    """Return a contract with these rules."""
    return parse_contract({"name": "t", "data": {"rules": list(rules)}})


WHOLE = contract({"selector": "/**", **KEEP}, {"selector": "/**/email", "data_class": "personal"})
NESTED = contract({"selector": "/data", **KEEP}, {"selector": "/data/email", "action": "drop"})
SHORTENED = contract({"selector": "", **KEEP}, {"selector": "/*/email", "action": "truncate", "max_chars": 3})


def redacted(found: ToolContract, payload: Any) -> Any:
    """Return what the contract keeps of a payload; twice is as once."""
    rules = compile_payload_rules(found, "input")
    once = redact_payload(payload, rules, DIGEST, Receipt(), "arguments")
    assert redact_payload(once, rules, DIGEST, Receipt(), "arguments") == once
    return once


@pytest.mark.parametrize("found", [WHOLE, NESTED, SHORTENED])
@pytest.mark.parametrize("text", OPENED.values(), ids=OPENED)
def test_a_text_that_can_be_read_is_opened(text: str, found: ToolContract) -> None:
    """The field that a rule withholds is withheld in it, and the other one is kept."""
    shown = str(redacted(found, {"data": text}))
    assert MAIL not in shown
    assert "Bremen" in shown


@pytest.mark.parametrize("found", [WHOLE, NESTED, SHORTENED])
@pytest.mark.parametrize("text", WITHHELD.values(), ids=WITHHELD)
def test_a_text_that_seems_to_be_json_and_cannot_be_read_is_withheld(text: str, found: ToolContract) -> None:
    """Nobody knows what a rule would have withheld in it, so nothing of it is kept; the receipt says so."""
    receipt = Receipt()
    rules = compile_payload_rules(found, "input")
    assert redact_payload({"data": text}, rules, DIGEST, receipt, "arguments") == {"data": "[REDACTED:undeclared]"}
    assert ("arguments/data", "contract:t:undeclared", "mask") in [tuple(note[:3]) for note in receipt.each()]
    assert redacted(found, {"data": text}) == {"data": "[REDACTED:undeclared]"}


@pytest.mark.parametrize("text", [*OPENED.values(), *WITHHELD.values()])
def test_where_no_rule_withholds_a_part_a_text_is_kept(text: str) -> None:
    """It is left as it is written."""
    everything = contract({"selector": "/data", **KEEP}, {"selector": "/other/email", "action": "drop"})
    assert redacted(everything, {"data": text})["data"] == text.replace("\ud83d", "?")


@pytest.mark.parametrize("text", PLAIN_TEXTS)
def test_other_text_is_kept(text: str) -> None:
    """Prose, quotations and what was redacted before are neither opened nor withheld."""
    assert opened(text) is PLAIN
    for found in (WHOLE, NESTED, SHORTENED):
        assert redacted(found, {"data": text}) == {"data": text}


def test_a_text_as_a_whole_payload_is_opened_too() -> None:
    """A tool that returns JSON as text has its result written as a JSON string."""
    assert MAIL not in str(redacted(WHOLE, OPENED["in a JSON string"]))
    assert redacted(WHOLE, WITHHELD["JSON lines"]) == "[REDACTED:undeclared]"
    assert opened(WITHHELD["JSON lines"]) is SHUT


@pytest.mark.parametrize("text", [*OPENED.values(), *WITHHELD.values(), *PLAIN_TEXTS])
def test_explain_says_the_same(text: str) -> None:
    """A value that is said to be kept shows, and no other does."""
    for found in (WHOLE, NESTED):
        kept = [row.path for row in explain(found, {"data": text}) if row.action == "keep"]
        assert ("/data/email" in kept) is False
        assert ("/data" in kept) == (text in PLAIN_TEXTS)
        assert ("/data/city" in kept) == (text in OPENED.values())


@pytest.mark.parametrize("text", [*OPENED.values(), *WITHHELD.values(), *PLAIN_TEXTS, "\ufeffBremen", "\0x"])
def test_both_cores_say_the_same(text: str) -> None:
    """The native core leaves to Python what it would keep unread."""
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t"}
    text = text.encode("utf-8", "replace").decode()
    for found in (WHOLE, NESTED, SHORTENED):
        for payload in (text, json.dumps({"data": text}), json.dumps({"data": [text]})):
            given: Any = {
                "run_id": "r", "tenant_id": "", "trace_id": "1" * 32, "span_id": "2" * 16, "parent_span_id": "",
                "remote_parent": False, "trace_state": "", "name": "execute_tool t", "kind": 0, "start_ns": 1,
                "end_ns": 2, "status_code": 1, "status_message": "", "events": [], "links": [], "dropped": {},
                "attributes": {**tool, "gen_ai.tool.call.arguments": payload},
                "scope": {"name": "lib", "version": "1", "schema_url": "", "attributes": {}},
                "resource": {"attributes": {}, "schema_url": ""},
            }  # fmt: skip
            wanted, lines = (Redactor(Policy(contracts={"t": found}, digester=DIGEST)) for _ in range(2))
            assert SpanLines(lines).line(given, 0) == record_line("span", wanted.redact_span(given), 0)
