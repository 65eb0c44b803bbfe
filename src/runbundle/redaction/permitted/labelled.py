"""Credentials that are known by a label in the structure: a key, a name in a pair of name and value, a header's name.

Text has rules for the same (`detectors.context_rules`); both use the table in `credential_words`. JSON in text is
opened up to `DECODING_DEPTH` times.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import orjson

from runbundle.process.regex import later
from runbundle.redaction.detectors.credential_words import credential_key, holds_below, is_credential
from runbundle.redaction.detectors.detector import DECODING_DEPTH
from runbundle.redaction.markers import is_marker
from runbundle.redaction.permitted.kept_text import rule_matching_whole
from runbundle.redaction.receipt import Receipt, withhold
from runbundle.signals.reading import RepeatedKey, value_of

NAMES = frozenset({
    "name", "key", "header", "field", "k", "n", "param", "parameter", "attribute", "variable", "var", "property",
    "option", "setting", "label", "env",
})  # fmt: skip
VALUES = frozenset({
    "value", "values", "v", "val", "data", "content", "text", "default", "string_value", "stringvalue", "secret",
    "raw", "current",
})  # fmt: skip
_NAME = later(r"-{0,2}[A-Za-z][A-Za-z0-9_.:-]{0,63}")
_FIELDS = frozenset({
    "username", "user", "email", "login", "name", "id", "url", "host", "type", "role",
})  # fmt: skip
_MOST_FIELDS = 32
"""An object with more is no pair of a name and a value."""

MAX_DEPTH = 64
"""Values nested deeper are not searched here; no caller keeps them."""

_OPENING = frozenset('{["')

Labels = Mapping[Any, str]
"""By key or index of a container: the name that calls the value there a credential."""

_NONE: Labels = {}
_GONE = object()
_LISTS = (list, tuple)


def labels_of_map(value: Mapping[Any, Any]) -> Labels:
    """Return the fields of an object that are credentials: by their keys, or as the value beside a name."""
    found: dict[Any, str] | None = None
    named = ""
    for key, item in value.items():
        if key.__class__ is not str:
            continue
        if credential_key(key):
            found = {} if found is None else found
            found[key] = key
        if item.__class__ is str and len(item) <= 64 and key.lower() in NAMES and credential_key(item):
            named = item
    if named and len(value) <= _MOST_FIELDS:
        found = {} if found is None else found
        for key in value:
            if key.__class__ is str and key.lower() in VALUES:
                found.setdefault(key, named)
    return _NONE if found is None else found


def labels_of_list(items: Sequence[Any]) -> Labels:
    """Return the items of a list that are credentials: the second of a pair, or an item after an option such as
    `--token`.
    """
    if len(items) < 2:
        return _NONE
    first = items[0]
    found: dict[Any, str] = {}
    if first.__class__ is str and len(items) % 2 == 0 and _are_names(items):
        for index in range(0, len(items), 2):
            if credential_key(items[index]) and not (len(items) == 2 and _is_field(items[1])):
                found[index + 1] = items[index]
    elif first.__class__ is str or items[-2].__class__ is str:
        for index, item in enumerate(items[:-1]):
            if item.__class__ is str and item[:1] == "-" and _NAME.fullmatch(item) and credential_key(item):
                following = items[index + 1]
                if not (following.__class__ is str and following[:2] == "--"):
                    found[index + 1] = item
    return found or _NONE


def _are_names(items: Sequence[Any]) -> bool:
    return all(item.__class__ is str and _NAME.fullmatch(item) for item in items[::2])


def _is_field(item: Any) -> bool:
    return item.__class__ is str and (item.lower() in _FIELDS or (item.isalpha() and bool(credential_key(item))))


def mask_labelled(value: Any, receipt: Receipt, path: str, label: str = "", depth: int = 0, opened: int = 0) -> Any:
    """Return a value that is about to be kept, with a marker in the place of each credential that has a name beside it.

    `label` is the name beside the value itself. Structure stays, and so does the fact that something was set. Text that
    is still JSON after it was opened `DECODING_DEPTH` times is masked whole. The value is not modified, and is itself
    returned if nothing is found.
    """
    kind = value.__class__
    if kind is str:
        return _text(value, receipt, path, label, depth, opened)
    if kind is dict or isinstance(value, Mapping):
        fields = cast("Mapping[Any, Any]", value)
        if depth > MAX_DEPTH:
            return fields
        label = label if label and holds_below(label) else ""
        labels = labels_of_map(fields)
        made: dict[Any, Any] | None = None
        for key, item in fields.items():
            named = label or (labels.get(key, "") if labels else "")
            if not named and _is_plain(item):
                continue
            inner = mask_labelled(item, receipt, f"{path}/{escape(key)}", named, depth + 1, opened)
            if inner is not item:
                made = dict(fields) if made is None else made
                made[key] = inner
        return fields if made is None else made
    if isinstance(value, _LISTS):
        items = cast("list[Any]", value)
        if depth > MAX_DEPTH:
            return items
        labels = labels_of_list(items)
        changed: list[Any] | None = None
        for index, item in enumerate(items):
            named = label or (labels.get(index, "") if labels else "")
            if not named and _is_plain(item):
                continue
            inner = mask_labelled(item, receipt, f"{path}/{index}", named, depth + 1, opened)
            if inner is not item:
                changed = list(items) if changed is None else changed
                changed[index] = inner
        return items if changed is None else changed
    if label and is_credential(label, value):
        return withhold(receipt, path, "detector:credential-key", "credential")
    return value


def _is_plain(value: Any) -> bool:
    """Tell whether a value without a label needs no look: a number, or text that is no JSON."""
    kind = value.__class__
    if kind is str:  # of most the first character says it: 0.1 µs instead of 0.4
        return value[:1].isalnum() or not _may_open(value)
    return kind is int or kind is float or kind is bool or value is None


def _text(value: str, receipt: Receipt, path: str, label: str, depth: int, opened: int) -> str:
    if is_marker(value):
        return value
    inner, is_whole = _opened(value) if _may_open(value) else (_GONE, True)
    # What is JSON is judged by what is in it, unless the label leaves no doubt.
    if label and (inner is _GONE or credential_key(label) == "strong") and is_credential(label, value):
        return withhold(receipt, path, f"detector:{rule_matching_whole(value) or 'credential-key'}", "credential")
    if inner is _GONE:
        return value
    if opened >= DECODING_DEPTH:
        return withhold(receipt, path, "detector:encoded-too-deep", "credential")
    made = mask_labelled(inner, receipt, path, label, depth + 1, opened + 1)
    if made is inner:
        return value
    if not is_whole:
        return withhold(receipt, path, "detector:credential-key", "credential")
    return orjson.dumps(made).decode()


def _may_open(text: str) -> bool:
    first = text[:1]
    return first in _OPENING or (first.isspace() and text.lstrip()[:1] in _OPENING)


def _opened(text: str) -> tuple[Any, bool]:
    """Return the value of JSON text, and whether it has all that the text says: of two equal keys it has the last."""
    data = text.encode("utf-8", "replace")
    try:
        return value_of(data), True
    except RepeatedKey:
        return orjson.loads(data), False
    except orjson.JSONDecodeError:
        return _GONE, True


def escape(step: Any) -> str:
    """Return a key as a step of a path in a receipt: at most 64 plain characters."""
    return _escaped(step if step.__class__ is str else str(step))


@lru_cache(maxsize=4096)
def _escaped(step: str) -> str:
    return "".join(c if (c.isalnum() and c.isascii()) or c in "_-[]:.~" else "_" for c in step[:64])
