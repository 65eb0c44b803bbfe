"""Canonical JSON: equal content always has equal bytes."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

SELF = "self_sha256"
"""Name of the run.json field that holds the SHA-256 of all other fields."""


def to_json_bytes(value: Any, *, indent: bool = False) -> bytes:
    """Return `value` as UTF-8 JSON with sorted keys and one final newline; `indent` adds two spaces a level.

    NaN and infinities become null. Raises `TypeError` for integers beyond 64 bits, lone surrogates and objects that
    JSON does not have. This is not RFC 8785: floats are written as Python writes them, so times in nanoseconds are
    stored as text.
    """
    options = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(value, option=options | orjson.OPT_INDENT_2 if indent else options)


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of `data` in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def self_digest(fields: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical bytes of `fields`, leaving out `self_sha256`."""
    rest = {name: value for name, value in fields.items() if name != SELF}
    return sha256_hex(to_json_bytes(rest, indent=True))


def with_self_digest(fields: Mapping[str, Any]) -> bytes:
    """Return `fields` as canonical bytes, with their own digest in the field `self_sha256`.

    The digest reveals damage and careless edits. It does not prevent forgery: an editor can compute it again.
    """
    return to_json_bytes({**fields, SELF: self_digest(fields)}, indent=True)
