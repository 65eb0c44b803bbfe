"""Only a record that a redactor of ours has seen is believed about what redactors write: anybody may write it."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from runbundle.redaction.markers import Digester
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import Receipt
from runbundle.redaction.redactor import Redactor
from runbundle.redaction.second_pass import redact_again
from runbundle.signals import own, semconv
from runbundle.signals.operations import begins_run, is_agent_work
from runbundle.signals.records import LogRecordDict, SpanRecord
from tests.interop.dumps import FOLDER, load
from tests.support.records import CONTRACTS
from tests.unit.signals.dialects.spans import span

DUMPS = sorted(FOLDER.glob("*.json.gz"))
OURS, OTHERS = Digester(b"k"), Digester(b"of another store")
REDACTOR = Redactor(Policy(digester=OURS, contracts=CONTRACTS))
TOOL = {"openinference.span.kind": "TOOL", "tool.name": "refund", "input.value": '{"a": 1}'}
DIGEST = OTHERS("x", b"x")
FORGED = [
    "x",
    "",
    5,
    '{"n":[]}',
    '{"n":[["attributes.x","undeclared","digest"]],"by":"deadbeef"}',
    '{"n":[["span","failed","drop"]]}',
    Receipt(OURS.key_id).to_text(),
]
CLAIMS: dict[str, Any] = {
    own.CONTRACT_VERSION: "9",
    own.CONTRACT_SHA256: "0" * 64,
    own.SIDE_EFFECTS: "none",
    own.ARGUMENTS_DIGEST: DIGEST,
    own.ARGUMENTS_BYTES: 4000,
    own.RESULT_DIGEST: DIGEST,
    own.RESULT_BYTES: 4000,
    own.NAME_DIGEST: DIGEST,
    own.MESSAGES: '{"gen_ai.input.messages":[{"role":"user","digest":"%s","bytes":4000}]}' % DIGEST,
    own.DIALECT: "of-mine",
    own.ATTEMPT: 7,
    own.RUN_ATTEMPT: 7,
    own.REPEAT: 7,
    own.STATUS: "blocked",
}


def redacted(record: SpanRecord) -> SpanRecord:
    """Return a record redacted, which is the same when it is redacted again, here or from a journal."""
    once = REDACTOR.redact_span(record)
    assert REDACTOR.redact_span(once) == once
    entry = orjson.loads(orjson.dumps({"k": "span", **once, "resource": 0}))
    assert _sorted(redact_again(entry)) == _sorted(entry)
    return once


def _sorted(entry: dict[str, Any]) -> bytes:
    return orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)


def notes(record: SpanRecord) -> str:
    """Return the receipt of a redacted record."""
    return record["attributes"][own.RECEIPT]


@pytest.mark.parametrize("receipt", FORGED)
def test_no_receipt_of_others_hides_a_tool_call(receipt: Any) -> None:
    """The call is read from its dialect as without it, at its start, at its end, and in the bundle."""
    attributes = {**TOOL, own.RECEIPT: receipt}
    assert is_agent_work("refund", attributes)
    assert begins_run("refund", attributes, "openinference.instrumentation")
    said = redacted(span("refund", attributes, scope="openinference.instrumentation"))["attributes"]
    bare = redacted(span("refund", TOOL, scope="openinference.instrumentation"))["attributes"]
    assert bare[semconv.TOOL_NAME] == "refund"
    assert {key: said[key] for key in said if key != own.RECEIPT} == {
        key: bare[key] for key in bare if key != own.RECEIPT
    }


@pytest.mark.parametrize("receipt", FORGED[:-1])
def test_a_receipt_of_others_is_counted_and_its_notes_are_not_ours(receipt: Any) -> None:
    """They say what was withheld, and nobody here knows that."""
    ours = orjson.loads(notes(redacted(span("refund", {**TOOL, own.RECEIPT: receipt}, scope="theirs"))))
    assert ["attributes.x", "undeclared", "digest"] not in ours["n"]
    assert ["span", "failed", "drop"] not in ours["n"]
    assert ours["by"] == OURS.key_id
    counted = ours.get("more") == {"foreign:receipt|found": 1}
    assert counted or [f"attributes.{own.RECEIPT}", "malformed", "drop"] in ours["n"]


def test_a_receipt_on_an_event_or_a_link_is_no_receipt() -> None:
    """Only a record has one."""
    record = span("x", {}, scope="theirs", events=[("x", {own.RECEIPT: '{"n":[]}'})])
    record["links"] = [{"trace_id": "1" * 32, "span_id": "1" * 16, "trace_state": "", "dropped": 0,
                        "attributes": {own.RECEIPT: '{"n":[]}'}}]  # fmt: skip
    once = redacted(record)
    assert own.RECEIPT not in once["events"][0]["attributes"]
    assert own.RECEIPT not in once["links"][0]["attributes"]


@pytest.mark.parametrize("receipt", [None, *FORGED[:-1]])
@pytest.mark.parametrize("key", CLAIMS)
def test_what_redactors_and_scopes_of_ours_say_is_not_believed_of_others(key: str, receipt: Any) -> None:
    """It is worked out here or dropped, with a note, on the span, its events and its links."""
    payloads = {semconv.OPERATION: "execute_tool", semconv.TOOL_NAME: "t", semconv.ARGUMENTS: "{}", semconv.RESULT: "5"}
    plain = redacted(span("execute_tool t", payloads, scope="theirs", events=[("x", {})]))
    given = {**payloads, key: CLAIMS[key]} | ({own.RECEIPT: receipt} if receipt is not None else {})
    record = span("execute_tool t", given, scope="theirs", events=[("x", {key: CLAIMS[key]})])
    record["links"] = [{"trace_id": "1" * 32, "span_id": "1" * 16, "trace_state": "", "dropped": 0,
                        "attributes": {key: CLAIMS[key]}}]  # fmt: skip
    once = redacted(record)
    without = {k: v for k, v in once["attributes"].items() if k != own.RECEIPT}
    assert without == {k: v for k, v in plain["attributes"].items() if k != own.RECEIPT}
    assert once["events"][0]["attributes"] == once["links"][0]["attributes"] == {}
    for place in ("attributes", "events[0].attributes", "links[0].attributes"):
        assert [f"{place}.{key}", "malformed", "drop"] in orjson.loads(notes(once))["n"]


def test_a_capture_that_others_state_gives_no_digest() -> None:
    """A SHA-256 is believed of what we have captured; that a value was cut may be said of anybody's."""
    said = {semconv.ARGUMENTS: {"word": "oversize", "sha256": "a" * 64, "bytes": 9000}, semconv.RESULT: {"word": "cut"}}
    payloads = {semconv.OPERATION: "execute_tool", semconv.TOOL_NAME: "t", semconv.ARGUMENTS: "{}", semconv.RESULT: "5"}
    once = redacted(span("execute_tool t", {**payloads, own.CAPTURE: orjson.dumps(said).decode()}, scope="theirs"))
    plain = redacted(span("execute_tool t", payloads, scope="theirs"))
    assert once["attributes"][own.ARGUMENTS_DIGEST] == plain["attributes"][own.ARGUMENTS_DIGEST]
    assert own.RESULT_DIGEST not in once["attributes"]
    assert orjson.loads(once["attributes"][own.CAPTURE]) == {semconv.RESULT: {"word": "cut"}}
    assert [f"attributes.{own.CAPTURE}", "malformed", "drop"] in orjson.loads(notes(once))["n"]


def test_attempts_that_a_table_reads_are_kept() -> None:
    """What is dropped is what the span says itself under our name, not what follows from its dialect."""
    attributes = {**TOOL, "tool.run_attempts": 3, own.ATTEMPT: 7}
    said = redacted(span("refund", attributes, scope="openinference.instrumentation"))["attributes"]
    assert said[own.ATTEMPT] == redacted(
        span("refund", {**TOOL, "tool.run_attempts": 3}, scope="openinference.instrumentation")
    )["attributes"].get(own.ATTEMPT)
    assert said[own.ATTEMPT] != 7


@pytest.mark.parametrize("digester", [OURS, OTHERS])
def test_a_span_of_another_process_of_ours_is_believed(digester: Digester) -> None:
    """By its scope; a receipt under another key is counted as foreign, and its notes are kept."""
    attributes = {
        semconv.OPERATION: "execute_tool",
        semconv.TOOL_NAME: "t",
        semconv.ARGUMENTS: '{"a":1}',
        own.ATTEMPT: 2,
    }
    first = Redactor(Policy(digester=digester)).redact_span(span("execute_tool t", attributes, scope=own.SCOPE))
    second = redacted(first)
    assert second["attributes"][own.ATTEMPT] == 2
    assert second["attributes"][own.ARGUMENTS_DIGEST] == first["attributes"][own.ARGUMENTS_DIGEST]
    assert orjson.loads(notes(second))["n"] == orjson.loads(notes(first))["n"]


def test_what_a_redactor_of_ours_has_left_of_others_spans_reaches_a_second_recorder_as_it_is() -> None:
    """Under one key nothing of it changes."""
    first = REDACTOR.redact_span(span("refund", TOOL, scope="openinference.instrumentation"))
    assert Redactor(Policy(digester=OURS)).redact_span(first)["attributes"].keys() == first["attributes"].keys()


def test_a_record_of_ours_to_which_others_have_added_is_read() -> None:
    """Content that we redact on a live span of others has a receipt before its dialect was read."""
    receipt = Receipt(OURS.key_id)
    receipt.add("attributes.gen_ai.input.messages", "content", "digest")
    said = redacted(span("refund", {**TOOL, own.RECEIPT: receipt.to_text()}, scope="openinference.instrumentation"))
    assert said["attributes"][semconv.TOOL_NAME] == "refund"
    assert ["attributes.gen_ai.input.messages", "content", "digest"] in orjson.loads(notes(said))["n"]


def test_a_log_record_with_a_forged_receipt_is_read() -> None:
    """As a span is."""
    record: LogRecordDict = {
        "run_id": "r", "tenant_id": "", "trace_id": "0" * 32, "span_id": "0" * 16, "time_ns": 1, "event_name": "x",
        "severity": 9, "severity_text": "", "body": None, "dropped": 0,
        "attributes": {"gen_ai.system": "OpenAI", own.RECEIPT: '{"n":[]}', own.ARGUMENTS_DIGEST: DIGEST},
        "scope": {"name": "theirs", "version": "", "schema_url": "", "attributes": {}},
        "resource": {"attributes": {}, "schema_url": ""},
    }  # fmt: skip
    once = REDACTOR.redact_log(record)
    assert once["attributes"][semconv.PROVIDER] == "openai"
    assert own.ARGUMENTS_DIGEST not in once["attributes"]
    assert REDACTOR.redact_log(once) == once


@pytest.mark.parametrize("path", DUMPS, ids=lambda path: path.name)
def test_a_span_of_any_dialect_is_read_once(path: Path) -> None:
    """Redacted again, here or from a journal, it stays as it is; with half of its attributes, too."""
    for one in load(path)["spans"]:
        events = [(event["name"], dict(event["attributes"])) for event in one["events"]]
        every = list(one["attributes"].items())
        for attributes in (every, every[::2], every[1::2]):
            raw = span(one["name"], dict(attributes), scope=one["scope"]["name"], events=events)
            once = redacted(raw)
            if attributes is every:
                said = [begins_run(each["name"], each["attributes"], each["scope"]["name"]) for each in (raw, once)]
                assert said[0] == said[1]
