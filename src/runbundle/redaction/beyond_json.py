"""Bytes, for a digest, of data that JSON cannot hold: large integers, lone surrogates, NaN, deep nesting, odd keys."""

import math
from collections.abc import Mapping
from typing import Any, cast

_MAX_NODES = 100_000


class _Made(bytes):
    """Bytes that are part of the result already."""


def bytes_beyond_json(value: Any) -> bytes | None:
    """Return bytes that differ for different values, or None for a value without such bytes: an object that is no data,
    a cycle, or more than 100,000 parts.

    The order of a mapping's keys does not matter. Depth costs no stack. Total on plain data.
    """
    parts: list[bytes] = []
    pending: list[Any] = [value]
    nodes = 0
    while pending:
        item = pending.pop()
        nodes += 1
        if nodes > _MAX_NODES:
            return None
        if isinstance(item, _Made):
            parts.append(item)
        elif isinstance(item, Mapping):
            fields = cast("Mapping[Any, Any]", item)
            named = sorted(((bytes_beyond_json(key), key) for key in fields), key=lambda pair: pair[0] or b"")
            nodes += len(named)
            if any(name is None for name, _ in named):
                return None
            parts.append(b"{%d:" % len(named))
            for name, key in reversed(named):
                pending += [fields[key], _Made(name or b"")]
        elif isinstance(item, list | tuple):
            items = cast("list[Any]", item)
            parts.append(b"[%d:" % len(items))
            pending += reversed(items)
        else:
            data = _single(item)
            if data is None:
                return None
            parts.append(b"%d:%b" % (len(data), data))
    return b"".join(parts)


def json_writes_null(value: Any) -> bool:
    """Tell whether JSON would write null for a number, or for an item of a flat list of numbers."""
    if isinstance(value, float):
        return not math.isfinite(value)
    return isinstance(value, list | tuple) and any(
        isinstance(item, float) and not math.isfinite(item) for item in cast("list[Any]", value)
    )


def _single(value: Any) -> bytes | None:
    if value is None:
        return b"n"
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes | bytearray):
        return b"b" + bytes(value)
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, int):
        return b"i%x" % value
    return b"d" + float.hex(value).encode() if isinstance(value, float) else None
