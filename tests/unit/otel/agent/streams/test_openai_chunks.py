"""Chunks of OpenAI become the answer that they are pieces of."""

from typing import Any

import pytest

from runbundle.otel.agent.streams.answer import Answer
from runbundle.otel.agent.streams.openai_chunks import add_chat, add_response_event


def test_chunks_of_a_chat_become_one_message_for_each_choice() -> None:
    """Deltas go on, in the order of the choices; model, id, tokens and the reason to stop are taken."""
    answer = Answer()
    about = {"id": "chatcmpl-1", "model": "m"}
    for index, text in ((1, "x"), (0, "a"), (0, "b"), (1, "y")):
        choice = {"index": index, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
        assert add_chat(answer, {**about, "choices": [choice]})
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    assert add_chat(answer, {**about, "choices": [last], "usage": {"completion_tokens": 4}})
    assert [message["content"] for message in answer.value()] == ["ab", "xy"]
    assert (answer.model, answer.response_id, answer.finish_reasons) == ("m", "chatcmpl-1", ["stop"])
    assert answer.usage == {"gen_ai.usage.output_tokens": 4}
    assert not answer.chunked


@pytest.mark.parametrize("choice", [{"message": {"content": "a"}}, {"text": "a"}, {"delta": {"content": "a"}}])
def test_a_choice_says_the_same_as_message_text_or_delta(choice: dict[str, Any]) -> None:
    """A whole completion, one of the old kind, a chunk."""
    answer = Answer()
    assert add_chat(answer, {"choices": [choice]})
    assert answer.value() == [{"role": "assistant", "content": "a"}]


def test_choices_of_something_else_add_nothing() -> None:
    """One that is no choice is enough; neither the others nor the envelope is taken then."""
    answer = Answer()
    said = {"model": "m", "choices": [{"delta": {"content": "a"}}, {"label": "yes"}]}
    assert not add_chat(answer, said)
    assert (answer.said, answer.model) == (False, "")


def test_calls_and_other_fields_of_a_delta_are_kept_apart_from_its_text() -> None:
    """The old single call too; what is neither text nor call is a part, and what is said elsewhere is passed over."""
    answer = Answer()
    call = {"index": 0, "id": "c1", "function": {"name": "find", "arguments": "{}"}}
    delta = {"content": None, "reasoning_content": "hm", "tool_calls": [call], "parsed": {"a": 1}, "annotations": []}
    assert add_chat(answer, {"choices": [{"delta": delta}]})
    [message] = answer.value()
    assert message == {
        "role": "assistant", "content": "", "reasoning": "hm",
        "tool_calls": [{"id": "c1", "name": "find", "arguments": "{}"}],
    }  # fmt: skip
    assert add_chat(answer, {"choices": [{"delta": {"audio": {"id": "a1"}}}]})
    assert answer.chunked
    old = Answer()
    assert add_chat(old, {"choices": [{"delta": {"function_call": {"name": "find", "arguments": "{"}}}]})
    assert add_chat(old, {"choices": [{"delta": {"function_call": {"arguments": "}"}}}]})
    assert old.value()[0]["tool_calls"] == [{"id": "", "name": "find", "arguments": "{}"}]


def test_events_of_a_response_become_one_message() -> None:
    """Deltas of text, reasoning and arguments go on; the whole that an item repeats at its end is not added again."""
    answer = Answer()
    call = {"type": "function_call", "id": "fc", "call_id": "c1", "name": "find"}
    full = {"type": "message", "content": [{"type": "output_text", "text": "ab"}]}
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": {"id": "resp_1", "model": "m"}}),
        ("response.reasoning_text.delta", {"delta": "hm"}),
        ("response.output_text.delta", {"delta": "a"}),
        ("response.output_text.delta", {"delta": "b"}),
        ("response.output_item.done", {"output_index": 0, "item": full}),
        ("response.output_item.added", {"output_index": 1, "item": call}),
        ("response.function_call_arguments.delta", {"output_index": 1, "delta": "{}"}),
        ("response.output_item.done", {"output_index": 1, "item": {**call, "arguments": "{}"}}),
        ("response.completed", {"response": {"status": "completed", "usage": {"input_tokens": 2}}}),
    ]
    for kind, said in events:
        add_response_event(answer, kind, said)
    assert answer.value() == [
        {"role": "assistant", "content": "ab", "reasoning": "hm",
         "tool_calls": [{"id": "c1", "name": "find", "arguments": "{}"}]}
    ]  # fmt: skip
    assert (answer.model, answer.response_id, answer.finish_reasons) == ("m", "resp_1", ["completed"])
    assert answer.usage == {"gen_ai.usage.input_tokens": 2}
    assert not answer.chunked


def test_an_item_of_a_response_is_taken_whole_if_no_delta_came() -> None:
    """The text of a message and the arguments of a call; an item of another kind is a part."""
    answer = Answer()
    items: list[dict[str, Any]] = [
        {"type": "message", "content": [{"type": "output_text", "text": "ab"}]},
        {"type": "function_call", "call_id": "c1", "name": "find", "arguments": "{}"},
        {"type": "image_generation_call", "result": "x"},
    ]
    for index, item in enumerate(items):
        add_response_event(answer, "response.output_item.done", {"output_index": index, "item": item})
    [message] = answer.value()
    assert message["content"] == "ab"
    assert message["tool_calls"] == [{"id": "c1", "name": "find", "arguments": "{}"}]
    assert len(message["parts"]) == 1
    assert answer.chunked


def test_a_response_that_was_cut_or_failed_says_why() -> None:
    """The reason of the cut before the status; the error is a part."""
    cut, failed = Answer(), Answer()
    said = {"response": {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}}
    add_response_event(cut, "response.incomplete", said)
    add_response_event(failed, "response.failed", {"response": {"status": "failed", "error": {"code": "e"}}})
    assert (cut.finish_reasons, failed.finish_reasons) == (["max_output_tokens"], ["failed"])
    assert failed.value()[0]["parts"] == ['{"error":{"code":"e"}}']
