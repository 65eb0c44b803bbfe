"""Events of Anthropic's message streams."""

from collections.abc import Callable

from runbundle.otel.agent.streams.answer import Answer
from runbundle.otel.agent.streams.fields import (
    Fields,
    add_blocks,
    add_envelope,
    add_finish,
    add_usage,
    arguments_text,
    fields_of,
    list_in,
    text_in,
)


def is_event(kind: str, said: Fields) -> bool:
    """Tell whether a chunk of one of the `EVENTS` has what that event has."""
    needed = {"message_start": "message", "content_block_start": "content_block", "text": "snapshot"}
    return kind in ("message_stop", "content_block_stop", "ping") or needed.get(kind, "delta") in said or (
        kind in _REPEATS and "snapshot" in said
    )  # fmt: skip


def add_message(answer: Answer, said: Fields) -> None:
    """Add the beginning of a message, or a whole one."""
    message = fields_of(said.get("message"))
    add_envelope(answer, message)
    add_usage(answer, message.get("usage"))
    add_finish(answer, message.get("stop_reason"))
    answer.events = True
    for index, block in enumerate(list_in(message.get("content"))):
        _block_start(answer, {"index": index, "content_block": block})


def _block_start(answer: Answer, said: Fields) -> None:
    block = fields_of(said.get("content_block"))
    if block.get("type") in ("tool_use", "server_tool_use", "mcp_tool_use"):
        answer.add_call(
            said.get("index"), text_in(block.get("id")), text_in(block.get("name")), arguments_text(block.get("input"))
        )
    else:
        add_blocks(answer, [block], 0)
    answer.events = True


def _block_delta(answer: Answer, said: Fields) -> None:
    delta = fields_of(said.get("delta"))
    answer.events = True
    kind = delta.get("type")
    if kind == "text_delta":
        answer.add_text("content", text_in(delta.get("text")))
    elif kind == "input_json_delta":
        answer.add_call(said.get("index"), arguments=text_in(delta.get("partial_json")))
    elif kind == "thinking_delta":
        answer.add_text("reasoning", text_in(delta.get("thinking")))
    elif kind == "signature_delta":
        answer.add_text("signature", text_in(delta.get("signature")))
    else:
        answer.add_part(dict(delta))


def _message_delta(answer: Answer, said: Fields) -> None:
    add_finish(answer, fields_of(said.get("delta")).get("stop_reason"))
    add_usage(answer, said.get("usage"))
    answer.events = True


def _repeated(answer: Answer, said: Fields) -> None:
    """What the package makes of the events it has just given."""
    if not answer.events:
        answer.add_text("content", text_in(said.get("text")))


def _nothing(answer: Answer, said: Fields) -> None:
    pass


_REPEATS = ("text", "input_json", "thinking", "citation", "signature")
EVENTS: dict[str, Callable[[Answer, Fields], None]] = {
    "message_start": add_message,
    "content_block_start": _block_start,
    "content_block_delta": _block_delta,
    "content_block_stop": _nothing,
    "message_delta": _message_delta,
    "message_stop": _nothing,
    "ping": _nothing,
    **dict.fromkeys(_REPEATS, _repeated),
}
"""What adds each event, by its type."""
