"""A damaged bundle gives the documented errors, whatever is wrong with it."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from opentelemetry import trace

import runbundle
from runbundle.bundle.assembly.reread import EventsBySpan, entries_of_bundle, log_entry
from runbundle.bundle.assembly.timeline import event_line, span_from_entry, span_lines
from runbundle.bundle.listings import Listing
from runbundle.bundle.reader import Bundle
from runbundle.errors import MalformedBundle
from runbundle.format.tool_calls import CallEntry, ToolCalls
from tests.unit.bundle.assembly.spans import TRACE, entry, span_id


@pytest.mark.parametrize(
    ("key", "value"),
    [("error", "text"), ("links", 5), ("scope", "abc"), ("dropped", [1]), ("trace_id", "zz"), ("attributes", {})],
)
def test_a_malformed_event_makes_the_bundle_malformed(
    configured: Callable[..., runbundle.Handle], tmp_path: Path, key: str, value: object
) -> None:
    """An event that is none is a malformed bundle, or read."""
    handle = configured()
    with runbundle.start_run("r", run_id="r"):
        trace.get_current_span().add_event("e")
    handle.flush()
    path = Path(handle.store.url.removeprefix("file://")) / "r" / "events.jsonl"
    events = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    path.write_bytes(b"".join(orjson.dumps({**event, key: value}) + b"\n" for event in events))
    if key == "attributes":
        assert list(entries_of_bundle(Bundle.open(handle.store, "r"), tmp_path))
    else:
        with pytest.raises(MalformedBundle):
            list(entries_of_bundle(Bundle.open(handle.store, "r"), tmp_path))


def test_json_that_only_one_parser_accepts_is_malformed(tmp_path: Path) -> None:
    """What only one of two parsers takes for JSON is malformed."""
    body = b'{"calls": [], "run_id": "r", "schema": "runbundle/tool_calls/v1", "more": NaN}'
    (tmp_path / "f").write_bytes(body)
    with (tmp_path / "f").open("rb") as file, pytest.raises(MalformedBundle):
        list(Listing(file, "f", "calls", ToolCalls, CallEntry))


@pytest.mark.parametrize("parsed_bytes", [0, 500, 100_000])
def test_a_span_is_read_back_from_its_events_as_a_journal_has_it(tmp_path: Path, parsed_bytes: int) -> None:
    """In any order of spans, in memory or not; logs and the run's own two events are left out."""
    written = [entry(2, 1, status_code=1), entry(1, events=[{"name": "e", "time_ns": 12, "attributes": {}}])]
    lines = [line for one in written for line in span_lines(span_from_entry(dict(one), ended=True), parent_here=True)]
    with closing(EventsBySpan(tmp_path, parsed_bytes)) as events:
        for event in ({"type": "log"}, {"type": "run.ended"}):
            events.add(event, b"no JSON")
        for seq, line in enumerate(sorted(lines)):
            made = event_line(line, seq)
            events.add(json.loads(made), made[:-1])
        found = list(events.entries("gen-ai"))
    assert [one["span_id"] for one in found] == [span_id(1), span_id(2)]
    for one, before in zip(found, reversed(written), strict=True):
        assert one | {"scope": {}} == before


def test_a_log_is_read_back_with_its_body_among_the_attributes() -> None:
    """Where redaction has put it."""
    event = {"trace_id": TRACE, "span_id": span_id(1), "time_ns": "12", "name": "log", "attributes": {"body": "b"}}
    assert log_entry(event) == {
        "k": "log", "trace_id": TRACE, "span_id": span_id(1), "time_ns": 12, "event_name": "log",
        "attributes": {"body": "b"}, "body": None, "severity": None,
    }  # fmt: skip
