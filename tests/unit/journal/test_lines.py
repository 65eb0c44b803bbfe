"""A journal line is read back as it was written, or not at all."""

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbundle.journal.lines import begun_of, json_safe, parse_line, record_line, resource_line, start_line

RESOURCE: Any = {"attributes": {"service.name": "s"}, "schema_url": ""}
RECORD: Any = {"name": "n", "attributes": {"a": 1}}
LINES = {
    "start": start_line("a" * 32, "b" * 16, "", 1, "main", "tool:t"),
    "run": start_line("a" * 32, "b" * 16, "", 1, "main", is_run=True, begun=begun_of(RECORD)),
    "resource": resource_line(7, RESOURCE),
    "span": record_line("span", RECORD, 7),
}


def test_each_kind_of_line_says_what_it_was_given() -> None:
    """A resource gives its number, and a record names it."""
    found = {kind: parse_line(line) for kind, line in LINES.items()}
    assert found["resource"] == {"k": "resource", "resource": 7, "value": RESOURCE}
    assert found["span"] == {"k": "span", **RECORD, "resource": 7}
    start, run = found["start"], found["run"]
    assert start is not None
    assert run is not None
    assert (start["k"], start["label"], start["is_run"], "name" in start) == ("start", "tool:t", False, False)
    assert (run["is_run"], run["name"], run["attributes"]) == (True, "n", {"a": 1})


@given(st.sampled_from(sorted(LINES)), st.integers(0, 10_000), st.integers(1, 255))
def test_a_line_with_any_byte_changed_or_cut_off_is_none(kind: str, where: int, flip: int) -> None:
    """Wherever in the line it is: the checksum is of all of it."""
    line = bytearray(LINES[kind][:-1])
    where %= len(line)
    cut = bytes(line[:where])
    line[where] ^= flip
    assert parse_line(cut) is None
    changed = parse_line(bytes(line))
    assert changed is None or (
        where < 9 and changed == parse_line(LINES[kind])
    )  # a hex digit in upper case, or the space


@pytest.mark.parametrize("line", [b"", b"\n", b"00000000 {}", b"zzzzzzzz {}", b"{}", b"00000000 "])
def test_what_is_no_line_of_ours_is_none(line: bytes) -> None:
    """Nothing is raised."""
    assert parse_line(line) is None


_texts = st.text(max_size=9) | st.sampled_from(["\ud800", "a\udfffb"])
_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.binary(max_size=9) | _texts,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(_texts | st.integers(), inner, max_size=4) | st.tuples(inner)
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(_values)
def test_any_value_is_made_safe_for_json(value: Any) -> None:
    """What JSON can hold stays as it is; making it safe again changes nothing."""
    safe = json_safe(value)
    orjson.dumps(safe)
    assert orjson.dumps(json_safe(safe)) == orjson.dumps(safe)


def test_only_what_json_cannot_hold_is_replaced() -> None:
    """By text; bytes by the name of their type, so that none of them is kept by accident."""
    given = {"a": [1, "ä", None, 2.5], "b": b"CANARY", "\ud800": "\ud800", "d": 2**70, 5: (True,)}
    assert json_safe(given) == {"a": [1, "ä", None, 2.5], "b": "<bytes>", "?": "?", "d": str(2**70), "5": [True]}


def test_an_attribute_that_json_cannot_hold_costs_itself_alone() -> None:
    """The line is written all the same."""
    entry = parse_line(record_line("span", {**RECORD, "attributes": {"a": b"x", "b": "kept"}}, 0))
    assert entry is not None
    assert entry["attributes"] == {"a": "<bytes>", "b": "kept"}
