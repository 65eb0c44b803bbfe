"""The redactor as a whole: names of spans, other contracts, failure, and keys that are known secrets."""

import base64
from typing import Any
from unittest import mock

import orjson
import pytest

from runbundle.format.contract import parse_contract
from runbundle.redaction import redactor as module
from runbundle.redaction.markers import Digester, is_marker, texts_of_key
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor, skeleton
from runbundle.redaction.second_pass import redact_again
from tests.laws.test_redaction_laws import record

FIND = parse_contract({"name": "find", "data": {"rules": [{"selector": "/city", "action": "keep"}]}})
CALL: dict[str, Any] = {
    "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find",
    "gen_ai.tool.call.arguments": '{"city":"Oslo"}',
}  # fmt: skip


def redactor() -> Redactor:
    """Return a redactor without contracts."""
    return Redactor(Policy(digester=Digester(b"k")))


def test_other_contracts_hold_from_now_on() -> None:
    """A tool that had none is masked whole before, and by its rules afterwards."""
    one = redactor()
    assert is_marker(one.redact_span(record(CALL))["attributes"]["gen_ai.tool.call.arguments"])
    one.use_contracts({"find": FIND})
    assert one.redact_span(record(CALL))["attributes"]["gen_ai.tool.call.arguments"] == '{"city":"Oslo"}'
    assert one.policy.contracts == {"find": FIND}


def test_a_name_is_kept_if_it_follows_from_the_attributes() -> None:
    """`shown_name` says what `span_name` would, for a span that is not redacted here."""
    one = redactor()
    assert one.shown_name("execute_tool find", CALL, "") == "execute_tool find"
    hidden = one.shown_name("SECRETWORD", {}, "")
    assert is_marker(hidden)
    assert one.shown_name("SECRETWORD", {}, "acme") != hidden
    span = {**record({}), "name": "SECRETWORD"}
    assert one.redact_span(span)["name"] == hidden  # pyright: ignore[reportArgumentType]


def test_a_name_that_does_not_follow_gives_way_to_the_one_that_does() -> None:
    """The original leaves a keyed digest and a note; redaction of the result changes nothing."""
    one = redactor()
    once = one.redact_span({**record(CALL), "name": "ChatOpenAI SECRETWORD"})  # pyright: ignore[reportArgumentType]
    assert once["name"] == "execute_tool find" == one.shown_name("ChatOpenAI SECRETWORD", CALL, "")
    assert once["attributes"]["runbundle.name.digest"] == one.policy.digester("name", b"ChatOpenAI SECRETWORD")
    assert '["name","undeclared","digest"]' in once["attributes"]["runbundle.redaction"]
    assert "SECRETWORD" not in str(once)
    assert one.redact_span(once) == once
    entry = {"k": "span", **once, "resource": 0}
    assert redact_again(entry) == entry
    again = one.redact_span({**record(CALL), "name": "another"})["attributes"]["runbundle.name.digest"]  # pyright: ignore[reportArgumentType]
    assert again != once["attributes"]["runbundle.name.digest"]


@pytest.mark.parametrize("name", ["execute_tool find", "execute_tool", "execute_tool [REDACTED:name:bytes=<64]"])
def test_a_name_that_follows_or_was_hidden_before_stays(name: str) -> None:
    """Nothing stood in its place, so nothing says that something did."""
    found = redactor().redact_span({**record(CALL), "name": name})  # pyright: ignore[reportArgumentType]
    assert found["name"] == name
    assert "runbundle.name.digest" not in found["attributes"]


def test_of_a_name_only_the_first_word_is_kept_where_no_thing_is_known() -> None:
    """As the digest is in its marker, it is nowhere else."""
    found = redactor().redact_span({**record({"http.request.method": "GET"}), "name": "GET /of/zoe"})  # pyright: ignore[reportArgumentType]
    assert found["name"].startswith("GET [REDACTED:name:h2:")
    assert "runbundle.name.digest" not in found["attributes"]


def test_a_digest_of_a_name_that_is_none_is_dropped() -> None:
    """It has one form, which nobody writes by chance."""
    found = redactor().redact_span(record({**CALL, "runbundle.name.digest": "SECRETWORD"}))
    assert "SECRETWORD" not in str(found)


def test_a_fault_leaves_a_skeleton() -> None:
    """Ids and times stay, everything that may hold content goes, and the receipt says that redaction failed."""
    span = record({"gen_ai.input.messages": "SECRETWORD"})
    with mock.patch.object(module, "redact_attributes", side_effect=RuntimeError("SECRETWORD")):
        found = redactor().redact_span(span)
    receipt = found["attributes"]["runbundle.redaction"]
    assert found == skeleton(span, receipt)
    assert (found["span_id"], found["start_ns"]) == (span["span_id"], span["start_ns"])
    assert "SECRETWORD" not in str(found)
    assert receipt == f'{{"n":[["span","failed","drop"]],"by":"{redactor().key_id()}"}}'


def test_the_texts_of_a_key_are_those_it_would_be_written_as() -> None:
    """Hex in both cases, base64 with both alphabets: all of them are registered as secrets."""
    key = bytes(range(200, 232))
    assert set(texts_of_key(key)) == {
        key.hex(), key.hex().upper(), base64.b64encode(key).decode().rstrip("="),
        base64.urlsafe_b64encode(key).decode().rstrip("="),
    }  # fmt: skip
    assert set(texts_of_key(b"root")) <= set(Digester(b"root").key_texts())


def test_ten_thousand_fields_that_nobody_declared_are_as_many_the_second_time() -> None:
    """A second boundary takes none of the counted markers for a key, and lets none take another's place."""
    one = Redactor(Policy(contracts={"find": FIND}, digester=Digester(b"k")))
    fields = orjson.dumps({f"k{number}": number for number in range(10_050)}).decode()
    once = one.redact_span(record({**CALL, "gen_ai.tool.call.arguments": fields}))
    assert len(orjson.loads(once["attributes"]["gen_ai.tool.call.arguments"])) == 10_050
    assert one.redact_span(once) == once
