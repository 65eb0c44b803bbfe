"""Reading what may come from anybody: each fault is a `MalformedBundle` that names the place and never the value."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from runbundle.bundle import reader
from runbundle.bundle.reader import (
    Bundle,
    first_problem,
    listed_path,
    parse_event_line,
    parse_json,
    parse_model,
    parse_object_line,
    whole_file,
)
from runbundle.errors import KeyNotFound, MalformedBundle, TooDeep, TooLarge
from runbundle.format.tool_calls import ToolCalls
from runbundle.store import MemoryStore
from tests.support import handmade


def test_a_file_is_found_in_the_revision_that_lists_it() -> None:
    """By the path in run.json, whatever the folder."""
    index = Bundle.open(handmade.build(), handmade.KEY).index
    assert listed_path(index, "events.jsonl") == "events.jsonl"
    moved = [entry.model_copy(update={"path": f"revisions/2/{entry.path}"}) for entry in index.files]
    later = index.model_copy(update={"files": moved})
    assert listed_path(later, "events.jsonl") == "revisions/2/events.jsonl"
    assert listed_path(later, "vents.jsonl") is None


def test_a_file_above_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is as large as the limit is read; one that is not there is another error."""
    monkeypatch.setattr(reader, "MAX_LINE_BYTES", 4)
    store = MemoryStore()
    store.put("r/a", b"1234")
    store.put("r/b", b"12345")
    assert whole_file(store, "r", "a") == b"1234"
    with pytest.raises(TooLarge):
        whole_file(store, "r", "b")
    with pytest.raises(KeyNotFound):
        whole_file(store, "r", "c")


def test_json_is_refused_with_its_line_and_depth_has_an_error_of_its_own() -> None:
    """The value is not in the message."""
    assert parse_json(b'{"a": [1]}', "f") == {"a": [1]}
    with pytest.raises(MalformedBundle) as caught:
        parse_json(b'{\n"secret-value', "f")
    assert caught.value.line == 2
    assert "secret-value" not in str(caught.value)
    for deep in (b"[" * 200 + b"]" * 200, b"[" * 200):
        with pytest.raises(TooDeep):
            parse_json(deep, "f")


def test_a_model_that_does_not_fit_is_named_by_its_field() -> None:
    """And not by its value."""
    with pytest.raises(MalformedBundle) as caught:
        parse_model(b'{"run_id": "r", "calls": "secret-value"}', ToolCalls, "tool_calls.json")
    assert "calls" in str(caught.value)
    assert "secret-value" not in str(caught.value)
    with pytest.raises(ValidationError) as invalid:
        ToolCalls.model_validate({"run_id": 5, "calls": []})
    assert first_problem(invalid.value).startswith("run_id: ")
    assert "5" not in first_problem(invalid.value)


@pytest.mark.parametrize("parse", [parse_event_line, parse_object_line])
@pytest.mark.parametrize("line", [b"[]\n", b'"x"\n', b"{}", b"{\n", b"\n"])
def test_a_line_is_a_whole_object(parse: Callable[[bytes, str, int], Any], line: bytes) -> None:
    """Else it is malformed, with its number."""
    with pytest.raises(MalformedBundle) as caught:
        parse(line, "events.jsonl", 7)
    assert caught.value.line == 7


@pytest.mark.parametrize(
    "change", [{"time_ns": 5}, {"time_ns": "-1"}, {"attributes": []}, {"op": 5}, {"duration_ns": "x"}, {"name": None}]
)
def test_an_event_has_the_fields_that_readers_use(change: dict[str, Any]) -> None:
    """Of the right types; an object with others is fine for who holds it against its model anyway."""
    event = handmade.event(0, "span.started", handmade.ROOT)
    assert parse_event_line(handmade.dump(event), "f", 1) == event
    assert parse_object_line(handmade.dump(event | change), "f", 1) == event | change
    with pytest.raises(MalformedBundle):
        parse_event_line(handmade.dump(event | change), "f", 1)
