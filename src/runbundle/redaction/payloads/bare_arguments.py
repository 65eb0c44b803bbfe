"""Names for a tool's only argument, of which an instrumentation wrote the bare value: `Paris` for `{"city": "Paris"}`.

The name is in the model's call, which came before in the same run, or in the contract's schema. Without one the value
stays bare. Contracts name fields, and equal calls should have equal digests whoever instrumented them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from runbundle.redaction.markers import is_marker
from runbundle.redaction.payloads.taint import TaintTable
from runbundle.signals import semconv
from runbundle.signals.reading import json_of
from runbundle.signals.records import Attributes

if TYPE_CHECKING:
    from runbundle.format.contract import ToolContract

CALLS = 256
"""Calls with one argument that are remembered of one run; one more, and the oldest is forgotten."""
_MAX_CHARS = 4096
_OPENED_CHARS = 262_144


def sole_argument(contract: ToolContract) -> str:
    """Return the name of the only argument that a contract's schema has; "" if it has none, or several."""
    properties = contract.input_schema.get("properties")
    names = list(cast("Mapping[str, Any]", properties)) if isinstance(properties, Mapping) else []
    return names[0] if len(names) == 1 else ""


def with_named_argument(raw: Attributes, tool: str, by_contract: str, table: TaintTable) -> Attributes:
    """Return the attributes of a tool's span with its bare argument under its name; the same object if it is not bare.

    `by_contract` is the name that the contract has, or "".
    """
    value = raw.get(semconv.ARGUMENTS)
    if value is None or is_marker(value) or not (by_contract or table.asked):
        return raw
    bare = json_of(value) if isinstance(value, str) else value
    if isinstance(bare, dict | list):
        return raw
    asked = table.asked.get((tool, str(value))) if isinstance(value, str | int | float) else None
    if asked is None and by_contract:
        asked = {by_contract: value if bare is None else bare}
    return raw if asked is None else {**raw, semconv.ARGUMENTS: asked}


def remember_calls(messages: object, table: TaintTable) -> None:
    """Remember the calls with one argument that a model asked for in its output messages."""
    # The underscore alone takes 0.1 µs for 2 KB of text without one, the word 7.
    if not isinstance(messages, str) or "_" not in messages or len(messages) > _OPENED_CHARS:
        return
    if '"tool_call"' not in messages:
        return
    found = json_of(messages)
    for message in cast("list[Any]", found) if isinstance(found, list) else ():
        parts = cast("dict[str, Any]", message).get("parts") if isinstance(message, dict) else None
        for part in cast("list[Any]", parts) if isinstance(parts, list) else ():
            if isinstance(part, dict) and cast("dict[str, Any]", part).get("type") == "tool_call":
                _remember(cast("dict[str, Any]", part), table.asked)


def _remember(call: dict[str, Any], asked: OrderedDict[tuple[str, str], dict[str, Any]]) -> None:
    tool, arguments = call.get("name"), call.get("arguments")
    if isinstance(arguments, str):
        arguments = json_of(arguments)
    if not isinstance(tool, str) or not isinstance(arguments, dict):
        return
    named = cast("dict[str, Any]", arguments)
    if len(named) != 1:
        return
    value = next(iter(named.values()))
    if isinstance(value, str | int | float) and len(str(value)) <= _MAX_CHARS:
        asked[tool, str(value)] = named
        if len(asked) > CALLS:
            asked.popitem(last=False)
