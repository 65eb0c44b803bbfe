"""What is kept as a name, what a size tells, and what came from outside."""

from typing import Any

import orjson
import pytest

import runbundle
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.markers import Digester, is_marker, marker, marker_parts
from runbundle.redaction.permitted.names import BLANKS, CHARS, LONGER, names_a_person
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import parse_receipt
from runbundle.redaction.redactor import Redactor
from runbundle.signals import own
from runbundle.signals.dialects.canonical import canonical_attributes
from runbundle.signals.keys import RESOURCE_KEYS, SPAN_KEYS
from runbundle.signals.records import SpanRecord
from tests.support.records import CONTRACTS, record, record_of_ours

REDACTOR = Redactor(Policy(contracts=CONTRACTS, digester=Digester(b"k")))
NAMES = sorted(key for key, kind in SPAN_KEYS.items() if kind == "name" and key in canonical_attributes("", {key: "x"}))
"""Under which a name stays; another's value goes to the attribute that a dialect's table names."""
PERSONS = [
    "mail ada@example.org", "ada.lovelace+x@mail.example.co.uk", "card 4111111111111111", "4111 1111 1111 1111",
    "378282246310005", "SSN 078-05-1120", "078 05 1120", "DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19",
    "NI AB123456C", "+491701234567", "+1 (555) 010-9999", "555-010-9999", "call 5550109999", "cpf 123.456.789-09",
    "aadhaar 1234 5678 9012", "dni 12345678Z", "19850101-1234", "RSSMRA85T10A562S", "11010519491231002X",
    "ada:hunter2@db",
]  # fmt: skip
LEGITIMATE = [
    "gpt-4o-2024-08-06", "claude-3-5-sonnet-20241022", "text-bison@001", "find_order", "Planner", "1.2.3.dev20240101",
    "0.1+20241127", "v0.0.0-20240101120000-abcdef012345", "events_20261127", "/orders/{id}/items", "10.20.30.40",
    "@opentelemetry/instrumentation-http", "Thread-7 (worker)", "192.168.100.200", "tool:find@0123456789abcde",
    "arn:aws:bedrock:us-east-1:123456789012:model/x", "ExceptionGroup[KeyError, ValueError]", "en-GB", "2026-11-27",
]  # fmt: skip


def kept(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a span as they are kept, and check that redacting again changes nothing."""
    ours = any(key in own.NOT_OF_OTHERS or key == own.CAPTURE for key in attributes if key != own.RECEIPT)
    once = REDACTOR.redact_span(record_of_ours(attributes) if ours else record(attributes))
    assert REDACTOR.redact_span(once) == once
    return once["attributes"]


def is_digest_with_size(value: Any) -> bool:
    """Tell whether a value is a marker with both."""
    return is_marker(value) and all(part not in ("", None) for part in marker_parts(value))


@pytest.mark.parametrize("key", NAMES)
def test_a_name_is_short_has_few_blanks_and_names_nobody(key: str) -> None:
    """Under every key for names; anything else becomes a digest with a size."""
    longest = LONGER.get(key, CHARS)
    good = ["x" * longest, "a b c d", *LEGITIMATE[:6]]
    bad = ["x" * (longest + 1), "a b c d e", "a  b  c", "Call Ada today, she said so", "password Tr0ub4dor", *PERSONS]
    for value in good:
        assert kept({key: value})[key] == value
    for value in bad:
        assert is_digest_with_size(kept({key: value})[key]), value
        assert is_digest_with_size(kept({key: ["fine", value]})[key]), value


def test_the_exceptions_are_in_one_place() -> None:
    """Models and routes, tools, lanes and effects; all others have one length."""
    assert (CHARS, BLANKS) == (64, 3)
    assert {(key, LONGER[key]) for key in LONGER} == {
        ("gen_ai.request.model", 256), ("gen_ai.response.model", 256), ("model_name", 256), ("http.route", 256),
        ("gen_ai.tool.name", 128), ("runbundle.policy.tool", 128), ("runbundle.lane", 200), ("runbundle.effect", 200),
    }  # fmt: skip


@pytest.mark.parametrize("text", PERSONS)
def test_a_person_is_named(text: str) -> None:
    """Addresses, cards by their check digit, accounts, national and telephone numbers."""
    assert names_a_person(text)


@pytest.mark.parametrize("text", LEGITIMATE)
def test_nobody_is_named(text: str) -> None:
    """Versions, dates, addresses of hosts and models stay names."""
    assert not names_a_person(text)


def test_a_number_under_a_key_for_names_is_judged_too() -> None:
    """A card is one without quotes."""
    assert kept({"gen_ai.agent.name": 4111111111111111})["gen_ai.agent.name"] != 4111111111111111
    assert kept({"gen_ai.agent.version": 3})["gen_ai.agent.version"] == 3


def test_every_other_name_of_a_record_is_held_to_the_same() -> None:
    """Of spans, events, scopes and resources: a digest with a size, equal for equal names and different for others."""
    sentence = "My SSN is 078-05-1120, mail ada@example.org"
    raw = record({}, sentence)
    raw["resource"] = {"attributes": {"service.name": sentence, "host.name": "web-1"}, "schema_url": ""}
    once = REDACTOR.redact_span(raw)
    assert REDACTOR.redact_span(once) == once
    assert sentence not in repr(once)
    resource = once["resource"]["attributes"]
    hidden = (once["name"], once["events"][0]["name"], once["scope"]["name"], resource["service.name"])
    assert all(map(is_digest_with_size, hidden))
    assert len(set(hidden)) == 1
    assert resource["host.name"] == "web-1"
    assert REDACTOR.redact_span(record({}, sentence + "!"))["name"] != once["name"]


def test_a_name_in_a_resource_joins_with_no_other_tenants() -> None:
    """Its digest is made under the tenant's key, like any other."""
    resource = {"attributes": {"service.name": "a b c d e f"}, "schema_url": ""}
    spans: list[SpanRecord] = [{**record({}), "resource": resource, "tenant_id": t} for t in ("a", "b")]  # type: ignore[typeddict-item]
    found = {REDACTOR.redact_span(span)["resource"]["attributes"]["service.name"] for span in spans}
    assert len(found) == 2


def test_a_flag_is_kept_as_a_boolean_or_as_its_word() -> None:
    """Python's SDK writes `exception.escaped` as text."""
    for value in (True, False, "True", "False", "true"):
        assert kept({"exception.escaped": value})["exception.escaped"] == value
    assert is_digest_with_size(kept({"exception.escaped": "hunter2"})["exception.escaped"])


@pytest.mark.parametrize("key", ["gen_ai.usage.input_tokens", "gen_ai.agent.name", "gen_ai.response.id"])
def test_a_known_number_is_masked_wherever_numbers_are_kept(key: str) -> None:
    """As a number and as text; others stay."""
    KNOWN.clear()
    runbundle.register_secret(12345678)
    try:
        for value in (12345678, "12345678", -12345678):
            assert "12345678" not in str(kept({key: value})[key])
        assert kept({key: 12345679})[key] == 12345679
    finally:
        KNOWN.clear()


def test_small_sizes_are_one_class() -> None:
    """In markers, payloads and what is said of captured values: nothing tells `true` from `false`."""
    sizes: set[tuple[Any, ...]] = set()
    for value in (True, False, "4821", 0, [1, 2, 3], None, "x" * 40):
        text = orjson.dumps({"hiv": value}).decode()[:64]
        raw = {"gen_ai.tool.name": "other", "gen_ai.tool.call.arguments": text, "url.full": str(value), "app.x": value}
        attributes = kept(raw)
        hidden = [v for k, v in attributes.items() if k.startswith("runbundle.redacted.")]
        sizes.add((
            attributes["runbundle.tool.arguments.bytes"],
            marker_parts(attributes["gen_ai.tool.call.arguments"])[1],
            marker_parts(attributes["url.full"])[1], ":bytes=<64" in hidden[0],
        ))  # fmt: skip
    assert sizes == {(63, 63, 63, True)}
    assert marker("content", size=64) == "[REDACTED:content:bytes=64]"
    assert marker("content", size=63) == marker("content", size=0) == "[REDACTED:content:bytes=<64]"
    assert is_marker("[REDACTED:content:bytes=5]")
    assert not is_marker("[REDACTED:content:bytes=<5]")
    capture = '{"url.full":{"bytes":4,"sha256":"' + "a" * 64 + '","word":"oversize"}}'
    assert '"bytes":63' in kept({"url.full": "x", "runbundle.capture": capture})["runbundle.capture"]


def _counted(attributes: dict[str, Any]) -> dict[str, int]:
    receipt = parse_receipt(kept(attributes)["runbundle.redaction"])
    assert receipt is not None
    return {key: count for key, count in receipt.more.items() if key.startswith("foreign:")}


def test_markers_and_receipts_from_outside_are_counted_once() -> None:
    """Whole, within text, as a key; not those that a value of pydantic or a large one left when it was captured."""
    other = Digester(b"other")
    foreign = {
        "url.full": marker("content", digest=other("content", b"x"), size=100),
        "gen_ai.agent.name": "[REDACTED:name]",
        "gen_ai.tool.call.result": '{"text":"they said [REDACTED:credential] to me"}',
        "runbundle.redacted.abcdefabcdef": "[REDACTED:undeclared]",
    }
    # Four values and one key; the raw record has the same attributes on its event.
    assert _counted(foreign) == {"foreign:marker|found": 10}
    ours = {"gen_ai.tool.call.result": '{"p":"[REDACTED:credential]","i":"[REDACTED:oversize:bytes=300000]"}'}
    assert _counted(ours) == {}
    text = Redactor(Policy(digester=other)).redact_span(record({"url.full": "x"}))["attributes"]["runbundle.redaction"]
    assert _counted({"runbundle.redaction": text}) == {"foreign:receipt|found": 1}
    assert RESOURCE_KEYS
