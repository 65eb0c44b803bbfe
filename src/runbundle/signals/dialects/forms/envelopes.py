"""Payloads of tool calls, out of the envelopes in which frameworks write them down.

A contract names a tool's own fields, and equal calls have equal digests whoever instrumented them: so what a framework
puts around arguments and results is taken off here. What is in no envelope comes back as it is.
"""

import ast
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import orjson

from runbundle.process.regex import later
from runbundle.signals.reading import json_of, value_of

OPENED_CHARS = 1_048_576
"""A longer text is not opened; redaction does not open it either."""
REPR_CHARS = 65_536
"""A longer text is not read as a Python value."""


class Opened(NamedTuple):
    """A payload without its envelope, and what else the envelope said."""

    value: Any
    call_id: str | None = None
    failed: bool = False
    """Whether the envelope says that the call failed."""


# -- arguments ---------------------------------------------------------------------------------------------------------

_POSITIONAL = frozenset({"args", "kwargs"})
_OF_SMOLAGENTS = _POSITIONAL | {"sanitize_inputs_outputs"}
_OF_LANGCHAIN = frozenset({"input_str", "inputs"})


def arguments_of(payload: Any, *, keywords: bool = False) -> Opened:
    """Return a tool's arguments: JSON values where they are any, else the payload.

    `{"args": [], "kwargs": {…}}` is an envelope, LangChain's `{"input_str": …, "inputs": {…}}`, and a model's call
    `{"type": "tool_call", "args": {…}}`; `{"kwargs": {…}}` alone only with `keywords`, since a tool may have such a
    parameter. A single positional argument comes back bare.
    """
    said = _mapping(payload, '"kwargs"', '"tool_call"', '"inputs"')
    if said is None:
        return Opened(python_value(payload))
    if said.get("type") == "tool_call" and isinstance(said.get("args"), dict):
        return Opened(said["args"], _text(said.get("id")))
    fields = said.keys()
    if said.get("inputs").__class__ is dict and fields >= _OF_LANGCHAIN:
        return Opened(said["inputs"], _call_id(said.get("kwargs")))
    named = said.get("kwargs")
    if named.__class__ is dict and fields <= _OF_SMOLAGENTS and (keywords or len(fields) > 1):
        placed = said.get("args")
        if not placed:
            return Opened(named)
        if not named and placed.__class__ is list and len(placed) == 1:
            return Opened(placed[0])
    return Opened(payload)


# -- results -----------------------------------------------------------------------------------------------------------


def result_of(payload: Any) -> Opened:
    """Return what a tool returned: a JSON value where it is one, else text.

    Envelopes are LangChain's messages in each of their three forms, alone or as the `output` of a run, LlamaIndex's
    `raw_output`, and a list with one block of text, as of Strands and MCP.
    """
    if isinstance(payload, str):
        if payload[:1] not in _OPENINGS:
            return Opened(payload)
        if not any(word in payload for word in _ENVELOPES):
            return Opened(python_value(payload))
        found = _opened(payload)
        if found is None:
            return Opened(python_value(payload))
    else:
        found = payload
    if isinstance(found, list):
        text = _only_text(cast("list[Any]", found))
        return Opened(payload if text is None else text)
    if not isinstance(found, dict):
        return Opened(payload)
    return _result_in(cast("dict[str, Any]", found)) or Opened(payload)


_OPENINGS = frozenset("{[(")
_ENVELOPES = ('"data"', '"kwargs"', '"raw_output"', '"text"', '"output"', '"tool_call_id"')


def _result_in(said: dict[str, Any]) -> Opened | None:
    inner: Any = said.get("output")
    if inner.__class__ is dict and said.keys() <= {"output", "kwargs"}:
        said = cast("dict[str, Any]", inner)
    if "raw_output" in said and "is_error" in said:
        return Opened(said["raw_output"], failed=said["is_error"] is True)
    message: Any = said
    if said.get("type") == "tool" and isinstance(said.get("data"), dict):
        message = said["data"]
    elif said.get("lc") == 1 and isinstance(said.get("kwargs"), dict):
        message = said["kwargs"]
    elif not (said.get("type") == "tool" or ("status" in said and "artifact" in said)):
        return None
    if "content" not in message or "tool_call_id" not in message:
        return None
    content = message["content"]
    text = _only_text(cast("list[Any]", content)) if isinstance(content, list) else None
    return Opened(
        content if text is None else text, _text(message["tool_call_id"]), failed=message.get("status") == "error"
    )


def _only_text(blocks: list[Any]) -> str | None:
    """Return the text of a list that holds one block of text, and nothing else."""
    if len(blocks) != 1 or not isinstance(blocks[0], dict):
        return None
    block = cast("dict[str, Any]", blocks[0])
    text = block.get("text")
    return text if isinstance(text, str) and block.keys() <= {"text", "type", "id", "annotations"} else None


def unwrapped(said: dict[str, Any]) -> dict[str, Any]:
    """Return what an object of LangChain was made of, from the form in which it writes itself down."""
    if said.get("lc") == 1 and isinstance(said.get("kwargs"), dict):
        return cast("dict[str, Any]", said["kwargs"])
    return said


def answer_of(state: Any) -> Any:
    """Return the content of the last of a state's messages, as LangGraph's are; None for what has no messages."""
    messages = _list(_field(state, "messages"))
    last = messages[-1] if messages else None
    return unwrapped(cast("dict[str, Any]", last)).get("content") if isinstance(last, dict) else None


# -- Python's own way of writing values --------------------------------------------------------------------------------

# A text that ends within a string is one token: so the search never goes back.
_TOKEN = later(r"""'(?:[^'\\]|\\.)*+'?|"(?:[^"\\]|\\.)*+"?|\bTrue\b|\bFalse\b|\bNone\b|,?\)|\(""", re.DOTALL)
_IN_JSON = {"True": "true", "False": "false", "None": "null", "(": "[", ")": "]", ",)": "]"}


def python_value(payload: Any) -> Any:
    """Return the value of a text that is a Python dict, list or tuple as `repr` writes it, else the payload.

    Strings, numbers, True, False, None and what holds them are read, in a text of at most `REPR_CHARS`. A tuple becomes
    a list. What JSON cannot hold, as a set or a key that is no text, leaves the text as it is.
    """
    if not isinstance(payload, str) or len(payload) > REPR_CHARS or payload[:1] not in _OPENINGS:
        return payload
    if payload[0] != "(" and json_of(payload) is not None:
        return payload
    try:
        # Written as JSON, and read as that: a parser of Python would take hostile text deeper than a stack goes.
        value = value_of(_TOKEN.sub(_token, payload))
    except (ValueError, SyntaxError):
        return payload
    return cast("Any", value) if isinstance(value, dict | list) else payload


def _token(found: re.Match[str]) -> str:
    token = found[0]
    known = _IN_JSON.get(token)
    if known is not None:
        return known
    return orjson.dumps(ast.literal_eval(token) if "\\" in token else token[1:-1]).decode()


# -- what is around --------------------------------------------------------------------------------------------------


def response_id(payload: Any) -> str | None:
    """Return the provider's id of a model's response that is written down whole, as OpenAI, Anthropic and LangChain do.

    LangChain's own ids of messages and runs are none of the provider's.
    """
    if not isinstance(payload, str) or len(payload) > OPENED_CHARS:
        return None
    first = _FIRST_ID.match(payload)
    if first:
        return first[1]
    if '"response_metadata"' not in payload:
        return None
    for message in _messages_in(json_of(payload)):
        about = message.get("response_metadata")
        for found in (_field(about, "id"), message.get("id")):
            if isinstance(found, str) and found and not found.startswith(_OWN_IDS):
                return found
    return None


_FIRST_ID = later(r'\s*+\{\s*+"id"\s*+:\s*+"([^"\\]{1,256})"')
_OWN_IDS = ("lc_", "run-", "run_")


def _messages_in(said: Any) -> Iterator[dict[str, Any]]:
    """Yield the messages of LangChain's `{"generations": [[{"message": {"kwargs": {…}}}]]}`."""
    for generations in _list(_field(said, "generations")):
        for generation in _list(generations):
            message = _field(_field(generation, "message"), "kwargs")
            if isinstance(message, dict):
                yield cast("dict[str, Any]", message)


def _mapping(payload: Any, *signs: str) -> dict[str, Any] | None:
    """Return a payload that is a mapping, or the JSON text of one that has one of the signs."""
    if isinstance(payload, str):
        if payload[:1] != "{" or not any(sign in payload for sign in signs):
            return None
        payload = _opened(payload)
    return cast("dict[str, Any]", payload) if isinstance(payload, dict) else None


def _opened(text: str) -> Any:
    return json_of(text) if len(text) <= OPENED_CHARS else None


def _field(said: Any, name: str) -> Any:
    return cast("dict[str, Any]", said).get(name) if isinstance(said, dict) else None


def _list(said: Any) -> list[Any]:
    return cast("list[Any]", said) if isinstance(said, list) else []


def _text(said: Any) -> str | None:
    return said if isinstance(said, str) and said else None


def _call_id(said: Any) -> str | None:
    return _text(_field(said, "tool_call_id"))
