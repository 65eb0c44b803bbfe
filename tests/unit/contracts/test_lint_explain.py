"""What lint finds, that explain agrees with the redactor, and what a proposal holds."""

import re
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle import redaction
from runbundle.contracts.explain import explain
from runbundle.contracts.lint import lint
from runbundle.contracts.propose import propose
from runbundle.format.contract import DataHandling, FieldRule, ToolContract, parse_contract
from runbundle.format.rules import rule_spec
from runbundle.redaction.detectors.context_rules import GENERIC_RULES
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.detectors.vendor_rules import VENDOR_RULES
from runbundle.redaction.markers import Digester
from runbundle.redaction.payloads.payload import compile_payload_rules, redact_payload
from runbundle.redaction.receipt import Receipt

CANARY = "canary-7f3a-value"


def contract(*rules: dict[str, Any], **fields: Any) -> ToolContract:
    """Return a contract with these rules."""
    return parse_contract({"name": "t", "data": {"rules": list(rules)}, **fields})


def codes(found: ToolContract) -> list[str]:
    """Return the codes that lint gives."""
    return [item.code for item in lint(found)]


SCHEMA = {"properties": {"api_key": {"type": "string"}, "q": {"type": "string"}, "pin": {"type": "integer"}}}
KEEP = {"action": "keep"}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (contract({"selector": "/a", **KEEP}), []),
        (contract({"selector": "/a", **KEEP}, {"selector": "/a/**", "data_class": "content"}), ["RC101"]),
        (contract({"selector": "/a"}, {"selector": "/a", "target": "error"}), []),
        (contract({"selector": "", **KEEP}), ["RC103"]),
        (contract({"selector": "/**", "target": "error", **KEEP}), ["RC103"]),
        (contract({"selector": "", "action": "mask"}), []),
        (contract({"selector": "/a", "target": "output"}), ["RC104"]),
        (contract({"selector": "/a", "target": "output"}, output_schema={"properties": {"a": {}}}), []),
        (contract(side_effects="destructive", policy="allow"), ["RC105"]),
        (contract(side_effects="destructive"), []),
        (contract(input_schema=SCHEMA), ["RC106"]),
        (contract({"selector": "/**", **KEEP}, input_schema=SCHEMA), ["RC103", "RC102", "RC102"]),
        (contract({"selector": "/*", "action": "truncate", "max_chars": 3}, input_schema=SCHEMA), ["RC102", "RC102"]),
        (contract({"selector": "/*", "data_class": "credential"}, input_schema=SCHEMA), []),
    ],
)
def test_each_code_has_its_cause(found: ToolContract, expected: list[str]) -> None:
    """A contract that gives it and a similar one that does not."""
    assert codes(found) == expected


def test_scalars_that_are_kept_undeclared_count_as_kept() -> None:
    """A number named like a credential is found also where no rule keeps it."""
    found = lint(contract(input_schema=SCHEMA, data={"undeclared_scalars": "keep"}))
    assert [(item.code, item.path) for item in found] == [("RC102", "input_schema/pin"), ("RC106", "input_schema")]
    assert found[1].message == "no rule names 2 of the properties: /api_key, /q"


def test_properties_are_followed_through_the_schema() -> None:
    """References, items and alternatives; long lists are cut."""
    schema = {
        "$defs": {"user": {"properties": {"password": {}, **{f"f{i}": {} for i in range(7)}}}},
        "properties": {"users": {"anyOf": [{"items": {"$ref": "#/$defs/user"}}]}},
    }
    kept, rest = lint(contract({"selector": "/users/*/password", **KEEP}, input_schema=schema))
    assert (kept.code, kept.path) == ("RC102", "input_schema/users/*/password")
    assert rest.message.startswith("no rule names 7 of the properties: /users/*/f0, ")
    assert rest.message.endswith("/users/*/f4, …")


# --- explain ---------------------------------------------------------------------------------------------------------

steps = st.sampled_from(["a", "b", "list", "0", "*", "**", "p/q"])
selectors = st.lists(steps, max_size=3).map(lambda s: "".join("/" + step.replace("/", "~1") for step in s))
handlings: list[dict[str, Any]] = [
    {"action": "keep"}, {"action": "truncate", "max_chars": 12}, {"action": "truncate", "max_chars": 500},
    {"data_class": "personal"}, {"data_class": "financial", "keep_last": 4}, {"data_class": "content"},
    {"data_class": "credential"}, {"data_class": "special", "action": "mask"},
]  # fmt: skip
rule_sets = st.lists(
    st.builds(lambda s, h: FieldRule(selector=s, **h), selectors, st.sampled_from(handlings)), max_size=5
)
data = st.builds(
    DataHandling, rules=rule_sets.map(tuple), undeclared=st.sampled_from(["mask", "hash", "drop"]),
    undeclared_scalars=st.sampled_from(["mask", "keep", "hash", "drop"]),
)  # fmt: skip
schemas = st.sampled_from([{}, {"properties": {"a": {}, "x": {}}, "additionalProperties": True}])
contracts = st.builds(lambda d, s: ToolContract(name="t", data=d, input_schema=s), data, schemas)
keys = st.sampled_from(["a", "b", "list", "x", "p/q", "~", "*", "**", "ada@example.com"])
shapes = st.recursive(
    st.sampled_from(["number", "short", "long"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def filled(shape: Any, leaves: list[Any], numbers: "count[int]") -> Any:
    """Put a value that occurs only once in the place of each leaf, and collect the values in order."""
    if isinstance(shape, dict) and shape:
        return {key: filled(item, leaves, numbers) for key, item in shape.items()}
    if isinstance(shape, list) and shape:
        return [filled(item, leaves, numbers) for item in shape]
    number = next(numbers)
    value = {"number": number, "short": f"w{number}q", "long": f"w{number}q{'-' * 40}"}[shape] if shape else shape
    leaves.append(value)
    return value


@given(contracts, shapes, st.booleans())
def test_explain_agrees_with_the_redactor(found: ToolContract, shape: Any, as_text: bool) -> None:
    """A value shows exactly if its action is keep; each value has one row, and no row tells a value."""
    leaves: list[Any] = []
    payload = filled(shape, leaves, count(8_000_001))
    if as_text and isinstance(payload, dict | list):
        text = orjson.dumps(payload).decode()
        rows = explain(found, text)
        if len(rows) == 1 and rows[0].path == "":  # kept or withheld as it is, not opened
            leaves, payload = [text], text
    rows = explain(found, payload)
    redacted = redact_payload(payload, compile_payload_rules(found, "input"), Digester(b"k"), Receipt(), "arguments")
    shown = redacted if isinstance(redacted, str) else orjson.dumps(redacted).decode()
    assert len(rows) == len(leaves)
    for row, leaf in zip(rows, leaves, strict=True):
        if leaf not in ({}, []):
            assert (row.action == "keep") == (str(leaf) in shown), row
            assert str(leaf) not in repr(row)
        assert "ada@" not in row.path or "ada@" in shown


@given(contracts, shapes)
def test_text_that_holds_json_is_explained_like_what_it_holds(found: ToolContract, shape: Any) -> None:
    """Where the redactor opens it; otherwise it is one value."""
    payload = filled(shape, [], count(8_000_001))
    if isinstance(payload, dict | list):
        opened = explain(found, orjson.dumps(payload).decode())
        assert opened == explain(found, payload) or [row.path for row in opened] == [""]


@pytest.mark.parametrize(
    ("value", "action", "why"),
    [
        ("plain", "keep", "a rule names it"),
        ("Bearer abcdefghijklmnop", "mask", "holds a credential, or text that is not UTF-8"),
        ("[REDACTED:content]", "keep", "redacted already"),
        (b"bytes", "mask", "JSON cannot hold it, or it nests too deeply"),
        ({}, "keep", "a rule names it"),
    ],
)
def test_what_a_rule_keeps_may_still_go(value: Any, action: str, why: str) -> None:
    """Credentials, markers, and what JSON cannot hold."""
    (row,) = explain(contract({"selector": "/a", **KEEP}), {"a": value})
    assert row == ("/a", "/a", "internal", action, why) or row == ("/a", "", "undeclared", action, why)


def test_rows_say_which_rule_and_name_only_known_keys() -> None:
    """Inherited rules, keys of the schema, keys that are data."""
    found = contract(
        {"selector": "/a", **KEEP}, {"selector": "/a/b", "data_class": "personal"},
        {"selector": "/e", "target": "error"},
        input_schema={"properties": {"a": {}, "user": {"properties": {"city": {}}}}},
    )  # fmt: skip
    rows = explain(found, {"a": {"b": 1, "c": [2]}, "user": {"city": 3, "ada@example.com": 4}})
    assert [row[:4] for row in rows] == [
        ("/a/b", "/a/b", "personal", "hash"),
        ("/a/c/0", "/a", "internal", "keep"),
        ("/user/city", "", "undeclared", "mask"),
        ("/user/[REDACTED:key:2]", "", "undeclared", "mask"),
    ]
    assert [row.action for row in explain(found, "text", "error")] == ["mask"]


def test_nesting_beyond_the_limit_is_masked_in_both() -> None:
    """Deep payloads are explained without recursing without end."""
    payload: Any = CANARY
    for _ in range(200):
        payload = {"a": payload}
    for rules in ({"selector": "/**/a", **KEEP}, {"selector": "", **KEEP}, {"selector": "/a", "action": "mask"}):
        (row,) = explain(contract(rules), payload)
        assert row.action == "mask"


# --- propose ---------------------------------------------------------------------------------------------------------


def test_a_proposal_has_names_and_types_and_no_value() -> None:
    """Fields of all observations; credentials by name, items as `*`, and nothing is kept."""
    seen = [
        {"q": CANARY, "n": 1, "items": [{"token": CANARY, "f": 1.5}, {"ok": True}], "mixed": CANARY},
        {"q": None, "auth": {"password": CANARY}, "mixed": [CANARY], "by_mail": {f"{CANARY}@example.com": {"pin": 1}}},
    ]
    proposal = propose(seen, "find")
    assert CANARY not in repr(proposal)
    assert proposal["data"]["rules"] == [
        {"selector": f"/{path}", "target": "input", "data_class": "credential"}
        for path in ("auth/password", "by_mail/*/pin", "items/*/token")
    ]
    properties = proposal["input_schema"]["properties"]
    assert properties["q"] == {"anyOf": [{"type": "null"}, {"type": "string"}]}
    assert properties["n"] == {"type": "integer"}
    assert properties["items"]["items"]["properties"]["f"] == {"type": "number"}
    assert properties["mixed"] == {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    assert codes(parse_contract(proposal)) == ["RC106"]


payloads = st.recursive(
    st.none() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.booleans(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.lists(payloads, max_size=4))
def test_any_observation_gives_a_contract_that_keeps_nothing(seen: list[Any]) -> None:
    """Whatever was seen, what is proposed parses, and withholds all of it."""
    found = parse_contract(propose(seen, "t"))
    for payload in seen:
        assert all(row.action != "keep" or row.why in ("empty", "redacted already") for row in explain(found, payload))


def test_deep_observations_are_cut() -> None:
    """A proposal never nests deeper than a schema may."""
    deep: Any = 1
    for _ in range(100):
        deep = [{"token": deep}]
    assert parse_contract(propose([deep], "t")).data.rules[0].selector == "/*/token"


def test_explain_knows_what_the_detectors_withhold() -> None:
    """A key that only a detector takes for a credential, and a number that is a known secret, in what is kept."""
    contract = ToolContract.model_validate({"name": "t", "data": {"rules": [{"selector": "", "action": "keep"}]}})
    key = "xai-" + "a1B2" * 15
    KNOWN.register("493817265049")
    payload = {key: 1, "n": 493817265049, "deep": {key: "x"}}
    rows = explain(contract, payload)
    view = redact_payload(payload, compile_payload_rules(contract, "input"), Digester(b"k"), Receipt(), "arguments")
    assert view["n"] == "[REDACTED:credential]"
    assert [(row.path, row.action) for row in rows] == [
        ("/[REDACTED:key:1]", "keep"), ("/n", "mask"), ("/deep/[REDACTED:key:1]", "keep"),
    ]  # fmt: skip
    assert key not in str(rows)


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("/q", True), ("", True), ("/**/id", True), ("/items/*/id", True), ("/items/0/id", True),
        ("/free/any/thing", True),
        ("/**/pin", True), ("/*", True), ("/items/*/id/deeper", False), ("/q/deeper", False), ("/choice/c", False),
    ],
)  # fmt: skip
def test_a_rule_that_names_no_place_of_the_schema_is_reported(selector: str, matches: bool) -> None:
    """Where the schema is open below a place, a rule may still match there."""
    schema = {
        "type": "object",
        "properties": {
            "q": {"type": "string"},
            "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
            "free": {"type": "object"},
            "choice": {
                "anyOf": [{"type": "object", "properties": {"a": {}, "b": {"type": "string"}}}, {"type": "null"}]
            },
        },
        "$defs": {"item": {"type": "object", "properties": {"id": {"type": "integer"}}}},
    }
    made = ToolContract(
        name="t", input_schema=schema, data=DataHandling(rules=(FieldRule(selector=selector, data_class="personal"),))
    )
    assert ("RC107" in {warning.code for warning in lint(made)}) == (not matches)


def test_a_wildcard_that_leads_nowhere_in_a_closed_schema_is_reported() -> None:
    """`**` reaches all places, and none of them is called so."""
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    rules = (FieldRule(selector="/**/pin", data_class="special"),)
    made = ToolContract(name="t", input_schema=schema, data=DataHandling(rules=rules))
    assert "RC107" in {warning.code for warning in lint(made)}


def test_every_code_and_rule_that_is_named_can_be_explained() -> None:
    """Of lint, of receipts, of every detector, of contracts."""
    named = [f"RC10{n}" for n in range(1, 8)]
    named += [f"detector:{rule.id}" for rule in (*VENDOR_RULES, *GENERIC_RULES)]
    named += ["contract:find:/a", "contract:find:undeclared", "config:key", "no-contract", "floor", "taint:forgotten"]
    source = "".join(path.read_text() for path in Path(redaction.__path__[0]).rglob("*.py"))
    named += re.findall(r"(?:receipt|Receipt\(\))\.add\([^,]+(?:\([^)]*\))?, \"([a-z_:-]+)\"", source)
    assert len(named) > 150
    assert [name for name in named if rule_spec(name) is None] == []


def test_names_of_fields_are_shown_to_whoever_owns_the_file() -> None:
    """But for one that is a credential itself; without it, as they are recorded."""
    secret = "ghp_" + "Zq7Xw2Vt" * 4
    payload = {"note": "x", "deep": [{"city": 1}], secret: 2}
    shown = [row.path for row in explain(contract(), payload, named=True)]
    assert shown == ["/note", "/deep/0/city", "/[REDACTED:key:3]"]
    assert "note" not in repr(explain(contract(), payload))
