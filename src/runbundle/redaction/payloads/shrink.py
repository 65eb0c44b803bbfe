"""Large JSON values made small: small fields stay, and the largest parts become markers with their size.

The smallest children of each mapping and list are kept first. A child that is larger than its share of the remaining
room is opened in its turn, or replaced by a marker if it is one text or has too little room for its parts.
"""

from typing import Any, cast

import orjson

from runbundle.redaction.markers import marker

_MARKER_BYTES = 48
"""No marker with a size is longer, quotes and comma included."""
_PUNCTUATION_BYTES = 2


def shrink(value: Any, limit_bytes: int) -> Any:
    """Return `value`, or as much of it as fits into `limit_bytes` of JSON, or a marker if nothing fits.

    `value` is made of exact dicts with text keys, lists, text without lone surrogates, numbers, booleans and None. It
    is not modified. Depth costs no stack.
    """
    sizes = _sizes(value, limit_bytes)
    holder: list[Any] = [value]
    if _size(value, sizes, limit_bytes) <= limit_bytes:
        return value
    pending: list[tuple[Any, int, Any, Any]] = [(value, limit_bytes, holder, 0)]
    while pending:
        large, room, into, at = pending.pop()
        children = _children(large)
        room -= _PUNCTUATION_BYTES + sum(_key_bytes(key) for key, _ in children)
        if not children or room < len(children) * _MARKER_BYTES:
            into[at] = marker("oversize", size=_plain_bytes(large, sizes, limit_bytes))
            continue
        measured = sorted(
            ((_size(child, sizes, limit_bytes), place) for place, (_, child) in enumerate(children)),
        )
        is_map = isinstance(large, dict)
        made: Any = dict.fromkeys(key for key, _ in children) if is_map else [None] * len(children)
        into[at] = made
        for left, (size, place) in zip(range(len(children), 0, -1), measured, strict=True):
            key, child = children[place]
            share = room // left
            where = key if is_map else place
            made[where] = child
            if size > share:
                pending.append((child, share, made, where))
            room -= min(size, share)
    return holder[0]


def _children(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(cast("dict[str, Any]", value).items())
    return [(None, item) for item in cast("list[Any]", value)] if isinstance(value, list) else []


def _sizes(value: Any, limit_bytes: int) -> dict[int, int]:
    """Return the bytes of each mapping and list in `value`, by identity."""
    order: list[Any] = [value]
    for container in order:
        order += [child for _, child in _children(container) if isinstance(child, dict | list)]
    sizes: dict[int, int] = {}
    for container in reversed(order):
        sizes[id(container)] = _PUNCTUATION_BYTES + sum(
            _key_bytes(key) + _size(child, sizes, limit_bytes) for key, child in _children(container)
        )
    return sizes


def _size(value: Any, sizes: dict[int, int], limit_bytes: int) -> int:
    if isinstance(value, dict | list):
        return sizes[id(cast("object", value))]
    if isinstance(value, str) and len(value) > limit_bytes:
        return len(value)  # too large whatever its escapes are: not worth writing
    return len(orjson.dumps(value))


def _plain_bytes(value: Any, sizes: dict[int, int], limit_bytes: int) -> int:
    """Return what a marker says of a value: bytes of a text as it is, of anything else as JSON."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
    return _size(value, sizes, limit_bytes)


def _key_bytes(key: str | None) -> int:
    return _PUNCTUATION_BYTES + (len(orjson.dumps(key)) if key is not None else 0)
