"""Recognises the chunks of model providers by their shape: OpenAI, Anthropic, LangChain, and an application's deltas.

No provider's package is imported: a chunk may be a dict, a pydantic model, a dataclass or any object with fields. A
shape is recognised only where every field with content is known, so that nothing is dropped in silence.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from functools import lru_cache
from typing import Any, cast

from pydantic import BaseModel

from runbundle.otel.agent.capture import capture
from runbundle.otel.agent.streams.answer import Answer

Fields = Mapping[str, Any]


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
            _responses_event(answer, kind, said)
            return True
        event = _ANTHROPIC.get(kind)
        if event is not None and _is_anthropic(kind, said):
            event(answer, said)
            return True
    if "tool_call_chunks" in said and "content" in said:
        _langchain(answer, said)
        return True
    if isinstance(said.get("choices"), list | tuple):
        return _chat(answer, said)
    if "message" in said:
        inner = fields_of(said["message"])
        if "tool_call_chunks" in inner:  # LangChain's generation chunk
            _langchain(answer, inner)
            return True
    return own_deltas and _own_delta(answer, said)


def read_message(answer: Answer, item: Any) -> bool:
    """Add a whole answer, as a provider's stream object shows it at its end; return False if the item is none."""
    said = fields_of(item)
    if isinstance(said.get("choices"), list | tuple):
        return _chat(answer, said)
    if isinstance(said.get("content"), list | tuple) and said.get("role") == "assistant":
        _message_start(answer, {"message": said})
        return True
    return False


def fields_of(item: Any) -> Fields:
    """Return an object's fields as they are stored, asking none of its properties; none if it has no fields."""
    if isinstance(item, dict):
        return cast("Fields", item)
    kind = cast("Any", type(item))
    if kind in _PLAIN or isinstance(item, type):
        return {}
    try:
        found: Any = object.__getattribute__(item, "__dict__")
    except AttributeError:
        if is_dataclass(item):
            return {field.name: getattr(item, field.name, None) for field in dataclass_fields(item)}
        return {}
    if _has_more(kind) and item.__pydantic_extra__:
        return {**found, **item.__pydantic_extra__}
    return cast("Fields", found)


@lru_cache(maxsize=256)
def _has_more(kind: type) -> bool:
    """Tell whether objects of a class keep fields that it does not declare beside the others, as pydantic's may."""
    return issubclass(kind, BaseModel) and kind.model_config.get("extra") == "allow"


_PLAIN = frozenset({str, bytes, int, float, bool, type(None), list, tuple})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return list(cast("list[Any]", value)) if isinstance(value, list | tuple) else []


def _arguments(value: Any) -> str:
    """Return a call's arguments as text: fragments as they are, whole ones as JSON."""
    if isinstance(value, str):
        return value
    return capture(value).text if _list(value) or fields_of(value) else ""


# -- OpenAI, and the many that copied its chat completions ----------------------------------------------------------


def _chat(answer: Answer, said: Fields) -> bool:
    choices = [fields_of(choice) for choice in said["choices"]]
    if not all("delta" in c or "message" in c or "text" in c for c in choices):
        return False
    _envelope(answer, said)
    _used(answer, said.get("usage"))
    for choice in choices:
        index = choice.get("index")
        _chat_delta(answer, _delta_of(choice), index if isinstance(index, int) else 0)
        _finished(answer, choice.get("finish_reason"))
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
            for place, call in enumerate(_list(value)):
                _call(answer, fields_of(call), place if len(_list(value)) > 1 else None, choice)
        elif key == "function_call":
            _call(answer, {"index": "function", **fields_of(value)}, None, choice)
        elif key == "content" and not isinstance(value, str):
            _blocks(answer, _list(value), choice)
        elif isinstance(value, str):
            answer.add_text(_KINDS.get(key, key), value, choice)
        elif value not in ([], {}, ()):
            answer.add_part({key: value}, choice)


_SAID_ELSEWHERE = frozenset({"role", "parsed", "parsed_arguments"})
_KINDS = {"reasoning_content": "reasoning", "text": "content", "thinking": "reasoning"}


def _call(answer: Answer, call: Fields, place: int | None, choice: int) -> None:
    function = fields_of(call.get("function")) or call
    index = call.get("index")
    arguments = function.get("arguments")
    if arguments is None:
        arguments = function.get("args", function.get("input"))
    answer.add_call(
        index if isinstance(index, int | str) else place,
        _text(call.get("id") or call.get("call_id")),
        _text(function.get("name")),
        _arguments(arguments),
        choice,
    )


def _responses_event(answer: Answer, kind: str, said: Fields) -> None:
    index, delta = said.get("output_index"), said.get("delta")
    item = fields_of(said.get("item"))
    if kind.endswith(".delta"):
        if kind in ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta",
                    "response.mcp_call_arguments.delta"):  # fmt: skip
            answer.add_call(index, arguments=_text(delta))
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
        _envelope(answer, response)
        _used(answer, response.get("usage"))
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            details = fields_of(response.get("incomplete_details"))
            _finished(answer, details.get("reason") or response.get("status"))
            if response.get("error"):
                answer.add_part({"error": response["error"]})


def _output_item(answer: Answer, item: Fields, index: Any, *, done: bool) -> None:
    kind = item.get("type")
    if kind in ("function_call", "custom_tool_call", "mcp_call"):
        whole = _arguments(item.get("arguments") or item.get("input")) if done else ""
        answer.add_call(
            index,
            _text(item.get("call_id") or item.get("id")),
            _text(item.get("name")),
            "" if answer.has_arguments(index) else whole,
        )
    elif done and kind == "message":
        if not answer.has_text():
            _blocks(answer, _list(item.get("content")), 0)
    elif done and kind != "reasoning":
        answer.add_part(dict(item))


# -- Anthropic ------------------------------------------------------------------------------------------------------


def _is_anthropic(kind: str, said: Fields) -> bool:
    needed = {"message_start": "message", "content_block_start": "content_block", "text": "snapshot"}
    return kind in ("message_stop", "content_block_stop", "ping") or needed.get(kind, "delta") in said or (
        kind in _REPEATS and "snapshot" in said
    )  # fmt: skip


def _message_start(answer: Answer, said: Fields) -> None:
    message = fields_of(said.get("message"))
    _envelope(answer, message)
    _used(answer, message.get("usage"))
    _finished(answer, message.get("stop_reason"))
    answer.events = True
    for index, block in enumerate(_list(message.get("content"))):
        _block_start(answer, {"index": index, "content_block": block})


def _block_start(answer: Answer, said: Fields) -> None:
    block = fields_of(said.get("content_block"))
    if block.get("type") in ("tool_use", "server_tool_use", "mcp_tool_use"):
        answer.add_call(
            said.get("index"), _text(block.get("id")), _text(block.get("name")), _arguments(block.get("input"))
        )
    else:
        _blocks(answer, [block], 0)
    answer.events = True


def _block_delta(answer: Answer, said: Fields) -> None:
    delta = fields_of(said.get("delta"))
    answer.events = True
    kind = delta.get("type")
    if kind == "text_delta":
        answer.add_text("content", _text(delta.get("text")))
    elif kind == "input_json_delta":
        answer.add_call(said.get("index"), arguments=_text(delta.get("partial_json")))
    elif kind == "thinking_delta":
        answer.add_text("reasoning", _text(delta.get("thinking")))
    elif kind == "signature_delta":
        answer.add_text("signature", _text(delta.get("signature")))
    else:
        answer.add_part(dict(delta))


def _message_delta(answer: Answer, said: Fields) -> None:
    _finished(answer, fields_of(said.get("delta")).get("stop_reason"))
    _used(answer, said.get("usage"))
    answer.events = True


def _repeated(answer: Answer, said: Fields) -> None:
    """Read an event in which the package repeats the events before it; it is skipped if those were read."""
    if not answer.events:
        answer.add_text("content", _text(said.get("text")))


def _nothing(answer: Answer, said: Fields) -> None:
    pass


_REPEATS = ("text", "input_json", "thinking", "citation", "signature")
_ANTHROPIC: dict[str, Callable[[Answer, Fields], None]] = {
    "message_start": _message_start,
    "content_block_start": _block_start,
    "content_block_delta": _block_delta,
    "content_block_stop": _nothing,
    "message_delta": _message_delta,
    "message_stop": _nothing,
    "ping": _nothing,
    **dict.fromkeys(_REPEATS, _repeated),
}


# -- LangChain ------------------------------------------------------------------------------------------------------


def _langchain(answer: Answer, said: Fields) -> None:
    content = said.get("content")
    if isinstance(content, str):
        answer.add_text("content", content)
    else:
        calls = ("tool_use", "tool_call", "tool_call_chunk", "input_json_delta", "function_call")  # told beside them
        blocks = [b for b in _list(content) if isinstance(b, str) or fields_of(b).get("type") not in calls]
        _blocks(answer, blocks, 0)
    for call in _list(said.get("tool_call_chunks")):
        _call(answer, fields_of(call), None, 0)
    more = fields_of(said.get("additional_kwargs"))
    for key in ("reasoning_content", "refusal"):
        answer.add_text(_KINDS.get(key, key), _text(more.get(key)))
    _used(answer, said.get("usage_metadata"), add=True)
    about = fields_of(said.get("response_metadata"))
    _finished(answer, about.get("finish_reason") or about.get("stop_reason"))
    answer.model = answer.model or _text(about.get("model_name") or about.get("model"))
    answer.response_id = answer.response_id or _text(about.get("id"))


def _blocks(answer: Answer, blocks: list[Any], choice: int) -> None:
    for block in blocks:
        if isinstance(block, str):
            answer.add_text("content", block, choice)
            continue
        said = fields_of(block)
        kind = said.get("type")
        for key in ("text", "thinking", "reasoning", "refusal"):
            if isinstance(said.get(key), str) and (kind is None or key in str(kind) or key == "text"):
                answer.add_text({"text": "content", "thinking": "reasoning"}.get(key, key), said[key], choice)
                break
        else:
            if said:
                answer.add_part(dict(said), choice)


# -- Deltas of an application's own ---------------------------------------------------------------------------------

_TEXTS = ("content", "text", "delta")
_TEXT_TYPES = ("text", "delta", "chunk", "message", "content")
_CALLS = ("tool", "tool_call", "tool_calls", "tool_call_chunks", "function_call")
_USAGES = ("usage", "usage_metadata")
_ABOUT = frozenset(
    {"role", "id", "model", "type", "object", "created", "created_at", "finish_reason", "stop_reason", "index",
     "system_fingerprint", "service_tier", "sequence_number", "provider", "logprobs", *_USAGES}
)  # fmt: skip
_DELTA_KEYS = frozenset({*_TEXTS, *_CALLS, *_USAGES})
_KNOWN = frozenset({*_TEXTS, *_CALLS, *_ABOUT, "reasoning", "reasoning_content", "thinking", "refusal"})


def _own_delta(answer: Answer, said: Fields) -> bool:
    given = {key: value for key, value in said.items() if value is not None}
    if len(given) == 1:  # as nearly all are
        [(key, value)] = given.items()
        if key in _TEXTS and isinstance(value, str):
            answer.add_text("content", value, answer.message_index("", 0))
            return True
    if not _KNOWN.issuperset(given) or _DELTA_KEYS.isdisjoint(said):
        return False
    texts, calls = dict[str, str](), list[Fields]()
    for key, value in given.items():
        if key in _CALLS:
            calls += [fields_of(call) for call in (_list(value) or [value])]
        elif key == "delta" and fields_of(value):
            return _own_delta(answer, {**{k: v for k, v in given.items() if k != "delta"}, **fields_of(value)})
        elif key in _ABOUT:
            continue
        elif isinstance(value, str):
            texts["content" if key in _TEXTS else _KINDS.get(key, key)] = value
        else:
            return False
    if sum(key in _TEXTS for key in given) > 1 or not all(map(_is_fragment, calls)):
        return False
    kind = given.get("type")
    if isinstance(kind, str) and "content" in texts and not any(word in kind for word in _TEXT_TYPES):
        texts[kind] = texts.pop("content")
    index, name = given.get("index"), given.get("id")
    choice = answer.message_index(
        str(name) if isinstance(name, str | int) else "", index if isinstance(index, int) else 0
    )
    for key, text in texts.items():
        answer.add_text(key, text, choice)
    for place, call in enumerate(calls):
        _call(answer, call, place if len(calls) > 1 else None, choice)
    _envelope(answer, given)
    _finished(answer, given.get("finish_reason") or given.get("stop_reason"))
    for key in _USAGES:
        _used(answer, given.get(key))
    return True


def _is_fragment(call: Fields) -> bool:
    function = fields_of(call.get("function")) or call
    return ("index" in call or "id" in call or "name" in function) and isinstance(
        function.get("arguments", function.get("args")), str | dict | None
    )


def _envelope(answer: Answer, said: Fields) -> None:
    answer.model = answer.model or _text(said.get("model"))
    answer.response_id = answer.response_id or _text(said.get("id"))


def _used(answer: Answer, usage: Any, *, add: bool = False) -> None:
    said = fields_of(usage)
    answer.add_usage(said, add=add)
    for key in said:
        if isinstance(key, str) and key.endswith(("tokens_details", "token_details")):  # pyright: ignore[reportUnnecessaryIsInstance]
            answer.add_usage({f"{key}.{inner}": count for inner, count in fields_of(said[key]).items()}, add=add)


def _finished(answer: Answer, reason: Any) -> None:
    if isinstance(reason, str) and reason and reason not in answer.finish_reasons and len(answer.finish_reasons) < 8:
        answer.finish_reasons.append(reason)
