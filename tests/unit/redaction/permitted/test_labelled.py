"""A credential beside its name is masked in structure as in text, and nothing else is."""

import base64
import json
import urllib.parse
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.format.contract import parse_contract
from runbundle.redaction.detectors.credential_words import credential_key
from runbundle.redaction.detectors.detector import DECODING_DEPTH, MASK
from runbundle.redaction.detectors.environment import secrets_of_environment
from runbundle.redaction.markers import Digester
from runbundle.redaction.payloads.configuration import redact_configuration
from runbundle.redaction.payloads.payload import compile_payload_rules, redact_payload
from runbundle.redaction.permitted.kept_text import redact_text
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import Receipt
from runbundle.redaction.redactor import Redactor
from tests.support.records import record

SECRET = "Tr0ub4dor&3xy"
KEPT = compile_payload_rules(
    parse_contract({"name": "t", "data": {"rules": [{"selector": "/body", "action": "keep"}]}}), "input"
)
STRONG = """
password passwd pass pwd db_pwd smtp_pass mysql_pw DB_PASSWORD_PROD newPassword password_confirmation userPassword
dbpassword passphrase secret client_secret clientSecret SECRET_KEY_BASE api_key apiKey APIKey X-Api-Key api-key
API_KEY_1 aws_secret_access_key access_token refreshToken auth.token authtoken X-Auth-Token token auth Authorization
proxy-authorization Set-Cookie cookie cookies PHPSESSID private_key privateKey private_key_pem hmac_key aes_key
license_key master_key enc_key shared_key SharedAccessKey Ocp-Apim-Subscription-Key x-functions-key totp_seed otp pin
salt github_pat bearer creds credentials jwt session_key connectionString recovery_codes passwort senha
""".split()  # noqa: SIM905 - a list of words
HARMLESS = """
max_tokens maxOutputTokens token_count input_tokens cached_tokens tokens_used total_tokens token_type token_id eos_token
next_page_token idempotency-key Idempotency-Key public_key primary_key foreign_key sort_key partitionKey cache_key
object_key key_id api_key_id secret_name password_policy pass_rate passed passage compass bypass author authors
authority authentication_method keyboard keyword keywords monkey turkey tokenizer secretary cookie_name API_KEY_EXPIRES
name user id opinion pinned header credit_card
""".split()  # noqa: SIM905 - a list of words


def kept(body: Any) -> Any:
    """Return what a rule that keeps lets through."""
    view = redact_payload({"body": body}, KEPT, Digester(b"k"), Receipt(), "arguments")
    assert redact_payload(view, KEPT, Digester(b"k"), Receipt(), "arguments") == view
    return view["body"]


@pytest.mark.parametrize("key", STRONG)
def test_a_key_that_names_a_credential_masks_its_value(key: str) -> None:
    """In a payload, deep in it, in text that is JSON, and in a configuration; numbers too."""
    assert credential_key(key) == "strong"
    for value in (SECRET, 48213377):
        assert kept({"a": [{key: value, "user": "ada"}]}) == {"a": [{key: MASK, "user": "ada"}]}
        assert json.loads(kept(json.dumps({key: value}))) == {key: MASK}
        assert redact_configuration({"a": {key: value}}, Receipt()) == {"a": {key: MASK}}
    assert kept({key: None, "b": True}) == {key: None, "b": True}


@pytest.mark.parametrize("key", HARMLESS)
def test_a_key_that_only_looks_like_one_masks_nothing(key: str) -> None:
    """Counts, ids, kinds and names of credentials, other keys, and other words."""
    assert not credential_key(key)
    for value in ("a plain value", 4096):
        assert kept({key: value}) == {key: value}
        assert redact_configuration({key: value}, Receipt()) == {key: value}


@pytest.mark.parametrize("key", ["key", "keys", "tokens", "session_id", "seed", "openai_key", "license"])
def test_some_keys_ask_the_value(key: str) -> None:
    """A word, a number, a path, a date under them is what it is; what looks drawn at random is a credential."""
    for value in ("name", 42, "users/42/avatar.png", "2026-01-31", "MIT", "123e4567-e89b-12d3-a456-426614174000"):
        assert kept({key: value}) == {key: value}
    assert kept({key: SECRET}) == {key: MASK}
    assert redact_configuration({key: [SECRET]}, Receipt()) == {key: [MASK]}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([{"name": "password", "value": SECRET}], [{"name": "password", "value": MASK}]),
        ([{"Name": "DB_PASSWORD", "Value": SECRET}], [{"Name": "DB_PASSWORD", "Value": MASK}]),
        ({"key": "api_key", "value": {"stringValue": SECRET}}, {"key": "api_key", "value": {"stringValue": MASK}}),
        ({"header": "X-Api-Key", "value": [SECRET]}, {"header": "X-Api-Key", "value": [MASK]}),
        ({"field": "pin", "value": 4821}, {"field": "pin", "value": MASK}),
        ({"name": "city", "value": SECRET}, {"name": "city", "value": SECRET}),
        (["X-Api-Key", SECRET], ["X-Api-Key", MASK]),
        ([["Accept", "text/html"], ["Cookie", "a=b"]], [["Accept", "text/html"], ["Cookie", MASK]]),
        (["Accept", "text/html", "X-Api-Key", "9f8e7d6c5b4a"], ["Accept", "text/html", "X-Api-Key", MASK]),
        (["psql", "--password", "w9kdPLq", "-h", "db"], ["psql", "--password", MASK, "-h", "db"]),
        (["password", "username"], ["password", "username"]),
        (["a", "password", "b"], ["a", "password", "b"]),
        ({"auth": {"type": "basic", "user": "ada", "password": SECRET}},
         {"auth": {"type": "basic", "user": "ada", "password": MASK}}),
        ({"auth": ["ada", "w9kdPLq"]}, {"auth": [MASK, MASK]}),
        ({"credentials": {"id": "ada", "n": [SECRET]}}, {"credentials": {"id": MASK, "n": [MASK]}}),
        ({"pwd": "/home/ada"}, {"pwd": "/home/ada"}),
    ],
)  # fmt: skip
def test_a_name_beside_a_value_counts_as_a_key(body: Any, expected: Any) -> None:
    """Objects of name and value, pairs, headers in a row, options of a command."""
    assert kept(body) == expected
    assert redact_configuration(body, Receipt()) == expected


def test_a_rule_for_the_field_itself_lets_it_no_further_through() -> None:
    """No rule keeps a credential; the receipt names the format where it is a known one."""
    rules = [{"selector": "/token", "action": "keep"}, {"selector": "/a/*/value", "action": "keep"}]
    compiled = compile_payload_rules(parse_contract({"name": "t", "data": {"rules": rules}}), "input")
    receipt = Receipt()
    token = "ghp_" + "Zq7Xw2Vt" * 4
    value = {"token": token, "a": [{"name": "password", "value": SECRET}]}
    view = redact_payload(value, compiled, Digester(b"k"), receipt, "arguments")
    assert (view["token"], view["a"][0]["value"]) == (MASK, MASK)
    assert ("arguments/token", "detector:github-token", "mask") in receipt.notes
    assert ("arguments/a/0/value", "detector:credential-key", "mask") in receipt.notes


PASSWORDS = (
    SECRET, "ab12&cdefghij99", "p4ss;word99", "p4ss,word99", 'p4"ss99word', "p4's99word", "p4ss<word99>", "p4ss)word99",
    "$ecr3t!pw", "{p4ssw0rd9}", "a1(b2)c3d4", "p4\\ss99word",
)  # fmt: skip
PLACES = {
    "label": "password: {}",
    "assignment": "run(password={}, x=1)",
    "field": "x=1&password={}&y=2",
    "option": "--password {} --host x",
    "shell": "export DB_PASSWORD={}\nls",
    "element": "<password>{}</password>",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("password", PASSWORDS)
def test_a_match_runs_to_the_end_of_the_value(place: str, password: str) -> None:
    """Signs, quotes and brackets within it are a part of it; what stands around it stays."""
    shown = redact_text(PLACES[place].format(password), Receipt(), "p")
    assert MASK in shown
    for rest in ("3xy", "99", "ecr3t", "word", "b2", "c3d4", "ss"):
        assert rest not in shown.replace("password", "")
    assert shown == MASK or place not in ("field", "element") or shown == PLACES[place].format(MASK)


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_quoted_value_goes_up_to_its_quote_however_it_is_escaped(password: str) -> None:
    """JSON in a sentence, and JSON in JSON in one."""
    inner = json.dumps({"password": password, "city": "Ulm"})
    for text in (f"say {inner}.", "say " + json.dumps({"t": inner}), json.dumps(inner)):
        shown = redact_text(text, Receipt(), "p")
        assert MASK in shown
        assert "Ulm" in shown or shown == MASK
        assert "99" not in shown
        assert "3xy" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://u:p@ss@host/db", f"postgres://{MASK}@host/db"),
        ("postgres://u:pa/ss12@host/db", f"postgres://{MASK}@host/db"),
        ("http://localhost:4873/@scope/pkg", "http://localhost:4873/@scope/pkg"),
        ("https://h/?a=1&password=ab%26cd12&x=y", f"https://h/?a=1&password={MASK}&x=y"),
        ("f(token=abc12345, user=x)", f"f(token={MASK}, user=x)"),
        ("Cookie: a=b1c2d3e4; sid=Zk9q8w7e; theme=dark\nHost: x", f"Cookie: {MASK}\nHost: x"),
        ("Idempotency-Key: 8e03978e40d5", "Idempotency-Key: 8e03978e40d5"),
    ],
)
def test_no_rest_stays_and_no_neighbour_goes(text: str, shown: str) -> None:
    """User information up to the last `@`, all cookies of a header; keys that are none stay."""
    assert redact_text(text, Receipt(), "p") == shown


def test_user_information_is_no_name_of_a_server() -> None:
    """A scheme before it or not."""
    redactor = Redactor(Policy(digester=Digester(b"k")))
    for address in ("ada:hunter2@db.example.org", "postgres://ada:hunter2@db", "ada@example.org"):
        attributes = redactor.redact_span(record({"server.address": address}))["attributes"]
        assert attributes["server.address"].startswith("[REDACTED:content:h2:")
    assert redactor.redact_span(record({"server.address": "db.example.org"}))["attributes"]["server.address"]


def _nested(text: str, times: int, encode: Any) -> str:
    for _ in range(times):
        text = encode(text)
    return text


ENCODINGS = {
    "JSON": json.dumps,
    "JSON in an object": lambda text: json.dumps({"v": text}),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "percent": lambda text: "v=" + "".join(f"%{byte:02X}" for byte in text.encode()),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_text_is_decoded_so_often_and_what_decodes_still_goes_unseen(encoding: str) -> None:
    """Up to the depth a credential is found and harmless text stays; beyond it both go."""
    encode = ENCODINGS[encoding]
    secret, harmless = '{"password": "hunter2xyz"}', '{"city": "Ulm on the Danube"}'
    for times in range(1, DECODING_DEPTH):
        assert "hunter2xyz" not in _nested_back(kept(_nested(secret, times, encode)))
        assert kept(_nested(harmless, times, encode)) == _nested(harmless, times, encode)
    for times in range(DECODING_DEPTH + 1, DECODING_DEPTH + 4):
        assert MASK in kept(_nested(secret, times, encode))
        assert MASK in kept(_nested(harmless, times, encode))
    assert DECODING_DEPTH == 3


def _nested_back(text: str) -> str:
    return text + urllib.parse.unquote(text)


def test_the_environment_goes_by_the_same_words() -> None:
    """A folder, an expiry, a socket are no secrets, whatever stands in their names."""
    given = {
        "DB_PWD": "s3cret-one", "GITHUB_PAT": "s3cret-two", "LICENSE_KEY": "s3cret-three", "PWD": "/home/ada",
        "API_KEY_EXPIRES": "2026-11-27", "SSH_AUTH_SOCK": "/tmp/agent.1", "MAX_TOKENS": "4096", "KEYBOARD": "de-latin1",
    }  # fmt: skip
    assert set(secrets_of_environment(given)) - {""} == {"s3cret-one", "s3cret-three", "s3cret-two"}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12)
    | st.sampled_from([SECRET, "[REDACTED:key:1]", '{"pin": 4821}']),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["password", "key", "name", "value", "auth", "x", "--pin"]), inner, max_size=4),
    max_leaves=16,
)  # fmt: skip


@given(values)
def test_masking_by_names_is_total_and_idempotent(value: Any) -> None:
    """Whatever stands beside whatever; in payloads and in configurations."""
    kept(value)
    once = redact_configuration(value, Receipt())
    assert redact_configuration(once, Receipt()) == once
