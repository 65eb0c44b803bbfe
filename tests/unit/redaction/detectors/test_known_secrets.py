"""Known secrets: exact values, in whatever encoding they come."""

import base64
import html
import json
import re
import secrets
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.format import events, evidence, run, tool_calls
from runbundle.format.base import Record
from runbundle.format.contract import parse_contract
from runbundle.format.findings import FINDINGS
from runbundle.redaction.detectors import known_secrets as known_module
from runbundle.redaction.detectors.environment import secrets_of_environment
from runbundle.redaction.detectors.known_secrets import KNOWN, LIMIT, KnownSecrets, register_secret
from runbundle.redaction.detectors.known_values import _FIELDS, forms, refusal  # pyright: ignore[reportPrivateUsage]
from runbundle.redaction.markers import Digester
from runbundle.redaction.payloads.configuration import redact_configuration
from runbundle.redaction.payloads.payload import compile_payload_rules, redact_payload
from runbundle.redaction.permitted.safe_text import safe_name
from runbundle.redaction.receipt import Receipt

SECRET = 'Tr0ub4dor & "3"/é'

FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "JSON": lambda s: json.dumps({"a": s}, ensure_ascii=False),
    "JSON in JSON": lambda s: json.dumps(json.dumps({"a": s}, ensure_ascii=False), ensure_ascii=False),
    "JSON as Python writes it": lambda s: json.dumps({"a": s}),
    "JSON of capital digits": lambda s: json.dumps({"a": s}).replace("00e9", "00E9"),
    "JSON in JSON as Python writes it": lambda s: json.dumps(json.dumps({"a": s})),
    "JSON three deep": lambda s: json.dumps(json.dumps(json.dumps({"a": s}, ensure_ascii=False))),
    "bytes of Python": lambda s: repr(s.encode()),
    "escaped by Python": lambda s: s.encode("ascii", "backslashreplace").decode(),
    "HTML of ASCII": lambda s: html.escape(s).encode("ascii", "xmlcharrefreplace").decode(),
    "URL of small digits": lambda s: re.sub("%..", lambda m: m[0].lower(), urllib.parse.quote(s, safe="")),
    "URL": lambda s: "?a=" + urllib.parse.quote(s, safe=""),
    "form": lambda s: "a=" + urllib.parse.quote_plus(s),
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 after one byte": lambda s: base64.b64encode(b"x" + s.encode() + b"yz").decode(),
    "base64 after two bytes": lambda s: base64.b64encode(b"xy" + s.encode() + b"z").decode(),
    "base64url": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
}


@pytest.fixture
def known() -> KnownSecrets:
    """Return an empty set."""
    return KnownSecrets()


@pytest.fixture
def process_known() -> Iterator[KnownSecrets]:
    """Return the process's set, empty before and after."""
    KNOWN.clear()
    yield KNOWN
    KNOWN.clear()


@pytest.mark.parametrize("form", FORMS)
def test_every_encoding_is_found(known: KnownSecrets, form: str) -> None:
    """As it is, escaped, percent-encoded, in hex, and in base64 at each of the three alignments."""
    known.register(SECRET)
    assert known.find(f"before {FORMS[form](SECRET)} after")


def test_what_is_not_registered(known: KnownSecrets) -> None:
    """Short values, words and repetitions, which ordinary text has; and map keys and brackets of JSON."""
    assert known.register("short", "production", "aaaaaaaaaaaa", "") == 0
    assert known.register('{"username-key": "q8Zk2mW0", "n": 1}') == 1
    assert known.find("username-key") == []
    assert known.find("q8Zk2mW0") == [(0, 8)]


def test_each_line_of_a_value_is_known(known: KnownSecrets) -> None:
    """Logs show them one at a time."""
    known.register("first-line-1234\nsecond-line-5678")
    assert known.find("… second-line-5678 …")


def test_the_longest_is_masked_first(known: KnownSecrets) -> None:
    """A value that begins with another leaves no tail."""
    known.register("abcd1234", "abcd1234-and-more")
    assert known.find("abcd1234-and-more") == [(0, 17)]


def test_names_are_judged_anew(process_known: KnownSecrets) -> None:
    """What was a safe name is none once it is known to be a secret, although judgements are remembered."""
    assert safe_name("winter-garden-7")
    process_known.register("winter-garden-7")
    assert not safe_name("winter-garden-7")


def test_the_environment_gives_secrets_by_name() -> None:
    """By what variables are called, and the values of OTLP headers, with and without their scheme."""
    found = secrets_of_environment(
        {
            "DB_PASSWORD": "from-password", "HOME": "/root", "STRIPE_API_KEY": "from-key",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20from-header,x-team=abc",
        }
    )  # fmt: skip
    assert {"from-password", "from-key", "Bearer from-header", "from-header"} <= set(found)
    assert "/root" not in found


def test_a_set_does_not_show_its_values(known: KnownSecrets) -> None:
    """Not in its repr, which ends up in logs."""
    known.register(SECRET)
    assert SECRET not in repr(known)
    assert "1" in repr(known)


def test_any_bytes_of_the_environment_and_values_that_contain_themselves(known: KnownSecrets) -> None:
    """A value that is not UTF-8 comes with surrogates; neither is an error, nor without end."""
    assert known.register("caf\udce9-Passw0rd-123") == 1
    assert known.find("it is caf\udce9-Passw0rd-123") == [(6, 23)]
    loop: dict[str, Any] = {"a": "q8Zk2mW0-loop"}
    loop["self"] = loop
    assert known.register(loop) == 1


def test_a_numeric_secret_is_found_as_a_number(process_known: KnownSecrets) -> None:
    """JSON may carry it without quotes, in a kept payload as in a configuration."""
    process_known.register("493817265049")
    rules = compile_payload_rules(
        parse_contract({"name": "t", "data": {"rules": [{"selector": "", "action": "keep"}]}}), "input"
    )
    view = redact_payload({"n": 493817265049, "m": 493817265048}, rules, Digester(b"k"), Receipt(), "arguments")
    assert view == {"n": "[REDACTED:credential]", "m": 493817265048}
    assert redact_configuration({"n": 493817265049}, Receipt()) == {"n": "[REDACTED:credential]"}


def test_a_random_digest_key_is_known_in_the_forms_it_would_be_written_in(process_known: KnownSecrets) -> None:
    """As hex and as base64, which is how a key of arbitrary bytes gets into text; so are those derived from it."""
    root = secrets.token_bytes(32)
    digester = Digester(root)
    process_known.register(*digester.key_texts())
    for key in (root, digester.subkey("carrier")):
        assert process_known.find(f"key {key.hex()}")
        assert process_known.find(f"key {base64.b64encode(key).decode()}")


def test_values_are_found_whenever_they_were_registered(known: KnownSecrets) -> None:
    """One by one with searches in between, and many at once: none is missed at any moment."""
    values = [f"{secrets.token_urlsafe(12)}.{n}" for n in range(600)]
    for n, value in enumerate(values[:300]):
        known.register(value)
        assert known.find(f"it is {value}, no?") == [(6, 6 + len(value))]
        earlier = values[n // 2]
        assert known.find(base64.b64encode(f"xy{earlier}z".encode()).decode())
    known.register(*values[300:])
    for _ in range(2):
        assert all(known.find(f"-{value}-") == [(1, 1 + len(value))] for value in values)
        assert known.find("nothing of the kind") == []


@pytest.mark.alone
def test_registering_costs_little(known: KnownSecrets) -> None:
    """It happens on the agent's path: at most 50 µs a value, however many there are."""
    values = [secrets.token_urlsafe(24) for _ in range(2000)]
    known.register("the first value of all")
    best = float("inf")
    for part in range(0, 2000, 500):
        started = time.process_time()
        for value in values[part : part + 500]:
            known.register(value)
        best = min(best, time.process_time() - started)
    assert best / 500 < 50e-6


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("short", "short"), ("production", "word"), ("1111111111", "word"), ("application/json", "format"),
        ("text/html; charset=utf-8", "format"), ("2026-11-27", "format"), ("2026-11-27T10:00:00Z", "format"),
        ("20261127", "format"), ("span.started", "format"), ("runbundle/run/v1", "format"), ("tool_calls", "format"),
        ("gen_ai.tool.name", "format"), ("parent_span_id", "format"), ("events.jsonl", "format"),
        ("interrupted", "word"),
    ],
)  # fmt: skip
def test_what_bundles_are_written_with_is_no_secret(known: KnownSecrets, value: str, why: str) -> None:
    """Words of the format, media types, dates; it is counted why."""
    assert known.register(value) == 0
    assert known.refused == {why: 1}


def test_beyond_the_limit_values_are_counted_and_it_is_said(
    known: KnownSecrets, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, not for each of them."""
    known.register(*(f"value-number-{n}" for n in range(LIMIT + 3)))
    known.register("one-more-value-1")
    assert (len(known), known.refused) == (LIMIT, {"limit": 4})
    assert len([r for r in caplog.records if str(LIMIT) in r.getMessage()]) == 1


def test_numbers_are_known_by_their_digits(known: KnownSecrets) -> None:
    """Of eight and more; booleans and small numbers are none."""
    assert known.register(12345678, [98765432.5], {"n": 31415926535}, True, 42) == 3
    for text in ("12345678", "98765432.5", "31415926535"):
        assert known.find(f"n={text};")


def test_what_is_not_registered_is_said_once(process_known: KnownSecrets, caplog: pytest.LogCaptureFixture) -> None:
    """With the reason, and without the value."""
    known_module._said.clear()  # pyright: ignore[reportPrivateUsage]
    for _ in range(2):
        register_secret("image/png")
        register_secret("tiny")
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "format" in said[0]
    assert "8 characters" in said[1]
    assert "tiny" not in caplog.text


def _literals(annotation: Any) -> set[str]:
    found: set[str] = set()
    for part in get_args(annotation):
        found |= {part} if isinstance(part, str) else _literals(part)
    return found


def test_no_word_of_the_models_may_be_a_known_secret() -> None:
    """Names of their fields, and their fixed values: they are listed, so that who records need not load the models."""
    words: set[str] = set()
    for module in (run, events, evidence, tool_calls):
        for model in vars(module).values():
            if isinstance(model, type) and issubclass(model, Record):
                for name, field in model.model_fields.items():
                    words |= {name, *_literals(field.annotation)}
    assert len(words) > 150
    assert {word for word in words if not refusal(word)} == set()
    assert set(_FIELDS) <= words


def test_no_code_of_a_finding_may_be_a_known_secret() -> None:
    """They are too short, and so are not listed with the words of the format."""
    assert {refusal(code) for code in FINDINGS} == {"short"}


_ALPHABET = 'ab?é\udc80\u4e00/"\\'


@given(
    values=st.lists(st.text(_ALPHABET, min_size=1, max_size=6), min_size=1, max_size=40),
    parts=st.lists(st.one_of(st.text(_ALPHABET, max_size=8), st.integers(0, 10**6)), max_size=12),
    builds=st.integers(1, 3),
)
def test_what_is_found_is_every_form_of_every_value(values: list[str], parts: list[str | int], builds: int) -> None:
    """In text of any characters, whichever automata hold the forms; and so if the text is given in bytes too."""
    known = KnownSecrets()
    step = -(-len(values) // builds)
    for at in range(0, len(values), step):
        known.register(*(f"{value}-Zq7Xw2Vt" for value in values[at : at + step]), as_is=at > 0)
        known.find("x")
    known._quiet = known_module._QUIET + 1 if builds > 1 else 0  # pyright: ignore[reportPrivateUsage]
    every = [form for value, as_is in known.after(0) for form in ((value,) if as_is else forms(value))]
    text = "".join(every[part % len(every)] if isinstance(part, int) else part for part in parts)
    written = text.encode("utf-8", "replace").decode()
    naive = [(at, at + len(form)) for form in every for at in range(len(written)) if written.startswith(form, at)]
    assert known.find(text) == known_module._united(naive)  # pyright: ignore[reportPrivateUsage]
    assert known.find(text, text.encode("ascii", "replace")) == known.find(text)
