"""Text that a contract would keep, and that is an object or a list itself: rules for what is in it hold there, too.

Tools return JSON as text, with blanks or a byte order mark before it, as a JSON string, or with the NaN that Python
writes. Where a rule withholds a part of such a text, the text is opened, or withheld as a whole if it cannot be.
"""

from typing import Any

from runbundle.process.regex import later
from runbundle.signals.reading import value_of

PLAIN = object()
"""Stands for the content of a text that is neither an object nor a list, and does not begin as one."""
SHUT = object()
"""Stands for the content of a text that begins as an object or a list does, and cannot be read as JSON."""

_UNSEEN = "\ufeff\u200b\0"
"""Characters that hide the beginning of a text and are no blanks."""
_BEFORE = later(rf"[\s{_UNSEEN}]*")
_QUOTED = later(rf"(?:[\s{_UNSEEN}\"'`\\]|[bBuUrR]{{1,2}}[\"'])*(?:{{|\[(?!REDACTED:))")
"""The beginning of an object or a list, also in quotes of Python: `str()` of bytes and of a `KeyError` has some."""
_OPENING = ("{", "[", '"')
_MAY_BE_PREFIX = frozenset("bBuUrR")


def opened(text: str) -> Any:
    """Return the object or list that a text is, however often it was written as a JSON string; `PLAIN` if it is none,
    `SHUT` if it seems to be one. Total.

    A text that begins with a marker is plain: it was redacted before.
    """
    if text[:1].isalnum() and text[0] not in _MAY_BE_PREFIX:  # of most the first character says it
        return PLAIN
    while True:
        before = _BEFORE.match(text)
        head = text[before.end() :] if before is not None else text
        try:
            if head[:1] not in _OPENING or head.startswith("[REDACTED:"):
                raise ValueError
            inner = value_of(head.encode("utf-8", "replace"))  # as it will be written
        except ValueError:
            return SHUT if _QUOTED.match(head) is not None else PLAIN
        if not isinstance(inner, str):
            return inner
        text = inner
