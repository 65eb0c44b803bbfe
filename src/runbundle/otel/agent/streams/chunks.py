"""Recognises the chunks of model providers by their shape: OpenAI, Anthropic, LangChain, and an application's deltas.

No provider's package is imported: a chunk may be a dict, a pydantic model, a dataclass or any object with fields. A
shape is recognised only where every field with content is known, so that nothing is dropped in silence.
"""

from typing import Any

from runbundle.otel.agent.streams.answer import Answer
from runbundle.otel.agent.streams.anthropic_chunks import EVENTS, add_message, is_event
from runbundle.otel.agent.streams.fields import (
    KINDS,
    Fields,
    add_blocks,
    add_call,
    add_finish,
    add_usage,
    fields_of,
    list_in,
    text_in,
)
from runbundle.otel.agent.streams.openai_chunks import add_chat, add_response_event
from runbundle.otel.agent.streams.own_deltas import add_own_delta


def read_chunk(answer: Answer, item: Any, *, own_deltas: bool) -> bool:
    """Add a chunk to the answer; return False, and add nothing, if the item is no chunk.

    `own_deltas`: whether `{"content": …}` and the like are deltas. A model's are; a tool's are records.
    """
    said = fields_of(item)
    if not said:
        return False
    kind = said.get("type")
    if isinstance(kind, str):
        if kind.startswith("response."):
            add_response_event(answer, kind, said)
            return True
        event = EVENTS.get(kind)
        if event is not None and is_event(kind, said):
            event(answer, said)
            return True
    if "tool_call_chunks" in said and "content" in said:
        _langchain(answer, said)
        return True
    if isinstance(said.get("choices"), list | tuple):
        return add_chat(answer, said)
    if "message" in said:
        inner = fields_of(said["message"])
        if "tool_call_chunks" in inner:  # LangChain's generation chunk
            _langchain(answer, inner)
            return True
    return own_deltas and add_own_delta(answer, said)


def read_message(answer: Answer, item: Any) -> bool:
    """Add a whole answer, as a provider's stream object shows it at its end; return False if the item is none."""
    said = fields_of(item)
    if isinstance(said.get("choices"), list | tuple):
        return add_chat(answer, said)
    if isinstance(said.get("content"), list | tuple) and said.get("role") == "assistant":
        add_message(answer, {"message": said})
        return True
    return False


def _langchain(answer: Answer, said: Fields) -> None:
    content = said.get("content")
    if isinstance(content, str):
        answer.add_text("content", content)
    else:
        calls = ("tool_use", "tool_call", "tool_call_chunk", "input_json_delta", "function_call")  # told beside them
        blocks = [b for b in list_in(content) if isinstance(b, str) or fields_of(b).get("type") not in calls]
        add_blocks(answer, blocks, 0)
    for call in list_in(said.get("tool_call_chunks")):
        add_call(answer, fields_of(call), None, 0)
    more = fields_of(said.get("additional_kwargs"))
    for key in ("reasoning_content", "refusal"):
        answer.add_text(KINDS.get(key, key), text_in(more.get(key)))
    add_usage(answer, said.get("usage_metadata"), add=True)
    about = fields_of(said.get("response_metadata"))
    add_finish(answer, about.get("finish_reason") or about.get("stop_reason"))
    answer.model = answer.model or text_in(about.get("model_name") or about.get("model"))
    answer.response_id = answer.response_id or text_in(about.get("id"))
