"""What is found out from the keys of a span alone, to be fast, changes nothing of what its tables say."""

from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.signals import own, semconv
from runbundle.signals.dialects import canonical as module
from runbundle.signals.dialects.canonical import canonical, canonical_attributes
from runbundle.signals.dialects.forms.table import Rows
from runbundle.signals.operations import begins_run, is_agent_work
from tests.interop.dumps import FOLDER, load
from tests.unit.signals.dialects.spans import span

DUMPS = sorted(FOLDER.glob("*.json.gz"))
_WORK = (semconv.OPERATION, own.OP, semconv.MCP_METHOD)


def _spans(path: Any) -> Any:
    """Yield spans of a dump, whole and without every second of their attributes."""
    for one in load(path)["spans"]:
        every = list(one["attributes"].items())
        events = [(event["name"], event["attributes"]) for event in one["events"]]
        for attributes in (every, every[::2], every[1::2], every[::-1]):
            yield span(one["name"], dict(attributes), scope=one["scope"]["name"], events=events)


@pytest.mark.parametrize("path", DUMPS, ids=lambda path: path.name)
def test_rows_that_are_not_looked_at_would_say_nothing(path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all the rows of its tables a span is read as with those that its keys choose."""
    chosen = [canonical(record) for record in _spans(path)]
    monkeypatch.setattr(module, "_SHAPES", {})
    monkeypatch.setattr(Rows, "with_sources_in", lambda rows, _keys: rows._rows)
    assert [canonical(record) for record in _spans(path)] == chosen


@pytest.mark.parametrize("path", DUMPS, ids=lambda path: path.name)
def test_the_kind_of_work_is_the_same_without_the_rest(path: Any) -> None:
    """What is asked of a span as it starts and ends needs none of what its payloads say."""
    for record in _spans(path):
        name, attributes = record["name"], record["attributes"]
        whole, part = (canonical_attributes(name, attributes, whole=each) for each in (True, False))
        assert [whole.get(key) for key in _WORK] == [part.get(key) for key in _WORK]
        works = semconv.OPERATION in whole or own.OP in whole or name.startswith("invoke_agent")
        assert is_agent_work(name, attributes) is works
        assert works or not begins_run(name, attributes)


def test_what_is_remembered_of_keys_is_bounded() -> None:
    """However many sets of keys there are, and however long they are."""
    for number in range(module._MOST_SHAPES + 10):
        canonical(span("x", {semconv.OPERATION: "chat", f"llm.input_messages.{number}.message.role": "user"}))
    long = {"openinference.span.kind": "LLM"} | {f"llm.input_messages.{n}.message.role": "user" for n in range(1000)}
    before = len(module._SHAPES)
    assert len(canonical(span("x", long))["attributes"]) < 9
    assert before <= module._MOST_SHAPES
    assert len(module._SHAPES) == before


_MODERN = (semconv.RESPONSE_MODEL, semconv.ERROR_TYPE, semconv.CALL_ID, semconv.DOCUMENTS, "http.method", "user.id")
_VALUES = ("gpt", "_OTHER", "<not specified>", "", '[{"id": "d"}]', 3)


def _read_whole(record: Any) -> Any:
    """Return a record in our terms, read by its tables whatever it says."""
    every = mock.patch.object(module._Shape, "_leaves", return_value=None)  # pyright: ignore[reportPrivateUsage]
    with mock.patch.object(module, "_SHAPES", {}), every:
        return canonical(record)


@given(
    st.dictionaries(st.sampled_from(_MODERN), st.sampled_from(_VALUES)),
    st.sampled_from(["chat", "completion", "invoke_workflow", "execute_tool", "mine", "", 3]),
)
def test_a_span_that_is_passed_over_would_be_left_as_it_is(attributes: dict[str, Any], operation: Any) -> None:
    """What the reading would leave, and nothing else, is not read."""
    record = span("n", {**attributes, semconv.OPERATION: operation})
    read, passed = _read_whole(record), canonical(record)
    assert passed == read
    assert list(passed["attributes"]) == list(read["attributes"])


@pytest.mark.parametrize("path", DUMPS, ids=lambda path: path.name)
def test_spans_of_dumps_that_are_passed_over_would_be_left(path: Any) -> None:
    """Of no recorded span anything is missed."""
    for record in _spans(path):
        assert canonical(record) == _read_whole(record)
