"""Messages on span events and in log records, as the GenAI conventions had them and as they have them now.

Up to version 1.36 each message is an event or a log record of its own: `gen_ai.user.message`, `gen_ai.choice`. Now one
event, `gen_ai.client.inference.operation.details`, has all of them as attributes.
"""

from collections.abc import Mapping
from typing import Any, cast

import orjson

from runbundle.signals import semconv
from runbundle.signals.dialects.forms.table import Reading
from runbundle.signals.names import CHAT, EXECUTE_TOOL, INVOKE_AGENT
from runbundle.signals.reading import json_of, text_of
from runbundle.signals.records import Attributes, EventRecord

DETAILS = "gen_ai.client.inference.operation.details"
ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    "gen_ai.choice": "assistant",
}
"""Names of events that are one message each, and the role of who said it."""
_CHOICE = "gen_ai.choice"
_CONTENT = "gen_ai.event.content"
_LISTS = (semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES, semconv.SYSTEM_INSTRUCTIONS)
_WITH_MESSAGES = frozenset({CHAT, "generate_content", "text_completion", INVOKE_AGENT})
_OURS = {"content": _CONTENT, "message": _CONTENT, "id": semconv.CALL_ID, "index": "gen_ai.choice.index"}
"""What attributes of events with one message are called, of which the words alone would be anybody's."""


def read_events(reading: Reading) -> None:
    """Let the span have what its events say of messages and of a tool's payloads, as far as it does not say so itself.

    Attributes of the events get names of the conventions.
    """
    single = [event for event in reading.events if event["name"] in ROLES]
    work = reading.attributes.get(semconv.OPERATION)
    if work in _WITH_MESSAGES:
        for event in reading.events:
            if event["name"] == DETAILS:
                for key in _LISTS:
                    reading.put(key, event["attributes"].get(key))
        put_messages(reading, [(event["name"], event["attributes"]) for event in single])
    elif work == EXECUTE_TOOL:
        for event in single:
            if event["name"] == _CHOICE:
                reading.put(semconv.RESULT, _said(event["attributes"]))
            elif event["name"] == "gen_ai.tool.message":
                reading.put(semconv.ARGUMENTS, _said(event["attributes"]))
    if single:
        reading.events = [_renamed(event) if event["name"] in ROLES else event for event in reading.events]


def put_messages(reading: Reading, single: list[tuple[str, Mapping[str, Any]]]) -> None:
    """Put the messages of events, each given by its name and what it says, into the two lists of the conventions."""
    for key, of_output in ((semconv.INPUT_MESSAGES, False), (semconv.OUTPUT_MESSAGES, True)):
        if key in reading.attributes:
            continue
        messages = [message_of(name, said) for name, said in single if (name == _CHOICE) is of_output]
        if messages:
            try:
                reading.attributes[key] = orjson.dumps(messages).decode()
            except TypeError:
                continue  # what JSON does not hold is no message


def message_of(name: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return one message in the form of the conventions: its role, and parts of texts, calls and responses."""
    inner: Any = json_of(said[_CONTENT]) if isinstance(said.get(_CONTENT), str) else said.get(_CONTENT)
    if isinstance(inner, dict):
        said = {**said, **cast("dict[str, Any]", inner)}
    content = _said(said)
    calls: Any = said.get("tool_calls")
    if isinstance(content, dict):
        inner = cast("dict[str, Any]", content)
        calls = calls or inner.get("tool_calls")
        content = inner.get("parts", inner.get("content"))
    role, call_id = ROLES[name], text_of(said, "id")
    if role == "tool" and call_id is not None:
        return {"role": role, "parts": [{"type": "tool_call_response", "id": call_id, "response": _opened(content)}]}
    return {"role": role, "parts": [*_parts(content), *_calls(calls)]}


def _said(said: Mapping[str, Any]) -> Any:
    for key in ("message", "content", _CONTENT):
        if said.get(key) is not None:
            return said[key]
    return None


def _opened(content: Any) -> Any:
    value = json_of(content) if isinstance(content, str) else None
    return content if value is None else value


def _parts(content: Any) -> list[Any]:
    if content is None:
        return []
    blocks = json_of(content) if isinstance(content, str) and content.startswith("[") else content
    if not isinstance(blocks, list):
        return [{"type": "text", "content": content}]
    return [_part(block) for block in cast("list[Any]", blocks)]


def _part(block: Any) -> Any:
    """Return a block in the form of a part: of Bedrock's as Strands has them, of OpenAI's, and of Gemini's as ADK."""
    if not isinstance(block, dict):
        return {"type": "text", "content": block}
    said = cast("dict[str, Any]", block)
    if "text" in said:
        return {"type": "text", "content": said["text"]}
    for key, id_key, arguments in (("toolUse", "toolUseId", "input"), ("function_call", "id", "args")):
        if isinstance(said.get(key), dict):
            call = said[key]
            found = {"id": call.get(id_key), "name": call.get("name"), "arguments": call.get(arguments)}
            return {"type": "tool_call", **found}
    for key, id_key, result in (("toolResult", "toolUseId", "content"), ("function_response", "id", "response")):
        if isinstance(said.get(key), dict):
            call = said[key]
            return {"type": "tool_call_response", "id": call.get(id_key), "response": call.get(result)}
    return said


def _calls(calls: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for call in cast("list[Any]", calls) if isinstance(calls, list) else ():
        said = cast("dict[str, Any]", call) if isinstance(call, dict) else {}
        function = said.get("function")
        if isinstance(function, dict):
            of = cast("dict[str, Any]", function)
            arguments = _opened(of.get("arguments"))
            found.append({"type": "tool_call", "id": said.get("id"), "name": of.get("name"), "arguments": arguments})
    return found


def _renamed(event: EventRecord) -> EventRecord:
    role, attributes = ROLES[event["name"]], Attributes()
    for key, value in event["attributes"].items():
        if key == "role" and value == role:
            continue  # the event's name says so
        if key == "finish_reason" and isinstance(value, str):
            attributes.setdefault(semconv.FINISH_REASONS, [value])
        elif key == "gen_ai.system":
            attributes.setdefault(semconv.PROVIDER, value)
        else:
            attributes[_OURS.get(key, key)] = value
    return {**event, "attributes": attributes}
