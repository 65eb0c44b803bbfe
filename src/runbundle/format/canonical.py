"""Canonical bytes: the same content is always the same bytes."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

SELF = "self_sha256"
"""The field of run.json that holds the digest of all of its other fields."""


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


def self_digest(fields: Mapping[str, Any]) -> str:
    """Return the digest of an object's canonical bytes without the field that holds the digest."""
    rest = {name: value for name, value in fields.items() if name != SELF}
    return sha256_hex(to_json_bytes(rest, indent=True))


def sealed_by_itself(fields: Mapping[str, Any]) -> bytes:
    """Return an object as canonical bytes that carry their own digest in the field `self_sha256`.

    It tells damage and hasty edits. Whoever edits can make it again: that nobody did takes a signature to say.
    """
    return to_json_bytes({**fields, SELF: self_digest(fields)}, indent=True)
