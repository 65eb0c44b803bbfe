"""Patterns compiled by RE2, with options for text that nobody here has chosen."""

from typing import Any

import re2  # pyright: ignore[reportMissingTypeStubs]

_MEMORY_BYTES = 64 << 20


def compiled(pattern: str) -> Any:
    """Return a pattern compiled for bytes. Raises `re2.error`.

    RE2 may use 64 MiB for one pattern: the largest of our rules need more than its default.
    """
    options: Any = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY_BYTES
    return re2.compile(pattern.encode(), options)  # pyright: ignore[reportUnknownMemberType]


def compiles(pattern: str) -> bool:
    """Tell whether RE2 takes a pattern. It has no look-around, and no repetition above 1,000."""
    try:
        compiled(pattern)
    except re2.error:  # pyright: ignore[reportUnknownMemberType]
        return False
    return True
