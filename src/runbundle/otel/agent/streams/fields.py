"""The fields of a chunk, whatever object it is, and how a piece that all providers have is added to an answer."""

from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from functools import lru_cache
from typing import Any, cast

from runbundle.otel.agent.capture import capture
from runbundle.otel.agent.json_kinds import is_model
from runbundle.otel.agent.streams.answer import Answer

Fields = Mapping[str, Any]
KINDS = {"reasoning_content": "reasoning", "text": "content", "thinking": "reasoning"}
"""The kind of a text, by the key under which a provider has it, where the two differ."""


def fields_of(item: Any) -> Fields:
    """Return an object's fields without running code of its own; none for what has none."""
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
    return is_model(kind) and cast("Any", kind).model_config.get("extra") == "allow"


_PLAIN = frozenset({str, bytes, int, float, bool, type(None), list, tuple})


def text_in(value: Any) -> str:
    """Return a value that is text, else ""."""
    return value if isinstance(value, str) else ""


def list_in(value: Any) -> list[Any]:
    """Return a value that is a list or tuple as a list, else an empty one."""
    return list(cast("list[Any]", value)) if isinstance(value, list | tuple) else []


def arguments_text(value: Any) -> str:
    """Return a call's arguments as text: fragments as they are, whole ones as JSON."""
    if isinstance(value, str):
        return value
    return capture(value).text if list_in(value) or fields_of(value) else ""


def add_call(answer: Answer, call: Fields, place: int | None, choice: int) -> None:
    """Add a tool call, or a fragment of one; `place` among its siblings, if it has no index of its own."""
    function = fields_of(call.get("function")) or call
    index = call.get("index")
    arguments = function.get("arguments")
    if arguments is None:
        arguments = function.get("args", function.get("input"))
    answer.add_call(
        index if isinstance(index, int | str) else place,
        text_in(call.get("id") or call.get("call_id")),
        text_in(function.get("name")),
        arguments_text(arguments),
        choice,
    )


def add_blocks(answer: Answer, blocks: list[Any], choice: int) -> None:
    """Add blocks of content: texts, reasoning, refusals; others as they are."""
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


def add_envelope(answer: Answer, said: Fields) -> None:
    """Take the model and the id of the response, if they are not known yet."""
    answer.model = answer.model or text_in(said.get("model"))
    answer.response_id = answer.response_id or text_in(said.get("id"))


def add_usage(answer: Answer, usage: Any, *, add: bool = False) -> None:
    """Take counts of tokens, those in details too; `add` them to what was counted."""
    said = fields_of(usage)
    answer.add_usage(said, add=add)
    for key in said:
        if isinstance(key, str) and key.endswith(("tokens_details", "token_details")):  # pyright: ignore[reportUnnecessaryIsInstance]
            answer.add_usage({f"{key}.{inner}": count for inner, count in fields_of(said[key]).items()}, add=add)


def add_finish(answer: Answer, reason: Any) -> None:
    """Take why the model stopped, once."""
    if isinstance(reason, str) and reason and reason not in answer.finish_reasons and len(answer.finish_reasons) < 8:
        answer.finish_reasons.append(reason)
