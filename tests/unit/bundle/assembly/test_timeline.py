"""Events as lines that sort into canonical order."""

import json
from typing import Any

import pytest

from runbundle.bundle.assembly.timeline import (
    SEALED,
    event_line,
    is_log,
    is_new,
    log_line,
    parent_missing,
    run_lines,
    span_from_entry,
    span_lines,
    status_of_entry,
    without_content,
)
from tests.unit.bundle.assembly.spans import TRACE, entry, span_id

_LOG: dict[str, Any] = {
    "k": "log", "trace_id": TRACE, "span_id": span_id(1), "time_ns": 12, "event_name": "", "attributes": {"a": 1},
    "body": "b", "severity": 9,
}  # fmt: skip


def test_lines_sort_by_time_then_kind_and_become_events() -> None:
    """A run begins before its span and ends after it; `seq` is put in when the order is known."""
    event = {"name": "e", "time_ns": 12, "attributes": {}}
    span = span_from_entry(entry(1, attributes={"runbundle.op": "run"}, events=[event]), ended=True)
    lines = sorted([*span_lines(span, parent_here=False), *run_lines(span, span), log_line(_LOG, sealed=False)])
    events = [json.loads(event_line(line, seq)) for seq, line in enumerate(lines)]
    assert [event["type"] for event in events] == [
        "run.started", "span.started", "span.event", "log", "span.ended", "run.ended",
    ]  # fmt: skip
    assert [event["seq"] for event in events] == list(range(6))
    assert events[4]["duration_ns"] == "5"
    assert all(list(event) == sorted(event) for event in events)


def test_a_line_tells_whether_it_is_a_log_and_new() -> None:
    """The mark of what was sealed before is its last byte."""
    new, old = log_line(_LOG, sealed=False), log_line(_LOG, sealed=True)
    assert (is_log(new), is_new(new), is_new(old)) == (True, True, False)
    assert new[:-1] + SEALED == old
    first = next(span_lines(span_from_entry(entry(), ended=True), parent_here=True))
    assert not is_log(first)


@pytest.mark.parametrize(
    ("code", "stated", "status"),
    [(0, None, "unset"), (1, None, "ok"), (2, None, "error"), (9, None, "unset"), (2, "blocked", "blocked"),
     (1, "waiting", "waiting"), (2, "interrupted", "error"), (1, 5, "ok")],
)  # fmt: skip
def test_a_span_states_its_status_or_has_its_codes(code: int, stated: Any, status: str) -> None:
    """A word that no recorder states counts for nothing; `interrupted` is only what never ended."""
    attributes = {} if stated is None else {"runbundle.status": stated}
    assert status_of_entry(entry(status_code=code, attributes=attributes)) == status


def test_a_span_that_never_ended_has_what_it_was_started_with() -> None:
    """Its name and kind come from the label, its end is its start."""
    start = {"trace_id": TRACE, "span_id": span_id(1), "parent_span_id": "", "start_ns": 7, "label": "tool:find"}
    span = span_from_entry(start, ended=False)
    assert (span.op, span.status, span.record["end_ns"]) == ("tool", "interrupted", 7)
    assert span.attributes["gen_ai.tool.name"] == "find"
    assert span.error() is None


def test_without_content_keeps_place_kind_and_status() -> None:
    """And says so by a receipt; names, messages and attributes go."""
    full = span_from_entry(
        entry(1, 5, name="secret", status_code=2, status_message="secret", attributes={"x": "secret"}), ended=True
    )
    bare = without_content(full)
    assert "secret" not in json.dumps(bare.record)
    assert (bare.order, bare.op, bare.status) == (full.order, full.op, "error")
    assert bare.receipt.count() == 1


@pytest.mark.parametrize(
    ("fields", "begins", "missing"),
    [({}, False, True), ({"remote_parent": True}, False, False), ({"attributes": {"runbundle.op": "run"}}, True, False),
     ({"attributes": {"runbundle.implicit": True}}, True, False), ({"parent_span_id": ""}, False, False)],
)  # fmt: skip
def test_a_parent_is_missing_if_it_was_in_this_process_and_part_of_the_run(
    fields: dict[str, Any], begins: bool, missing: bool
) -> None:
    """Not where the run begins, and not where the parent is elsewhere."""
    span = span_from_entry(entry(2, 1, **fields), ended=True)
    assert span.begins_run == begins
    assert parent_missing(span, parent_here=False) == missing
    assert not parent_missing(span, parent_here=True)


def test_limits_of_the_sdk_are_added_up_over_events_and_links() -> None:
    """By kind, with those of the span itself."""
    event = {"name": "e", "time_ns": 12, "attributes": {}, "dropped": 3}
    span = span_from_entry(entry(dropped={"attributes": 2}, events=[event, event]), ended=True)
    assert span.dropped == {"attributes": 2, "event_attributes": 6}
