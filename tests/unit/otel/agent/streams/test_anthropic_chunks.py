"""Events of Anthropic's message streams are told by what they must have."""

from typing import Any

import pytest

from runbundle.otel.agent.streams.answer import Answer
from runbundle.otel.agent.streams.anthropic_chunks import EVENTS, add_message, is_event

NEEDS = {
    "message_start": "message", "content_block_start": "content_block", "content_block_delta": "delta",
    "message_delta": "delta", "text": "snapshot", "input_json": "snapshot",
}  # fmt: skip


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_is_told_by_what_it_must_have(kind: str) -> None:
    """Its type alone is enough only for the few that have nothing else."""
    assert is_event(kind, {"type": kind}) is (kind in ("message_stop", "content_block_stop", "ping"))
    if kind in NEEDS:
        assert is_event(kind, {"type": kind, NEEDS[kind]: {}})
        assert not is_event(kind, {"type": kind, "other": {}})


def test_the_beginning_of_a_message_gives_its_envelope_and_tokens() -> None:
    """From then on what the package repeats of the events is passed over."""
    answer = Answer()
    assert not answer.events
    add_message(answer, {"message": {"id": "msg_1", "model": "m", "content": [], "usage": {"input_tokens": 3}}})
    assert answer.events
    assert not answer.said
    assert (answer.response_id, answer.model, answer.finish_reasons) == ("msg_1", "m", [])
    assert answer.usage == {"gen_ai.usage.input_tokens": 3}
    EVENTS["text"](answer, {"text": "again", "snapshot": "again"})
    assert not answer.said


def test_a_whole_message_says_what_its_events_do() -> None:
    """Texts, thinking and calls of its content, and why it stopped."""
    whole, pieces = Answer(), Answer()
    call = {"type": "tool_use", "id": "c1", "name": "find", "input": {"a": 1}}
    content: list[dict[str, Any]] = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "ab"}, call]
    add_message(whole, {"message": {"content": content, "stop_reason": "tool_use"}})
    add_message(pieces, {"message": {"content": []}})
    deltas: list[dict[str, Any]] = [
        {"type": "thinking_delta", "thinking": "hm"}, {"type": "text_delta", "text": "a"},
        {"type": "text_delta", "text": "b"},
    ]  # fmt: skip
    for delta in deltas:
        EVENTS["content_block_delta"](pieces, {"index": 0, "delta": delta})
    EVENTS["content_block_start"](pieces, {"index": 2, "content_block": {**call, "input": {}}})
    delta = {"type": "input_json_delta", "partial_json": '{"a":1}'}
    EVENTS["content_block_delta"](pieces, {"index": 2, "delta": delta})
    EVENTS["message_delta"](pieces, {"delta": {"stop_reason": "tool_use"}})
    assert whole.value() == pieces.value()
    assert whole.value()[0]["tool_calls"] == [{"id": "c1", "name": "find", "arguments": '{"a":1}'}]
    assert whole.finish_reasons == pieces.finish_reasons == ["tool_use"]


@pytest.mark.parametrize("message", [None, "text", [], 5])
def test_a_message_that_is_none_says_nothing(message: Any) -> None:
    """It does not raise."""
    answer = Answer()
    add_message(answer, {"message": message})
    assert not answer.said
