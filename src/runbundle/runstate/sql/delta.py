"""The difference of one version of a slot to the version before.

State mostly grows at its end. So a difference is some literal bytes (such as the length of a list), a range of the
older version, and literal bytes again. A hundred steps of a growing list then take the space of the list, not of its
square.
"""

import struct

MAX_CHAIN = 32
"""The most differences that follow each other; the next version is written whole."""

MIN_BYTES = 512
"""The size below which a version is always written whole."""
_HEAD = struct.Struct(">BQQ")  # bytes of the literal before, start and length of the range
_CHUNK = 4096
# Bytes to skip at the start of the new and of the old version: none (JSON, text), or the length of a msgpack list. That
# takes 1, 3 or 5 bytes, and can take more in the new version than in the old one.
_OFFSETS = ((0, 0), (1, 1), (3, 1), (3, 3), (5, 3), (5, 5))


def difference(old: bytes, new: bytes) -> bytes | None:
    """Return the difference that turns `old` into `new`; None unless it takes less than half the space of `new`."""
    if len(new) < MIN_BYTES or len(old) < MIN_BYTES // 2:
        return None
    length, skip_new, skip_old = max((_common(old, new, s_old, s_new), s_new, s_old) for s_new, s_old in _OFFSETS)
    if 2 * length <= len(new):
        return None
    return _HEAD.pack(skip_new, skip_old, length) + new[:skip_new] + new[skip_new + length :]


def apply(old: bytes, delta: bytes) -> bytes:
    """Return the version from which `difference(old, ...)` was made.

    Raises `ValueError` if the difference does not fit `old`.
    """
    if len(delta) < _HEAD.size:
        raise ValueError("not a difference")
    literal, start, length = _HEAD.unpack_from(delta)
    if start + length > len(old) or _HEAD.size + literal > len(delta):
        raise ValueError("not a difference to this version")
    body = delta[_HEAD.size :]
    return b"".join((body[:literal], old[start : start + length], body[literal:]))


def _common(old: bytes, new: bytes, start_old: int, start_new: int) -> int:
    """Return how many bytes are equal from these two positions on."""
    limit = min(len(old) - start_old, len(new) - start_new)
    done = 0
    while done < limit:
        step = min(_CHUNK, limit - done)
        a, b = old[start_old + done : start_old + done + step], new[start_new + done : start_new + done + step]
        if a != b:
            return done + next(i for i in range(step) if a[i] != b[i])
        done += step
    return done
