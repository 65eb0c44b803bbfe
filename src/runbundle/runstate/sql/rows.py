"""Checks of rows read from a database. Anybody may have written to it, so nothing is used before it is checked."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import orjson

from runbundle.errors import ConfigError, StateCorrupt

T = TypeVar("T")
TEXT, DATA, INTEGER, NUMBER = (str,), (bytes,), (int,), (float, int)
MAYBE_TEXT, MAYBE_DATA = (str, type(None)), (bytes, type(None))


def checked(row: tuple[Any, ...], *kinds: tuple[type, ...]) -> tuple[Any, ...]:
    """Return a row if its columns have these types. Raises `StateCorrupt` otherwise."""
    if len(row) != len(kinds) or not all(type(value) in kind for value, kind in zip(row, kinds, strict=True)):
        raise StateCorrupt("a row of the run state is damaged: a column is of another type")
    return row


def accepted(check: Callable[[T], object], value: T) -> T:
    """Return a value read from a database if `check` accepts it. Raises `StateCorrupt` otherwise.

    A store checks all that it writes, so a value that its own check refuses was altered.
    """
    try:
        check(value)
    except ConfigError:
        raise StateCorrupt("a row of the run state is damaged: an id or a number is invalid") from None
    return value


def json_object(text: str) -> dict[str, Any]:
    """Return the object in JSON text. Raises `StateCorrupt` if the text is not a JSON object."""
    try:
        found: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise StateCorrupt("a row of the run state is damaged: a column is no JSON object")
    return cast("dict[str, Any]", found)


def versions_of(text: str) -> dict[str, str]:
    """Return the slot versions in JSON text, by name. Raises `StateCorrupt` if a version is not text."""
    found = json_object(text)
    if not all(isinstance(version, str) for version in found.values()):
        raise StateCorrupt("a row of the run state is damaged: a version of a slot is no text")
    return found
