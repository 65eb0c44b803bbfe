"""Versions of slots: stored as differences to the version before where that saves space, and rebuilt when read."""

import secrets
from collections.abc import Sequence
from typing import Any

from runbundle.errors import StateCorrupt
from runbundle.runstate.records import ENCRYPTED_SUFFIX, Payload
from runbundle.runstate.sql import delta, statements
from runbundle.runstate.sql.rows import DATA, INTEGER, MAYBE_TEXT, TEXT, checked
from runbundle.runstate.sql.slot_cache import CachedSlot, SlotCache
from runbundle.runstate.sql.transaction import Transaction


def put_slot(
    tx: Transaction, cache: SlotCache, slot: tuple[str, str, str, str], version: str, payload: Payload,
    before: tuple[str, int] | None,
) -> None:  # fmt: skip
    """Store a new version of a slot, as the difference to `before` where that saves space.

    `before` is the version and stamp of the checkpoint before, None if there is none. Encrypted payloads are stored
    whole.
    """
    base, depth, data = None, 0, payload.data
    stamp = secrets.randbits(63)
    if len(data) >= delta.MIN_BYTES and not payload.codec.endswith(ENCRYPTED_SUFFIX):
        known = _stored_version(tx, cache, slot, *before) if before else None
        if before and known and known.depth < delta.MAX_CHAIN and known.payload.codec == payload.codec:
            difference = delta.difference(known.payload.data, data)
            if difference is not None:
                base, depth, data = before[0], known.depth + 1, difference
        cache.put(slot, CachedSlot(version, stamp, depth, payload))
    tx.run(statements.PUT_SLOT, *slot, version, base, stamp, payload.codec, data)


def _stored_version(
    tx: Transaction, cache: SlotCache, slot: tuple[str, str, str, str], version: str, stamp: int
) -> CachedSlot:
    """Return a stored version: the cached one if it is the same row, else the one in the database."""
    known = cache.get(slot, version, stamp)
    if known is None:
        chain = chain_of(tx, slot, version)
        known = CachedSlot(version, stamp, len(chain) - 1, rebuilt(chain))
    return known


def chain_of(tx: Transaction, slot: tuple[str, str, str, str], version: str) -> list[tuple[str | None, str, bytes]]:
    """Return a version and the versions that it is rebuilt from, as (base, codec, bytes); [] if it is missing."""
    return chains_of(tx.rows(statements.SLOT_CHAIN, *slot, version, *slot[:3], *slot[:3])).get(slot[3], [])


def chains_of(rows: list[tuple[Any, ...]]) -> dict[str, list[tuple[str | None, str, bytes]]]:
    """Return the chains of (base, codec, bytes) by slot, from rows of name, position, base, codec and bytes."""
    chains: dict[str, list[tuple[str | None, str, bytes]]] = {}
    sound = [checked(row, TEXT, INTEGER, MAYBE_TEXT, TEXT, DATA) for row in rows]
    for name, _, base, codec, data in sorted(sound, key=lambda row: row[:2]):
        chains.setdefault(name, []).append((base, codec, data))
    return chains


def rebuilt(chain: Sequence[tuple[str | None, str, bytes]]) -> Payload:
    """Return the payload of the first version of a chain of (base, codec, bytes).

    Each entry is the difference to the next; the last is whole. Raises `StateCorrupt` if the chain is incomplete or
    does not fit.
    """
    if not chain or chain[-1][0] is not None:
        raise StateCorrupt("a slot is incomplete: the version that it is a difference to is missing")
    data = bytes(chain[-1][2])
    try:
        for _, _, difference in reversed(chain[:-1]):
            data = delta.apply(data, bytes(difference))
    except ValueError:
        raise StateCorrupt("a slot does not fit the version that it is a difference to") from None
    return Payload(chain[0][1], data)
