"""Attributes read as what they should be: whoever instruments may put anything there, and a bundle has declared types.

A reader returns its type, or what says that there is none; it never raises.
"""

from collections.abc import Mapping
from typing import Any, cast

import orjson

from runbundle.signals.json_text import value_of

LARGEST = 2**63 - 1
"""What a count is cut to, and a sum of counts: JSON holds no more."""


def text_of(attributes: Mapping[str, Any], key: str) -> str | None:
    """Return the text that is stated under `key`, a number as text; None for a list, a mapping, nothing or ""."""
    value = attributes.get(key)
    if value is None or isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int | float) else None


def whole_of(attributes: Mapping[str, Any], key: str) -> int | None:
    """Return the whole number that is stated under `key`, as 3 or as 3.0; None for what is none, as True is."""
    value = attributes.get(key)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return max(-LARGEST, min(value, LARGEST))


def count_of(attributes: Mapping[str, Any], key: str) -> int:
    """Return the count that is stated under `key`; 0 for what is none."""
    return max(0, whole_of(attributes, key) or 0)


def number_of(attributes: Mapping[str, Any], key: str) -> float | None:
    """Return the finite number that is stated under `key`; None for what is none."""
    value = attributes.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or value - value != 0:
        return None
    return value


_BEGINNINGS = frozenset('{["-0123456789tfn \t\n\r')


def json_of(text: object) -> Any:
    """Return the value of JSON text of others, as `value_of` does; None for what is none, or repeats a key."""
    if isinstance(text, str) and text[:1] not in _BEGINNINGS:
        return None  # most text is none: to let the parser say so costs more than all else that is asked of it
    try:
        return value_of(cast("str", text))
    except (orjson.JSONDecodeError, TypeError):
        return None


def written_of(text: object) -> Any:
    """Return the value of JSON text that we wrote, of which a parser loses nothing; None for what is none."""
    try:
        return orjson.loads(cast("str", text))
    except (orjson.JSONDecodeError, TypeError):
        return None
