"""What an instrumentation gives is a record of the declared types, and says what was not."""

import datetime
import enum
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import orjson
import pytest

from runbundle.codec.coerce import attributes_of, hex_id, log_record, span_record, time_of
from runbundle.redaction.permitted.values import allowed
from runbundle.signals.own import COERCED
from runbundle.signals.records import COERCED_WORDS

NOW = 1_790_000_000_000_000_000


def raw(**fields: Any) -> dict[str, Any]:
    """Return a span as its SDK has it."""
    return {
        "trace_id": 1, "span_id": 2, "parent_span_id": "", "name": "n", "kind": 0, "start_ns": NOW, "end_ns": NOW + 5,
        "status_code": 0, "status_message": "", "attributes": {}, "events": [], "links": [],
    } | fields  # fmt: skip


def log(**fields: Any) -> dict[str, Any]:
    """Return a log record as its SDK has it."""
    return {
        "trace_id": 1, "span_id": 2, "time_ns": NOW, "severity": 9, "severity_text": "INFO", "event_name": "",
        "body": None, "attributes": {},
    } | fields  # fmt: skip


def test_what_is_as_declared_is_not_touched() -> None:
    """The usual record costs no copy, and nothing is said of it."""
    attributes = {"a": "ü", "b": 1, "c": 1.5, "d": True, "e": None, "f": ("x", "y")}
    record = span_record(raw(attributes=attributes))
    assert record["attributes"] is attributes
    assert COERCED not in attributes
    assert (record["trace_id"], record["span_id"]) == ("0" * 31 + "1", "0" * 15 + "2")


@pytest.mark.parametrize(
    ("given", "time"),
    [
        (0, 0), (2**63 - 1, 2**63 - 1), (float(NOW), NOW), (Decimal(NOW), NOW), (Fraction(NOW), NOW), (str(NOW), NOW),
        (datetime.datetime(1970, 1, 2, tzinfo=datetime.UTC), 86_400 * 10**9), (-1, None), (2**63, None), (True, None),
        (None, None), (math.nan, None), (math.inf, None), ("soon", None), ("²", None), (b"1", None), ([], None),
        (datetime.datetime.max, None), (datetime.datetime(1969, 1, 1, tzinfo=datetime.UTC), None),
    ],
)  # fmt: skip
def test_a_time_is_a_whole_number_of_nanoseconds_from_1970_to_2262(given: Any, time: int | None) -> None:
    """What stands for such a number becomes it, and nothing else does."""
    assert time_of(given) == time


@pytest.mark.parametrize(
    ("start", "end", "times", "said"),
    [
        (float(NOW), NOW + 1, (NOW, NOW + 1), ["start_ns"]),
        (math.nan, NOW, (NOW, NOW), ["start_ns:replaced"]),
        (NOW, 2**64, (NOW, NOW), ["end_ns:replaced"]),
        (-5, None, (7, 7), ["end_ns:replaced", "start_ns:replaced"]),
        (NOW, NOW - 9, (NOW, NOW - 9), None),
    ],
)
def test_a_time_that_is_none_is_replaced_and_said_to_be(start: Any, end: Any, times: Any, said: Any) -> None:
    """A start by the end, an end by the start, both by the present; an end before the start is left to the reader."""
    record = span_record(raw(start_ns=start, end_ns=end), now_ns=lambda: 7)
    assert (record["start_ns"], record["end_ns"]) == times
    assert record["attributes"].get(COERCED) == said


def test_the_end_of_a_span_that_has_not_ended_is_not_missed() -> None:
    """Of a span that has just started, a good start is nothing to speak of."""
    assert COERCED not in span_record(raw(end_ns=None), ended=False)["attributes"]


def test_events_links_and_logs_have_times_too() -> None:
    """An event's time is replaced by its span's start, a log's by when it was observed, else by the present."""
    event = {"name": 5, "time_ns": "x", "attributes": {"k": math.nan}, "dropped": 0}
    link = {"trace_id": 2**128, "span_id": 7.0, "attributes": {}, "dropped": 0}
    record = span_record(raw(events=[event], links=[link]))
    assert (record["events"][0]["name"], record["events"][0]["time_ns"]) == ("", NOW)
    assert (record["links"][0]["trace_id"], record["links"][0]["span_id"]) == ("0" * 32, "0" * 15 + "7")
    assert set(record["attributes"][COERCED]) == {
        "events.name", "events.time_ns:replaced", "events.attributes", "links.trace_id", "links.span_id",
    }  # fmt: skip
    assert log_record(log(time_ns=-1), NOW + 1)["time_ns"] == NOW + 1
    assert log_record(log(time_ns=-1), None, now_ns=lambda: 7)["time_ns"] == 7


@pytest.mark.parametrize("value", [0, -1, 2**64, "x", None, math.nan, 1.5, [], True])
def test_an_id_always_has_its_width(value: Any) -> None:
    """Lower-case hex of sixteen digits, whatever was given."""
    assert len(hex_id(value, 16)) == 16
    assert set(hex_id(value, 16)) <= set("0123456789abcdef")


def test_all_that_is_said_is_let_through_by_the_boundary() -> None:
    """The boundary keeps the list of words, and nothing else under its key."""
    odd = {
        "trace_id": "?",
        "span_id": None,
        "parent_span_id": -1,
        "name": b"",
        "kind": "?",
        "start_ns": "",
        "end_ns": "",
    }
    odd |= {"status_code": 7, "status_message": 5, "attributes": {1: math.inf}}
    said = span_record(raw(**odd))["attributes"][COERCED]
    said += log_record(log(severity="x", severity_text=1, event_name=b"", body=math.nan), 0)["attributes"][COERCED]
    assert set(said) <= COERCED_WORDS
    assert allowed("own", COERCED, said)
    assert not allowed("own", COERCED, ["a secret"])
    assert not allowed("own", COERCED, "start_ns")


def test_a_forged_word_does_not_hide_ours() -> None:
    """What a span says of itself under our key is kept as far as we might have said it."""
    attributes = {COERCED: ["name", "a secret", 5, {}], "x": math.nan}
    assert span_record(raw(attributes=attributes))["attributes"][COERCED] == ["attributes", "name"]


class Word(str, enum.Enum):  # noqa: UP042 - as applications have them
    RED = "red"


class Raises:
    """Cannot be asked anything."""

    def __int__(self) -> int:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "kept", "said"),
    [
        (Word.RED, "red", False), (2**63, str(2**63), True), (math.inf, "inf", True), ("\ud800", "\\ud800", True),
        ([1, [2**64]], [1, [str(2**64)]], True), ((1, 2), [1, 2], False),
        ({"a": {3: "x"}}, {"a": {"3": "x"}}, True), (Raises(), "[REDACTED:unserialisable]", True), (b"x", b"x", False),
    ],
)  # fmt: skip
def test_a_value_is_one_that_json_holds(value: Any, kept: Any, said: bool) -> None:
    """Numbers out of range and lone surrogates become texts that differ where they did; objects become markers."""
    words: list[str] = []
    assert attributes_of({"k": value}, words, "attributes") == {"k": kept}
    assert type(attributes_of({"k": value}, [], "")["k"]) is type(kept)
    assert bool(words) == said


def test_a_number_that_python_does_not_write_in_decimal_is_written_all_the_same() -> None:
    """The interpreter refuses to convert more than 4,300 digits."""
    assert attributes_of({"k": 10**5000}, [], "") == {"k": hex(10**5000)}


def test_depth_is_bounded() -> None:
    """However deep a value is, what comes of it can be written."""
    value: Any = "leaf"
    for _ in range(900):
        value = {"k": value}
    words: list[str] = []
    orjson.dumps(attributes_of({"k": value}, words, "attributes"))
    assert words == ["attributes"]


def test_keys_are_text() -> None:
    """A number becomes text; what is no number goes, with its value, and it is said."""
    words: list[str] = []
    assert attributes_of({1: "a", (1, 2): "b", Word.RED: "c"}, words, "attributes") == {"1": "a", "red": "c"}
    assert set(words) == {"attributes"}
