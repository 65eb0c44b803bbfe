"""Chunks of OpenAI, and of the many that copied its chat completions."""

from typing import Any

from runbundle.otel.agent.streams.answer import Answer
from runbundle.otel.agent.streams.fields import (
    KINDS,
    Fields,
    add_blocks,
    add_call,
    add_envelope,
    add_finish,
    add_usage,
    arguments_text,
    fields_of,
    list_in,
    text_in,
)


def add_chat(answer: Answer, said: Fields) -> bool:
    """Add a chat completion, or a chunk of one; False, and nothing added, if it is none."""
    choices = [fields_of(choice) for choice in said["choices"]]
    if not all("delta" in c or "message" in c or "text" in c for c in choices):
        return False
    add_envelope(answer, said)
    add_usage(answer, said.get("usage"))
    for choice in choices:
        index = choice.get("index")
        _chat_delta(answer, _delta_of(choice), index if isinstance(index, int) else 0)
        add_finish(answer, choice.get("finish_reason"))
    return True


def _delta_of(choice: Fields) -> Fields:
    if "delta" in choice or "message" in choice:
        return fields_of(choice.get("delta") or choice.get("message"))
    return {"content": choice.get("text")}


def _chat_delta(answer: Answer, delta: Fields, choice: int) -> None:
    for key, value in delta.items():
        if value is None or key in _SAID_ELSEWHERE:
            continue
        if key == "tool_calls":
            for place, call in enumerate(list_in(value)):
                add_call(answer, fields_of(call), place if len(list_in(value)) > 1 else None, choice)
        elif key == "function_call":
            add_call(answer, {"index": "function", **fields_of(value)}, None, choice)
        elif key == "content" and not isinstance(value, str):
            add_blocks(answer, list_in(value), choice)
        elif isinstance(value, str):
            answer.add_text(KINDS.get(key, key), value, choice)
        elif value not in ([], {}, ()):
            answer.add_part({key: value}, choice)


_SAID_ELSEWHERE = frozenset({"role", "parsed", "parsed_arguments"})


def add_response_event(answer: Answer, kind: str, said: Fields) -> None:
    """Add an event of the Responses API."""
    index, delta = said.get("output_index"), said.get("delta")
    item = fields_of(said.get("item"))
    if kind.endswith(".delta"):
        if kind in ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta",
                    "response.mcp_call_arguments.delta"):  # fmt: skip
            answer.add_call(index, arguments=text_in(delta))
        elif isinstance(delta, str):
            name = kind.removeprefix("response.").removesuffix(".delta")
            kinds = {"output_text": "content", "reasoning_text": "reasoning", "reasoning_summary_text": "reasoning"}
            answer.add_text(kinds.get(name, name), delta)
        elif delta:
            answer.add_part({kind: delta})
    elif kind in ("response.output_item.added", "response.output_item.done"):
        _output_item(answer, item, index, done=kind.endswith("done"))
    else:
        response = fields_of(said.get("response"))
        add_envelope(answer, response)
        add_usage(answer, response.get("usage"))
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            details = fields_of(response.get("incomplete_details"))
            add_finish(answer, details.get("reason") or response.get("status"))
            if response.get("error"):
                answer.add_part({"error": response["error"]})


def _output_item(answer: Answer, item: Fields, index: Any, *, done: bool) -> None:
    kind = item.get("type")
    if kind in ("function_call", "custom_tool_call", "mcp_call"):
        whole = arguments_text(item.get("arguments") or item.get("input")) if done else ""
        answer.add_call(
            index,
            text_in(item.get("call_id") or item.get("id")),
            text_in(item.get("name")),
            "" if answer.has_arguments(index) else whole,
        )
    elif done and kind == "message":
        if not answer.has_text():
            add_blocks(answer, list_in(item.get("content")), 0)
    elif done and kind != "reasoning":
        answer.add_part(dict(item))
