"""Lists that were flattened to a key for each leaf, as `llm.input_messages.0.message.tool_calls.1.tool_call.id`.

Two steps, for any dialect: `Lists` takes the lists under their heads, and `messages_text` writes a list of
messages as the GenAI conventions have them. Both are linear in what is there; nothing is allocated for a number.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, cast

import orjson

from runbundle.signals.records import Attributes

Fields = dict[str, Any]
"""What is said of one item, by the words of its keys; `tool_calls` and `contents` are lists of fields again."""

_MAX_KEY, _MAX_DIGITS = 256, 6
"""A longer key, or a larger number in it, is no list's: it stays where it is."""
_FILLING = frozenset(
    {"message", "message_content", "tool_call", "function", "prompt", "completion", "document", "tool"}
)
"""Words of keys that only say of what kind the item is."""
_CALLS, _CONTENTS = "tool_calls", "contents"
_OF_TEXT = frozenset({"type", "text"})
_THOUGHTS = frozenset({"thinking", "reasoning", "redacted_thinking"})


class _Inner(dict[int, Fields]):
    """Items of a list within an item, while they are gathered."""


class _Place(NamedTuple):
    """Where the value of one key belongs."""

    head: str
    item: tuple[str, int]
    """The head and the number of the item."""
    field: str
    """Of the item; of an item of the list `inner`, if there is one."""
    inner: str
    number: int
    """Of the item in `inner`."""


class Lists:
    """The lists that the keys of a span make under some heads: found out once for each set of keys."""

    __slots__ = ("_form", "_heads", "_keys", "_there")

    def __init__(self, keys: Iterable[str], heads: Collection[str]) -> None:
        self._heads = heads
        placed: list[tuple[str, _Place]] = []
        for key in keys:
            place = _PLACES.get(key, _NEW)
            if place is _NEW:
                place = _placed(key)
            if place is not None and place[0] in heads:
                placed.append((key, place))
        self._keys = tuple(key for key, _ in placed)
        self._there = frozenset(self._keys)
        self._form = _form(placed)

    def __len__(self) -> int:
        """Return how many keys the lists have."""
        return len(self._keys)

    def take(self, attributes: Attributes) -> dict[str, list[Fields]]:
        """Remove all keys `<head>.<number>.<words>` and return the items of each list by its head, in order of numbers.

        Heads without an item are not among those that are returned. A key `<head>.<number>` alone is the field "" of
        its item. Gaps close: items 3 and 7 are a list of two. Of `message.tool_calls.1.tool_call.function.name` becomes
        `{"tool_calls": [{"name": ...}]}`, and of `tool_calls.1.name` the same.
        """
        if not self._keys:
            return {}
        if not self._there <= attributes.keys():  # some were read already
            return Lists(filter(attributes.__contains__, self._keys), self._heads).take(attributes)
        found = {
            head: [
                {
                    field: attributes[key]
                    if key.__class__ is str
                    else [{word: attributes[one] for word, one in within} for within in key]
                    for field, key in item
                }
                for item in items
            ]
            for head, items in self._form
        }
        for key in self._keys:
            del attributes[key]
        return found


def _form(placed: Iterable[tuple[str, _Place]]) -> list[tuple[str, list[Any]]]:
    """Return the items of each list, each as pairs of a field and the key that has its value, or of items again."""
    found: dict[str, dict[int, Fields]] = {}
    last: tuple[str, int] | None = None
    outer: Fields = {}
    for key, (_, item, field, inner, number) in placed:
        if item != last:  # the keys of one item mostly stand together
            last = item
            outer = found.setdefault(item[0], {}).setdefault(item[1], {})
        if not inner:
            outer[field if outer.get(field).__class__ is not _Inner else f"{field}."] = key
            continue
        below = outer.get(inner)
        if below is None:
            below = outer[inner] = _Inner()
        if below.__class__ is not _Inner:  # the same word has a value of its own, too
            outer[f"{inner}.{number}.{field}"] = key
            continue
        below.setdefault(number, {})[field] = key
    return [(head, [_pairs(items[number]) for number in sorted(items)]) for head, items in found.items()]


def _pairs(item: Fields) -> list[tuple[str, Any]]:
    pairs = list(item.items())
    for at, (field, key) in enumerate(pairs):
        if key.__class__ is _Inner:
            pairs[at] = field, [list(key[number].items()) for number in sorted(key)]
    return pairs


_NEW = _Place("", ("", 0), "", "", 0)
_PLACES: dict[str, _Place | None] = {}
"""By key, of keys that were seen: for most keys of most spans a look at it is all."""
_MOST_PLACES = 8192


def _placed(key: str) -> _Place | None:
    if len(key) > _MAX_KEY:
        return None
    if len(_PLACES) >= _MOST_PLACES:
        _PLACES.clear()
    place = _PLACES[key] = _place(key)
    return place


def _place(key: str) -> _Place | None:
    """Return the place that a key names; None if no list has it."""
    words = key.split(".")
    at = next((n for n, word in enumerate(words) if _is_number(word)), 0)
    if not at:
        return None
    rest = words[at + 1 :]
    below = next((n for n, word in enumerate(rest) if _is_number(word)), 0)
    inner = ".".join(_said(rest[:below])) if below else ""
    field = ".".join(_said(rest[below + 1 :] if inner else rest))
    head = ".".join(words[:at])
    return _Place(head, (head, int(words[at])), field, inner, int(rest[below]) if inner else 0)


def _is_number(word: str) -> bool:
    return len(word) <= _MAX_DIGITS and word.isascii() and word.isdigit()


def _said(words: list[str]) -> Iterable[str]:
    """Return the words that say something; the last always does."""
    return [word for n, word in enumerate(words) if word not in _FILLING or (n and n == len(words) - 1)]


# -- messages ----------------------------------------------------------------------------------------------------------


def messages_text(items: Sequence[Fields], *, role: str = "", finish: Sequence[Any] = ()) -> str | None:
    """Return a list of messages as the JSON text of `gen_ai.input.messages` and `gen_ai.output.messages`.

    `role` is that of messages that say none, and `finish` has the reasons for which messages ended, if these do not say
    so themselves. Returns None if there are no messages, or some that JSON cannot hold. Arguments are JSON where their
    text is; nothing that was said of a message is left out.
    """
    if not items:
        return None
    messages = [_message(item, role) for item in items]
    for message, reason in zip(messages, finish, strict=False):
        if reason:
            message.setdefault("finish_reason", reason)
    try:
        return orjson.dumps(messages, default=str).decode()
    except (TypeError, UnicodeError):
        return None


def _message(item: Fields, role: str) -> Fields:
    if item.keys() == _PLAIN and item["content"] != "":
        return {"role": item["role"] or role, "parts": [{"type": "text", "content": item["content"]}]}
    call_id = item.get("tool_call_id")
    spoken_by = item.get("role") or ("tool" if call_id is not None else role)
    contents = _listed(item, _CONTENTS) if _CONTENTS in item else ()
    parts = [_call(said) if "name" in said and "text" not in said else _content(said) for said in contents]
    text = item.get("content", item.get("text"))
    if call_id is not None:
        response = text if text is not None else "".join(str(part.get("content", "")) for part in parts)
        parts = [{"type": "tool_call_response", "id": call_id, "response": response}]
    elif text is not None and text != "" and not any("content" in part for part in parts):
        parts.insert(0, {"type": "text", "content": text})
    if _CALLS in item:  # some say their calls in both places
        known = {str(part["id"]) for part in parts if part["type"] == "tool_call" and "id" in part}
        for call in _listed(item, _CALLS):
            if "id" not in call or str(call["id"]) not in known:
                parts.append(_call(call))
    if not _ONE_CALL.keys().isdisjoint(item):
        parts.append(_call({word: item[key] for key, word in _ONE_CALL.items() if key in item}))
    message: Fields = {"role": spoken_by, "parts": parts} if spoken_by else {"parts": parts}
    if not item.keys() <= _READ:
        for field, value in item.items():
            if field not in _READ and not (field in _LISTS and value.__class__ is list) and value is not None:
                message[field] = value
    return message


_ONE_CALL = {
    "function_call_name": "name", "function_call_arguments_json": "arguments",
    "function_call.name": "name", "function_call.arguments": "arguments",
}  # fmt: skip
"""How a message says its only call, as models once did."""
_LISTS = frozenset({_CALLS, _CONTENTS})
_PLAIN = frozenset({"role", "content"})
"""All that most messages say."""
_READ = frozenset({"role", "content", "text", "tool_call_id", *_ONE_CALL})


def _listed(item: Fields, field: str) -> list[Fields]:
    value = item.get(field)
    return cast("list[Fields]", value) if isinstance(value, list) and value and isinstance(value[0], dict) else []


def _call(said: Fields) -> Fields:
    part = {"type": "", **said}
    part["type"] = "tool_call"
    if "arguments" in part:
        part["arguments"] = _json(part["arguments"])
    return part


def _content(said: Fields) -> Fields:
    kind = said.get("type")
    text = said.get("text")
    if text is None:
        return {"type": kind if isinstance(kind, str) else "other", **{k: v for k, v in said.items() if k != "type"}}
    part: Fields = {"type": "reasoning" if isinstance(kind, str) and kind in _THOUGHTS else "text", "content": text}
    if not said.keys() <= _OF_TEXT:
        part.update((field, value) for field, value in said.items() if field not in _OF_TEXT)
    return part


def _json(value: Any) -> Any:
    """Return JSON text as what it is, to be written as it stands; anything else as it is."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
    return orjson.Fragment(value)
