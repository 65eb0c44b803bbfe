"""One answer in the chunks of several providers, cut where one likes; shapes as their packages give them."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pydantic
from langchain_core.messages import AIMessageChunk


class Model(pydantic.BaseModel):
    """A chunk of a package that keeps fields it does not know."""

    model_config = pydantic.ConfigDict(extra="allow")


class Delta(pydantic.BaseModel):
    """A delta of an application's own."""

    content: str | None = None
    tool: dict[str, Any] | None = None
    usage: dict[str, int] | None = None


def modelled(value: Any) -> Any:
    """Return dicts as objects, all the way down."""
    if isinstance(value, dict):
        return Model(**{key: modelled(item) for key, item in value.items()})
    return [modelled(item) for item in value] if isinstance(value, list) else value


def own(texts: Sequence[str], arguments: Sequence[str]) -> list[Any]:
    """Deltas of an application's own."""
    calls = [
        Delta(tool={"index": 0, "id": None if n else "call_9", "name": None if n else "refund", "arguments": a})
        for n, a in enumerate(arguments)
    ]
    return [
        *(Delta(content=text) for text in texts),
        *calls,
        Delta(usage={"prompt_tokens": 10, "completion_tokens": 4}),
    ]


def records(texts: Sequence[str], arguments: Sequence[str]) -> list[Any]:
    """The same as objects without a class of their own."""
    return [SimpleNamespace(**delta.model_dump()) for delta in own(texts, arguments)]


def chat(texts: Sequence[str], arguments: Sequence[str]) -> list[Any]:
    """OpenAI's chat completions."""

    def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-2026"}
        return {**about, "choices": [choice], **more}

    calls = [
        {"index": 0, "id": None if n else "call_9", "type": None if n else "function",
         "function": {"name": None if n else "refund", "arguments": a}}
        for n, a in enumerate(arguments)
    ]  # fmt: skip
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14,
             "prompt_tokens_details": {"cached_tokens": 3}}  # fmt: skip
    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": text}) for text in texts),
        *(chunk({"tool_calls": [call]}) for call in calls),
        chunk({}, "tool_calls"),
        {**chunk({}), "choices": [], "usage": usage},
    ]


def chat_objects(texts: Sequence[str], arguments: Sequence[str]) -> list[Any]:
    """The same as the package's objects."""
    return [modelled(chunk) for chunk in chat(texts, arguments)]


def responses(texts: Sequence[str], arguments: Sequence[str]) -> list[Any]:
    """OpenAI's responses."""
    text, whole = "".join(texts), "".join(arguments)
    response = {"id": "resp_1", "model": "m-2026", "status": "in_progress", "output": [], "usage": None}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_9", "name": "refund", "arguments": ""}
    full = {**message, "content": [{"type": "output_text", "text": text, "annotations": []}]}
    usage = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 3}, "output_tokens": 4, "total_tokens": 14}
    of_text, of_call = {"item_id": "msg_1", "output_index": 0}, {"item_id": "fc_1", "output_index": 1}
    return [
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": message},
        *({"type": "response.output_text.delta", **of_text, "content_index": 0, "delta": t} for t in texts),
        {"type": "response.output_text.done", **of_text, "content_index": 0, "text": text},
        {"type": "response.output_item.done", "output_index": 0, "item": full},
        {"type": "response.output_item.added", "output_index": 1, "item": call},
        *({"type": "response.function_call_arguments.delta", **of_call, "delta": a} for a in arguments),
        {"type": "response.function_call_arguments.done", **of_call, "arguments": whole},
        {"type": "response.output_item.done", "output_index": 1, "item": {**call, "arguments": whole}},
        {"type": "response.completed", "response": {**response, "status": "completed", "usage": usage}},
    ]


def anthropic(texts: Sequence[str], arguments: Sequence[str]) -> list[Any]:
    """Anthropic's messages."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "c-2026", "content": [],
               "stop_reason": None, "usage": {"input_tokens": 10, "output_tokens": 1}}  # fmt: skip
    block = {"type": "tool_use", "id": "call_9", "name": "refund", "input": {}}

    def delta(index: int, **fields: Any) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": index, "delta": fields}

    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(delta(0, type="text_delta", text=text) for text in texts),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": block},
        *(delta(1, type="input_json_delta", partial_json=part) for part in arguments),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    ]


def anthropic_helper(texts: Sequence[str], arguments: Sequence[str]) -> list[Any]:
    """Anthropic's messages as its `stream()` gives them: what it makes of an event follows the event."""
    given: list[Any] = []
    said = ""
    for event in anthropic(texts, arguments):
        given.append(modelled(event))
        if event.get("delta", {}).get("type") == "text_delta":
            said += event["delta"]["text"]
            given.append(modelled({"type": "text", "text": event["delta"]["text"], "snapshot": said}))
    return given


def langchain(texts: Sequence[str], arguments: Sequence[str]) -> list[Any]:
    """LangChain's message chunks."""
    calls = [
        AIMessageChunk(content="", tool_call_chunks=[
            {"name": None if n else "refund", "args": a, "id": None if n else "call_9", "index": 0,
             "type": "tool_call_chunk"}])
        for n, a in enumerate(arguments)
    ]  # fmt: skip
    usage: Any = {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14}
    last = AIMessageChunk(
        content="", usage_metadata=usage, response_metadata={"finish_reason": "tool_calls", "model_name": "m-2026"}
    )
    return [*(AIMessageChunk(content=text) for text in texts), *calls, last]


DIALECTS = (own, records, chat, chat_objects, responses, anthropic, anthropic_helper, langchain)
