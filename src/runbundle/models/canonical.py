"""Canonical bytes: the same content is always the same bytes."""

import hashlib
from typing import Any

import orjson


def to_json_bytes(value: Any, *, indent: bool = False) -> bytes:
    """Return `value` as UTF-8 JSON with sorted keys and one trailing newline; two spaces of indent if asked.

    NaN and infinities become null; integers beyond 64 bits, lone surrogates and other objects raise `TypeError`.
    Not RFC 8785: floats are written as Python writes them. Nanosecond times are strings for that reason.
    """
    options = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(value, option=options | orjson.OPT_INDENT_2 if indent else options)


def sha256_hex(data: bytes) -> str:
    """Return SHA-256 of `data` in lower-case hex."""
    return hashlib.sha256(data).hexdigest()
