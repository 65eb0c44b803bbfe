"""The attribute `runbundle.messages`: the roles of a model call's messages, and digests by which two runs are compared.

For each attribute with messages it has the role and the keyed digest of each message, and one digest of them all,
called `neutral`. In `neutral` each id of a call is replaced by a number in order of first appearance: such ids are
random and are echoed into later prompts, so no two live runs would be equal otherwise.
"""

import functools
from collections.abc import Callable
from typing import Any, cast

import orjson

from runbundle.redaction.markers import ROLES, is_digest
from runbundle.signals.keys import SPAN_KEYS
from runbundle.signals.reading import value_of

MAX_MESSAGES = 64
"""Messages that get a digest of their own, from the first on; `more` counts the others."""

_ROLES = frozenset(ROLES.split("|"))
TYPES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
ID_KEYS = frozenset(
    {
        "id", "call_id", "tool_call_id", "tool_use_id", "response_id", "message_id", "item_id", "previous_response_id",
        "callId", "toolCallId", "toolUseId", "responseId",
    }
)  # fmt: skip
PAYLOADS = frozenset({"arguments", "args", "input", "response", "result", "output"})
"""Within a call, what a tool was given or gave: an `id` in there names a thing of the application, not a call."""
_MAX_DEPTH = 64
_MAX_TEXT = 65_536
_CACHED_BYTES = 2048

Digest = Callable[[str, bytes], str]


@functools.lru_cache(maxsize=512)
def _known(digest: Digest, data: bytes) -> str:
    return digest("message", data)


def _digest_of(message: Any, digest: Digest) -> str:
    data = orjson.dumps(message, option=orjson.OPT_SORT_KEYS)
    # An agent sends what was said before with every prompt: most messages were digested a moment ago.
    return _known(digest, data) if len(data) <= _CACHED_BYTES else digest("message", data)


def describe_messages(text: str, digest: Digest) -> dict[str, Any] | None:
    """Return the entry of one attribute's text; None if the text is no JSON, or nested too deeply."""
    try:
        messages = _messages(value_of(text))
        single = [_digest_of(message, digest) for message in messages]
        neutral = single
        ids = _ids(messages) if any(map(_may_name, messages)) else None
        if ids:
            neutral = [_digest_of(_neutral(message, ids, 0), digest) for message in messages]
    except (orjson.JSONDecodeError, TypeError, UnicodeEncodeError, _TooDeep):
        return None
    whole = neutral[0] if len(neutral) == 1 else digest("messages", "\n".join(neutral).encode())
    found: dict[str, Any] = {
        "neutral": whole,
        "roles": list(zip(map(_role, messages[:MAX_MESSAGES]), single, strict=False)),
    }
    if len(single) > MAX_MESSAGES:
        found["more"] = len(single) - MAX_MESSAGES
    return found


def described_roles(found: dict[str, Any]) -> tuple[str, ...]:
    """Return the roles of described messages, equal neighbours merged, at most eight."""
    roles = [role for role, _ in found["roles"] if role]
    return tuple(role for place, role in enumerate(roles) if not place or role != roles[place - 1])[:8]


class _TooDeep(ValueError):
    """Messages are nested more deeply than any real ones."""


def _messages(value: Any) -> list[Any]:
    """Return the messages in what a model was given: a list of them, one, or arguments of which one is such a list."""
    if value.__class__ is list:
        return value
    if isinstance(value, dict) and "role" not in value:
        fields = cast("dict[str, Any]", value)
        lists = [name for name in sorted(fields) if isinstance(fields[name], list) and any(map(_role, fields[name]))]
        if lists:
            # What else there is in the arguments is not a message, and part of what was asked.
            rest = {name: item for name, item in fields.items() if name not in lists}
            return [message for name in lists for message in fields[name]] + ([rest] if rest else [])
    return [value]


def _role(message: Any) -> str:
    if message.__class__ is not dict:
        return ""
    role = message.get("role")
    if role.__class__ is str and role in _ROLES:
        return role
    kind = message.get("type")
    return TYPES.get(kind, "") if kind.__class__ is str else ""


def _may_name(message: Any) -> bool:
    """Tell whether there may be an id in a message: in one of texts alone there is none."""
    if message.__class__ is not dict:
        return message.__class__ is list
    for item in message.values():
        if item.__class__ is dict or item.__class__ is list:
            return True
    return not ID_KEYS.isdisjoint(message)


def _ids(messages: list[Any]) -> dict[str, int]:
    """Return the ids in the messages, each with its number."""
    found: dict[str, int] = {}
    pending: list[tuple[Any, int]] = [(message, 0) for message in reversed(messages)]
    while pending:
        item, depth = pending.pop()
        if depth > _MAX_DEPTH:
            raise _TooDeep
        if isinstance(item, dict):
            fields = cast("dict[str, Any]", item)
            is_call = "name" in fields or not ID_KEYS.isdisjoint(fields)
            names = sorted(fields)
            for name in names:
                if name in ID_KEYS and isinstance(fields[name], str):
                    found.setdefault(fields[name], len(found) + 1)
            pending += [(fields[name], depth + 1) for name in reversed(names) if not (is_call and name in PAYLOADS)]
        elif isinstance(item, list):
            pending += [(inner, depth + 1) for inner in reversed(cast("list[Any]", item))]
    return found


def _neutral(value: Any, ids: dict[str, int], depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise _TooDeep
    if isinstance(value, str):
        number = ids.get(value)
        return value if number is None else f"\x00{number}"
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {_neutral(name, ids, depth): _neutral(item, ids, depth + 1) for name, item in fields.items()}
    if isinstance(value, list):
        return [_neutral(item, ids, depth + 1) for item in cast("list[Any]", value)]
    return value


def parse_messages(text: object) -> dict[str, Any] | None:
    """Read the attribute. Return None unless the text has exactly its shape."""
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        return None
    try:
        body = orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None
    if not isinstance(body, dict):
        return None
    entries = cast("dict[str, Any]", body)
    return (
        entries
        if all(SPAN_KEYS.get(key) == "messages" and _has_shape(entry) for key, entry in entries.items())
        else None
    )


def _has_shape(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    fields = cast("dict[str, Any]", entry)
    roles, more = fields.get("roles"), fields.get("more", 1)
    if (
        set(fields) - {"roles", "neutral", "more"}
        or not is_digest(fields.get("neutral"))
        or not isinstance(roles, list)
    ):
        return False
    if type(more) is not int or not 1 <= more < 2**32 or len(cast("list[Any]", roles)) > MAX_MESSAGES:
        return False
    return all(map(_is_said, cast("list[Any]", roles)))


def _is_said(pair: Any) -> bool:
    if not isinstance(pair, list) or len(cast("list[Any]", pair)) != 2:
        return False
    role, digest = cast("list[Any]", pair)
    return isinstance(role, str) and (not role or role in _ROLES) and is_digest(digest)


def messages_text(entries: dict[str, Any]) -> str:
    """Return the attribute's text for entries by key."""
    return orjson.dumps(entries, option=orjson.OPT_SORT_KEYS).decode()
