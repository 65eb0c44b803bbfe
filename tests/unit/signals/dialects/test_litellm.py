"""Spans of LiteLLM say in our terms what they say in its own and in OpenLLMetry's."""

import json
from typing import Any

import pytest

from runbundle.signals import own, semconv
from runbundle.signals.keys import SPAN_KEYS
from runbundle.signals.operations import operation
from tests.interop.dumps import FOLDER, load
from tests.unit.signals.dialects.one_span import read_of_dump, said

CALL = {"litellm.call_id": "c", "llm.request.type": "completion", semconv.REQUEST_MODEL: "m"}


@pytest.mark.parametrize(
    ("attributes", "work"),
    [
        ({"llm.request.type": "completion"}, "chat"),
        ({"llm.request.type": "acompletion"}, "chat"),
        ({"llm.request.type": "aembedding"}, "embeddings"),
        ({"litellm.call_type": "aresponses", semconv.OPERATION: "litellm.passthrough"}, "chat"),
        ({"litellm.call_type": "call_mcp_tool"}, "execute_tool"),
        ({semconv.OPERATION: "acompletion"}, "chat"),
        ({semconv.OPERATION: "chat", "llm.request.type": "acompletion"}, "chat"),
        ({semconv.OPERATION: "litellm.moderation"}, "litellm.moderation"),
    ],
)
def test_the_kind_of_call_is_the_kind_of_work(attributes: dict[str, str], work: str) -> None:
    """Asynchronous calls are calls; completions have been chats for long."""
    found = said({"litellm.call_id": "c", **attributes})
    assert found[semconv.OPERATION] == work
    assert found[own.DIALECT] == "litellm"


def test_a_guardrail_is_a_step() -> None:
    """Its verdict is content."""
    found = said({"guardrail_name": "pii", "guardrail_mode": "pre_call", "guardrail_response": "blocked: Ada Quill"})
    assert operation(found) == "step"
    assert found[own.NAME] == "pii"
    assert SPAN_KEYS["guardrail_response"] == "content"


def test_what_only_the_providers_usage_has_is_read_from_it() -> None:
    """Cached and reasoning tokens stand in a text as Python writes it; what stands in attributes is believed more."""
    usage = {"completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 3}, "x": {"reasoning_tokens": 2}}
    found = said({**CALL, "metadata.usage_object": str(usage)})
    assert (found[semconv.CACHE_READ_TOKENS], found[semconv.REASONING_TOKENS]) == (3, 2)
    assert json.loads(found["litellm.metadata"]) == {"usage_object": str(usage)}
    found = said({**CALL, "metadata.usage_object": str(usage), semconv.CACHE_READ_TOKENS: 4})
    assert found[semconv.CACHE_READ_TOKENS] == 4
    for text in ("", "None", "{'cached_tokens': None}", "{'cached_tokens': '3'}", "'cached_tokens': " * 99_999):
        assert semconv.CACHE_READ_TOKENS not in said({**CALL, "metadata.usage_object": text})


def test_metadata_is_content_and_what_is_empty_goes() -> None:
    """Anybody may add keys to a request's metadata."""
    found = said({**CALL, "metadata.user_api_key_hash": "", "metadata.Ada Quill": "x", "metadata.team_id": ""})
    assert json.loads(found["litellm.metadata"]) == {"Ada Quill": "x"}
    assert not any(key.startswith("metadata.") for key in found)
    assert "litellm.metadata" not in said({**CALL, "metadata.team_id": ""})


def test_the_user_and_the_session_are_those_of_the_request() -> None:
    """An empty text is nobody."""
    found = said({**CALL, "llm.user": "u", "metadata.session_id": "s", "metadata.user_api_key_end_user_id": "v"})
    assert (found[own.USER_ID], found[own.SESSION_ID]) == ("u", "s")
    assert said({**CALL, "metadata.user_api_key_end_user_id": "v"})[own.USER_ID] == "v"
    assert own.USER_ID not in said({**CALL, "metadata.user_api_key_end_user_id": ""})


def test_the_calls_that_a_model_asks_for_are_in_its_messages() -> None:
    """They stand beside messages with no part: bare arguments are named by them."""
    calls = {
        "gen_ai.completion.0.function_call.name": "mail", "gen_ai.completion.0.function_call.arguments": '{"to": "x"}',
        "gen_ai.completion.1.function_call.name": "find", "gen_ai.completion.1.function_call.arguments": "{}",
    }  # fmt: skip
    parts = [
        {"type": "tool_call", "name": "mail", "arguments": {"to": "x"}},
        {"type": "tool_call", "name": "find", "arguments": {}},
    ]
    message: dict[str, Any] = {"role": "assistant", "parts": [], "finish_reason": "tool_calls"}
    found = said({**CALL, **calls, semconv.OUTPUT_MESSAGES: json.dumps([message])})
    assert json.loads(found[semconv.OUTPUT_MESSAGES]) == [{**message, "parts": parts}]
    assert not any(key.startswith("gen_ai.completion.") for key in found)
    alone = json.loads(said({**CALL, **calls})[semconv.OUTPUT_MESSAGES])
    assert [part for message in alone for part in message["parts"]] == parts
    for odd in ("[]", "[1]", "{}", "[", '[{"parts": 5}]'):
        assert said({**CALL, **calls, semconv.OUTPUT_MESSAGES: odd})[own.DIALECT] == "litellm"


def test_an_error_is_said_as_an_exception_is() -> None:
    """Others have the same keys for less: as our terms they are redacted as what they are."""
    found = said({**CALL, "error.message": "no", "error.stack_trace": "  File", "error.code": "429", "error.type": "E"})
    assert (found[semconv.EXCEPTION_MESSAGE], found[semconv.EXCEPTION_STACKTRACE]) == ("no", "  File")
    assert (found["litellm.provider.error.code"], found[semconv.ERROR_TYPE]) == ("429", "E")


def test_of_what_litellm_emits_every_key_is_declared() -> None:
    """Every call is a model's, with its usage, or its error."""
    (place,) = FOLDER.glob("litellm.own.*.json.gz")
    calls = 0
    for span in load(place)["spans"]:
        found = read_of_dump(span)["attributes"]
        assert not found.keys() - SPAN_KEYS.keys()
        if "litellm.call_id" in found:
            calls += 1
            assert operation(found) == "model"
            assert semconv.INPUT_TOKENS in found or semconv.ERROR_TYPE in found
            assert semconv.TOTAL_TOKENS not in found
            assert semconv.ERROR_TYPE in found or isinstance(found[semconv.FINISH_REASONS], list)
    assert calls >= 6


@pytest.mark.parametrize("value", [None, 5, True, ["a"], {"a": 1}, "", "[" * 5000, "\ud800"])
def test_any_value_anywhere_is_read_without_a_fault(value: Any) -> None:
    """Values of the wrong kind cost themselves alone."""
    for key in ("llm.request.type", semconv.OPERATION, "metadata.usage_object", "metadata.x", "hidden_params",
                "guardrail_name", "llm.user", "error.message", "error.code", "metadata.session_id"):  # fmt: skip
        assert said({**CALL, key: value})[own.DIALECT] == "litellm"
