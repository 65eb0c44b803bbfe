"""A journal entry is used only if it has the form that a recorder writes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.journal.entries import is_entry, is_time
from runbundle.journal.lines import parse_line, record_line, start_line
from runbundle.signals.records import LATEST_NS

IDS = {"trace_id": "a" * 32, "span_id": "b" * 16}
EVENT = {"name": "e", "time_ns": 3, "attributes": {}}
LINK = {**IDS, "attributes": {}}
SPAN: dict[str, Any] = {
    "k": "span", **IDS, "parent_span_id": "", "name": "n", "attributes": {}, "start_ns": 1, "end_ns": 2,
    "status_code": 0, "status_message": "", "remote_parent": False, "scope": {}, "events": [EVENT], "links": [LINK],
    "dropped": {"events": 1},
}  # fmt: skip
LOG: dict[str, Any] = {
    "k": "log",
    **IDS,
    "time_ns": 1,
    "event_name": "e",
    "severity": None,
    "body": None,
    "attributes": {},
}
START: dict[str, Any] = {"k": "start", **IDS, "parent_span_id": "c" * 16, "start_ns": 1, "label": "", "lane": ""}
ENTRIES = {"span": SPAN, "log": LOG, "start": START, "run": START | {"name": "n", "attributes": {}}}


@pytest.mark.parametrize("kind", ENTRIES)
def test_each_kind_of_entry_is_one(kind: str) -> None:
    """Without links, events or counts too."""
    assert is_entry(ENTRIES[kind])
    assert is_entry(SPAN | {"events": [], "links": [], "dropped": {}})
    assert not is_entry(LOG | {"span_id": "", "trace_id": "a" * 32 + "b" * 16})


OPTIONAL = {("start", "label"), ("start", "lane"), ("run", "label"), ("run", "lane"), ("run", "attributes")}


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, entry in ENTRIES.items() for field in entry])
def test_an_entry_without_a_field_or_with_another_type_is_none(kind: str, field: str) -> None:
    """Whichever field that assembly reads."""
    entry = ENTRIES[kind]
    assert not is_entry({**entry, field: object()}) or (kind, field) == ("log", "body")
    rest = {name: value for name, value in entry.items() if name != field}
    assert is_entry(rest) is ((kind, field) in OPTIONAL)


@pytest.mark.parametrize(
    "change",
    [
        {"trace_id": "A" * 32}, {"span_id": "b" * 15}, {"parent_span_id": "xyz"}, {"start_ns": -1},
        {"end_ns": LATEST_NS + 1}, {"status_code": True}, {"dropped": {"events": -1}}, {"events": [{}]},
        {"events": [EVENT | {"time_ns": "3"}]}, {"links": [LINK | {"trace_id": "a" * 31}]}, {"links": [5]},
    ],
)  # fmt: skip
def test_a_part_that_does_not_fit_makes_the_whole_no_entry(change: dict[str, Any]) -> None:
    """Ids are hex of their length, times and counts in their bounds, parts of their form."""
    assert not is_entry(SPAN | change)


@given(st.dictionaries(st.sampled_from(sorted(SPAN)), st.from_type(type) | st.none() | st.integers() | st.text()))
def test_no_entry_makes_the_check_raise(changes: dict[str, Any]) -> None:
    """Whatever stands in it."""
    assert is_entry(SPAN | changes) in (True, False)
    assert is_entry(changes) is False


def test_a_time_is_an_integer_of_nanoseconds_from_1970_to_2262() -> None:
    """A boolean and a float are none."""
    assert is_time(0)
    assert is_time(LATEST_NS)
    assert not any(map(is_time, (-1, LATEST_NS + 1, True, 1.0, "1", None)))


def test_what_a_recorder_writes_is_an_entry() -> None:
    """Read back from its line."""
    lines = [
        start_line("a" * 32, "b" * 16, "", 1, "main", "tool:t"),
        record_line("span", {name: value for name, value in SPAN.items() if name != "k"}, 0),  # type: ignore[arg-type]
        record_line("log", {name: value for name, value in LOG.items() if name != "k"}, 0),  # type: ignore[arg-type]
    ]
    for line in lines:
        entry = parse_line(line)
        assert entry is not None
        assert is_entry(entry)
