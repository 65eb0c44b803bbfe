"""One version of a slot, written as its difference to the one before.

State mostly grows at its end. Such a version is a few literal bytes (a list's length), a range of the version before,
and literal bytes again; 100 steps of a growing list then cost what the list costs, and not its square.
"""

import struct

MAX_CHAIN = 32
"""As many differences follow one another before a version is written whole again."""

MIN_BYTES = 512
"""Below this a version is written whole."""
_HEAD = struct.Struct(">BQQ")  # bytes of the literal before, start and length of the range
_CHUNK = 4096
# How many bytes to pass over in the new and in the old version: none (JSON, text), or the length of a list in
# msgpack, which takes 1, 3 or 5 bytes and from one version to the next may come to take more.
_OFFSETS = ((0, 0), (1, 1), (3, 1), (3, 3), (5, 3), (5, 5))


def difference(old: bytes, new: bytes) -> bytes | None:
    """Return what makes `new` of `old`, or None unless it takes less than half of `new`."""
    if len(new) < MIN_BYTES or len(old) < MIN_BYTES // 2:
        return None
    length, skip_new, skip_old = max((_common(old, new, s_old, s_new), s_new, s_old) for s_new, s_old in _OFFSETS)
    if 2 * length <= len(new):
        return None
    return _HEAD.pack(skip_new, skip_old, length) + new[:skip_new] + new[skip_new + length :]


def apply(old: bytes, delta: bytes) -> bytes:
    """Return the version that `difference(old, ...)` was made for. Raises `ValueError` if it is not one of `old`."""
    if len(delta) < _HEAD.size:
        raise ValueError("not a difference")
    literal, start, length = _HEAD.unpack_from(delta)
    if start + length > len(old) or _HEAD.size + literal > len(delta):
        raise ValueError("not a difference to this version")
    body = delta[_HEAD.size :]
    return b"".join((body[:literal], old[start : start + length], body[literal:]))


def _common(old: bytes, new: bytes, start_old: int, start_new: int) -> int:
    """Return how many bytes are equal from these places on."""
    limit = min(len(old) - start_old, len(new) - start_new)
    done = 0
    while done < limit:
        step = min(_CHUNK, limit - done)
        a, b = old[start_old + done : start_old + done + step], new[start_new + done : start_new + done + step]
        if a != b:
            return done + next(i for i in range(step) if a[i] != b[i])
        done += step
    return done
