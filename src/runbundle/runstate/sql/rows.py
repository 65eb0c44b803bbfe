"""Rows as a database gives them: checked before anything is made of them, since anyone may have written to it."""

from typing import Any, cast

import orjson

from runbundle.errors import StateCorrupt

TEXT, DATA, WHOLE, NUMBER = (str,), (bytes,), (int,), (float, int)
MAYBE_TEXT, MAYBE_DATA = (str, type(None)), (bytes, type(None))


def checked(row: tuple[Any, ...], *kinds: tuple[type, ...]) -> tuple[Any, ...]:
    """Return a row whose columns are of these types. Raises `StateCorrupt`."""
    if len(row) != len(kinds) or not all(type(value) in kind for value, kind in zip(row, kinds, strict=True)):
        raise StateCorrupt("a row of the run state is damaged: a column is of another type")
    return row


def json_object(text: str) -> dict[str, Any]:
    """Return a JSON object. Raises `StateCorrupt` for what is none."""
    try:
        found: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise StateCorrupt("a row of the run state is damaged: a column is no JSON object")
    return cast("dict[str, Any]", found)


def versions_of(text: str) -> dict[str, str]:
    """Return the versions of slots. Raises `StateCorrupt` for what are none."""
    found = json_object(text)
    if not all(isinstance(version, str) for version in found.values()):
        raise StateCorrupt("a row of the run state is damaged: a version of a slot is no text")
    return found
