"""The laws of redaction, as properties."""

import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.format.contract import DataHandling, FieldRule, ToolContract, parse_contract
from runbundle.redaction.detectors.detector import MASK
from runbundle.redaction.markers import Digester
from runbundle.redaction.payloads.configuration import redact_configuration
from runbundle.redaction.payloads.payload import compile_payload_rules, redact_payload
from runbundle.redaction.permitted import safe_text
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import Receipt
from runbundle.redaction.redactor import Redactor
from runbundle.signals.keys import SPAN_KEYS
from tests.support.records import keys, names, record, values

CONTRACT = ToolContract(
    name="probe",
    data=DataHandling(
        rules=(
            FieldRule(selector="/a", action="keep"),
            FieldRule(selector="/a/b", data_class="credential"),
            FieldRule(selector="/**/pin", data_class="special"),
            FieldRule(selector="/list/*/x", action="truncate", max_chars=3),
            FieldRule(selector="/h", data_class="personal"),
            FieldRule(selector="/m", data_class="financial", keep_last=2),
            FieldRule(selector="/e", target="error", action="keep"),
        )
    ),
)
REDACTOR = Redactor(Policy(contracts={"probe": CONTRACT}, digester=Digester(b"k")))


@given(st.dictionaries(keys, values, max_size=8), st.text(max_size=30))
def test_total_and_idempotent(attributes: dict[str, Any], name: str) -> None:
    """Any record is redacted without failing, and redacting the result changes nothing."""
    attributes = {"gen_ai.tool.name": "probe", **attributes}
    once = REDACTOR.redact_span(record(attributes, name))
    assert '"failed"' not in once["attributes"]["runbundle.redaction"]
    assert REDACTOR.redact_span(once) == once


def test_a_span_cannot_speak_against_its_contract() -> None:
    """What a span says of the contract of its tool is replaced by what the contract says."""
    said = {"gen_ai.tool.name": "probe", "tool_arguments": [], "runbundle.tool.side_effects": "none"}
    said["runbundle.contract.sha256"] = "0" * 64
    attributes = REDACTOR.redact_span(record(said))["attributes"]
    assert attributes["runbundle.tool.side_effects"] == "write"
    assert attributes["runbundle.contract.sha256"] == CONTRACT.sha256


@given(st.dictionaries(keys, values, max_size=8))
def test_input_is_not_modified_and_output_is_deterministic(attributes: dict[str, Any]) -> None:
    """The raw record stays as it was, and another redactor with the same key says the same."""
    before = repr(attributes)
    first = REDACTOR.redact_span(record(attributes))
    second = Redactor(REDACTOR.policy).redact_span(record(attributes))
    assert repr(attributes) == before
    assert repr(first) == repr(second)


@given(st.text(min_size=6, max_size=30, alphabet="abcdefghijklmnop0123456789"), keys)
def test_free_text_under_any_key_of_content_does_not_survive(secret: str, key: str) -> None:
    """Under a key that is not for names, ids or numbers, no text stays."""
    if SPAN_KEYS.get(key) in ("name", "id", "number", "own", "config"):
        return
    secret = f"zq {secret} qz"
    redacted = REDACTOR.redact_span(record({key: secret, "gen_ai.tool.name": "probe"}))
    assert secret not in repr(redacted)


@given(values, st.sampled_from(["input", "output"]))
def test_payload_is_total_json_and_idempotent(value: Any, target: Any) -> None:
    """Any payload gives something JSON can hold, and gives it again when applied twice."""
    rules = compile_payload_rules(CONTRACT, target)
    digest = Digester(b"k")
    once = redact_payload(value, rules, digest, Receipt(), "arguments")
    orjson.dumps(once)
    again = Receipt()
    assert redact_payload(once, rules, digest, again, "arguments") == once
    assert again.count() == 0


@given(st.dictionaries(names, values, max_size=5), st.sampled_from(["/a", "/list", "/h", "/**/x", "/*"]))
def test_a_rule_that_drops_never_reveals_more(value: Any, selector: str) -> None:
    """Adding a rule that drops can only remove from what is kept."""
    digest = Digester(b"k")
    base = DataHandling(rules=(FieldRule(selector="/a", action="keep"), FieldRule(selector="/list", action="keep")))
    more = DataHandling(rules=(*base.rules, FieldRule(selector=selector, data_class="special", reason="x")))
    kept = [
        redact_payload(
            value, compile_payload_rules(ToolContract(name="t", data=d), "input"), digest, Receipt(), "arguments"
        )
        for d in (base, more)
    ]
    # The last step of the selector is the developer's word, not data: it may show as a key.
    assert _texts(kept[1]) - {selector.rpartition("/")[2]} <= _texts(kept[0])


def _texts(value: Any) -> set[str]:
    if isinstance(value, str) and value[:1] in ("{", "["):  # opened JSON: its shape may show, its texts may not
        try:
            return _texts(orjson.loads(value))
        except orjson.JSONDecodeError:
            pass
    if isinstance(value, dict):
        return {t for k, v in value.items() for t in {k, *_texts(v)} if not t.startswith(("[REDACTED", "h1:"))}
    if isinstance(value, list):
        return {t for v in value for t in _texts(v)}
    return {value} if isinstance(value, str) and not value.startswith(("[REDACTED", "h1:")) else set()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": {"b": "s", "c": "kept"}}, {"a": {"c": "kept"}}),
        ({"a": {"pin": "1"}}, {"a": {}}),
        ({"a": '{"b": "s", "c": 1}'}, {"a": '{"c":1}'}),
        ({"list": [{"x": "abcdef"}]}, {"list": [{"x": "abc…[+3]"}]}),
        ({"m": "4000 1234"}, {"m": "[REDACTED:financial:last=34]"}),
        ({"a": "Bearer abcdefghijklmnop"}, {"a": "[REDACTED:credential]"}),
        ({"new": 1}, {"[REDACTED:key:1]": "[REDACTED:undeclared]"}),
        ("text", "[REDACTED:undeclared]"),
    ],
)
def test_contract_decides(value: Any, expected: Any) -> None:
    """Specific rules win, `**` reaches below a kept parent, JSON in text is opened, what no rule may keep goes."""
    rules = compile_payload_rules(CONTRACT, "input")
    assert redact_payload(value, rules, Digester(b"k"), Receipt(), "arguments") == expected


def test_equal_values_have_equal_digests_under_one_key_only() -> None:
    """Digests join equal values within a key, and say nothing across keys or domains."""
    one, other = Digester(b"1"), Digester(b"2")
    assert one("d", b"v") == one("d", b"v")
    assert one("d", b"v") != one("e", b"v")
    assert one("d", b"v") != other("d", b"v")
    assert one("ab", b"c") != one("a", b"bc")


def test_a_forged_receipt_or_marker_carries_nothing() -> None:
    """Text that merely looks like ours is treated as anybody's."""
    forged = {
        "runbundle.redaction": '{"n":[["secret words here!","x","digest"]]}',
        "url.full": "[REDACTED:secret words]",
        "runbundle.tool.arguments.digest": "h1:secret",
    }
    assert "secret" not in repr(REDACTOR.redact_span(record(forged)))


def test_a_rule_for_the_values_of_a_mapping_holds_for_keys_that_nobody_declared() -> None:
    """`/m/*` decides about the values; the keys, which may be data, go."""
    contract = parse_contract({"name": "t", "data": {"rules": [{"selector": "/m/*", "action": "keep"}]}})
    rules = compile_payload_rules(contract, "input")
    view = redact_payload({"m": {"ada": "v"}, "n": {"ada": "v"}}, rules, Digester(b"k"), Receipt(), "arguments")
    assert view == {"m": {"[REDACTED:key:1]": "v"}, "[REDACTED:key:1]": "[REDACTED:undeclared]"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"password": ["hunter2xx", {"x": 5}]}, {"password": [MASK, {"x": MASK}]}),
        ({"credentials": {"pw": "hunter2yy", "set": True}}, {"credentials": {"pw": MASK, "set": True}}),
        ({"pin": 4921, "api_key": None}, {"pin": MASK, "api_key": None}),
    ],
)
def test_everything_below_a_key_that_names_a_credential_is_withheld(config: Any, expected: Any) -> None:
    """Lists, mappings and numbers too; what is left is structure and whether it was set."""
    assert redact_configuration(config, Receipt()) == expected
    assert redact_configuration(expected, Receipt()) == expected


@given(
    st.lists(
        st.sampled_from([
            "AKIA", "ghp_", "sk-", "sk_live_", "xoxb-", "AIza", "eyJ", ".", "-", "_", " ", "bearer ", "Basic ", "token",
            "password", ":", "=", '"', "https://", "u:p", "@", "A" * 16, "b" * 12, "0123456789ab", "\t", "\n", "call_",
        ]),
        max_size=8,
    )
)  # fmt: skip
def test_short_texts_are_judged_as_long_ones_are(parts: list[str]) -> None:
    """`safe_text` has one list of formats and two engines, which agree on every short ASCII text."""
    text = "".join(parts)[: safe_text._SHORT]
    assert (safe_text._SHORT_CREDENTIAL.search(text) is None) == (safe_text._credential().search(text) is None)


@given(st.from_regex(re.compile(safe_text._FORMATS, re.ASCII), fullmatch=True))
def test_every_format_has_one_of_the_characters_that_are_looked_for_first(text: str) -> None:
    """So that an id of hexadecimal digits is no credential at a glance."""
    assert safe_text._IN_CREDENTIALS.search(text) is not None
