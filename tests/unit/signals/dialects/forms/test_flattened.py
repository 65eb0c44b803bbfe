"""Lists that were flattened to a key for each leaf become lists again, and messages those of the GenAI conventions."""

import time
from typing import Any

import orjson
import pytest

from runbundle.signals.dialects.forms.flattened import Lists, messages_text

CALL = {"type": "tool_call", "id": "c1", "name": "find", "arguments": {"city": "Paris"}}
OURS = {
    "llm.in.0.message.role": "assistant",
    "llm.in.0.message.tool_calls.0.tool_call.id": "c1",
    "llm.in.0.message.tool_calls.0.tool_call.function.name": "find",
    "llm.in.0.message.tool_calls.0.tool_call.function.arguments": '{"city": "Paris"}',
}
THEIRS = {
    "llm.in.0.role": "assistant",
    "llm.in.0.tool_calls.0.id": "c1",
    "llm.in.0.tool_calls.0.name": "find",
    "llm.in.0.tool_calls.0.arguments": '{"city": "Paris"}',
}
TWICE = {
    **OURS,
    "llm.in.0.message.contents.0.message_content.type": "tool_use",
    "llm.in.0.message.contents.0.tool_call.id": "c1",
    "llm.in.0.message.contents.0.tool_call.function.name": "find",
    "llm.in.0.message.contents.0.tool_call.function.arguments": '{"city": "Paris"}',
}
ALONE = {
    "llm.in.0.message.role": "assistant",
    "llm.in.0.message.function_call_name": "find",
    "llm.in.0.message.function_call_arguments_json": '{"city": "Paris"}',
}


def _messages(attributes: dict[str, Any], **more: Any) -> Any:
    attributes = dict(attributes)
    text = messages_text(Lists(attributes, {"llm.in"}).take(attributes).get("llm.in", []), **more)
    assert not attributes, "every key of the list was taken"
    return None if text is None else orjson.loads(text)


@pytest.mark.parametrize("attributes", [OURS, THEIRS, TWICE])
def test_a_call_is_a_part_of_its_message_once(attributes: dict[str, Any]) -> None:
    """In the words of OpenInference and of OpenLLMetry, and where it is said in two places."""
    assert _messages(attributes, finish=["stop"]) == [{"role": "assistant", "parts": [CALL], "finish_reason": "stop"}]


def test_a_message_may_have_one_call_without_an_id() -> None:
    """As models said it once."""
    [message] = _messages(ALONE)
    assert message["parts"] == [{key: value for key, value in CALL.items() if key != "id"}]


def test_texts_results_and_pictures_are_parts() -> None:
    """In the order of their numbers; what is said of them besides stays with them."""
    attributes = {
        "llm.in.10.message.tool_call_id": "c1",
        "llm.in.10.message.content": "42",
        "llm.in.9.message.role": "user",
        "llm.in.9.message.contents.1.message_content.type": "image",
        "llm.in.9.message.contents.1.message_content.image.image.url": "https://a/b.png",
        "llm.in.9.message.contents.0.message_content.type": "text",
        "llm.in.9.message.contents.0.message_content.text": "Which?",
        "llm.in.2.message.content": "Be brief.",
        "llm.in.2.message.role": "system",
        "llm.in.2.message.name": "desk",
    }
    assert _messages(attributes) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}], "name": "desk"},
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "Which?"},
                {"type": "image", "image.image.url": "https://a/b.png"},
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "42"}]},
    ]


def test_arguments_that_are_no_json_stay_text() -> None:
    """As does what is nested too deeply to be read."""
    for text in ('{"city": ', "Paris", "[" * 5000 + "]" * 5000):
        attributes = {**OURS, "llm.in.0.message.tool_calls.0.tool_call.function.arguments": text}
        assert _messages(attributes)[0]["parts"][0]["arguments"] == text


def test_a_kind_of_part_that_is_no_text_is_that_of_text() -> None:
    """The rest of the message is read."""
    attributes = {"llm.in.0.contents.0.message_content.type": ["a"], "llm.in.0.contents.0.message_content.text": "y"}
    assert _messages(attributes) == [{"parts": [{"type": "text", "content": "y"}]}]


def test_a_list_that_was_read_in_part_is_read_without_that() -> None:
    """A row of the table may have taken one of its keys."""
    attributes = dict(OURS)
    lists = Lists(attributes, {"llm.in"})
    del attributes["llm.in.0.message.role"]
    assert lists.take(attributes)["llm.in"][0].keys() == {"tool_calls"}
    assert not attributes


def test_a_role_is_given_only_to_a_message_without_one() -> None:
    """An output without a role is an assistant's."""
    attributes = {"llm.in.0.message.content": "a", "llm.in.1.message.role": "model", "llm.in.1.message.content": "b"}
    assert [message["role"] for message in _messages(attributes, role="assistant")] == ["assistant", "model"]


def test_other_keys_stay() -> None:
    """Those of other lists, of numbers too large to be one, and those that are too long."""
    others: dict[str, Any] = {
        "llm.out.0.message.role": 1,
        "llm.in.99999999999999.message.role": 1,
        "llm.in.x.message.role": 1,
        "llm.in.²": 1,
        "0.llm.in": 1,
        "llm.in." + "0." * 500: 1,
        "": 1,
        "llm.in": 1,
    }
    attributes = dict(others)
    assert Lists(attributes, {"llm.in"}).take(attributes) == {}
    assert attributes == others


@pytest.mark.parametrize(
    "attributes",
    [
        {"llm.in.0.message.tool_calls": {"a": 1}, "llm.in.0.message.tool_calls.0.tool_call.id": "c"},
        {"llm.in.0.message.tool_calls.0.tool_call.id": "c", "llm.in.0.message.tool_calls": {"a": 1}},
        {"llm.in.0.message.contents": "x", "llm.in.0.message.contents.0.message_content.text": "y"},
        {"llm.in.0": "x", "llm.in.0.message.role": 7, "llm.in.0.message.content": ["a"]},
        {"llm.in.0.message.tool_calls.0.tool_call.function.arguments": {"a": {"b": []}}},
    ],
)
def test_keys_that_contradict_each_other_lose_nothing(attributes: dict[str, Any]) -> None:
    """Each value is somewhere in the message."""
    written = orjson.dumps(_messages(attributes)).decode()
    for value in attributes.values():
        text = orjson.dumps(value).decode()
        assert text in written or text.strip('"') in written


@pytest.mark.alone
def test_five_hundred_messages_are_read_in_a_moment() -> None:
    """Cost grows with what is there, not with the numbers in the keys."""
    attributes = {
        key.replace(".0.", f".{number * 1999}.", 1): value for number in range(500) for key, value in OURS.items()
    }
    before = time.thread_time()
    assert len(_messages(attributes)) == 500
    assert time.thread_time() - before < 0.5
