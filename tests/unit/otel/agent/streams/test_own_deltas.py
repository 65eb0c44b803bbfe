"""Deltas of an application's own are told by their fields, all of which must be known."""

from typing import Any

import pytest

from runbundle.otel.agent.streams.answer import Answer
from runbundle.otel.agent.streams.own_deltas import add_own_delta


def test_texts_of_an_applications_own_deltas_become_one_content() -> None:
    """Whichever of its names each has, within a delta or in one that it holds."""
    answer = Answer()
    for delta in ({"content": "a"}, {"text": "b", "index": 0}, {"delta": "c"}, {"delta": {"content": "d"}, "id": "1"}):
        assert add_own_delta(answer, delta)
    assert answer.value() == [{"role": "assistant", "content": "abcd"}]


def test_what_a_delta_says_about_its_answer_is_taken() -> None:
    """Model, id, reason to stop and tokens; reasoning beside content is a text of its own."""
    answer = Answer()
    said = {"content": "a", "thinking": "hm", "model": "m", "id": "1", "finish_reason": "stop",
            "usage": {"prompt_tokens": 3}}  # fmt: skip
    assert add_own_delta(answer, said)
    assert answer.value() == [{"role": "assistant", "content": "a", "reasoning": "hm"}]
    assert (answer.model, answer.response_id, answer.finish_reasons) == ("m", "1", ["stop"])
    assert answer.usage == {"gen_ai.usage.input_tokens": 3}


def test_a_text_of_another_type_is_no_content() -> None:
    """It is kept under its type."""
    answer = Answer()
    assert add_own_delta(answer, {"type": "status", "content": "searching"})
    assert add_own_delta(answer, {"type": "text_delta", "content": "found"})
    assert answer.value() == [{"role": "assistant", "content": "found", "status": "searching"}]


def test_fragments_of_calls_in_own_deltas_are_put_together() -> None:
    """Alone under any of their names, or several in one delta."""
    answer = Answer()
    assert add_own_delta(answer, {"tool": {"index": 0, "id": "c1", "name": "find", "arguments": '{"a"'}})
    assert add_own_delta(answer, {"tool_calls": [{"index": 0, "arguments": ":1}"}, {"id": "c2", "name": "drop"}]})
    [message] = answer.value()
    assert message["tool_calls"] == [
        {"id": "c1", "name": "find", "arguments": '{"a":1}'},
        {"id": "c2", "name": "drop", "arguments": ""},
    ]


def test_a_delta_whose_text_is_not_there_is_one_that_says_nothing() -> None:
    """As the last of a stream may be: it is known for a delta, and the answer is as it was."""
    answer = Answer()
    assert add_own_delta(answer, {"content": None, "finish_reason": "stop"})
    assert (answer.said, answer.finish_reasons) == (False, ["stop"])


@pytest.mark.parametrize(
    "said",
    [
        {}, {"content": "a", "extra": 1}, {"model": "m", "id": "1"}, {"content": 5},
        {"content": "a", "text": "b"}, {"tool": {"weather": "fine"}}, {"tool": {"name": "find", "arguments": 5}},
        {"content": ["a"]}, {"reasoning": "hm"},
    ],
)  # fmt: skip
def test_what_is_no_delta_adds_nothing(said: dict[str, Any]) -> None:
    """A field that is not known, two texts at once, a call that is none, nothing said: the answer is as it was."""
    answer = Answer()
    assert not add_own_delta(answer, said)
    assert not answer.said
    assert (answer.chars, answer.model, answer.usage, answer.finish_reasons) == (0, "", {}, [])
