"""Versions of slots, stored as differences to the one before where that is worth while."""

import secrets
from collections.abc import Sequence
from typing import Any

from runbundle.errors import StateCorrupt
from runbundle.runstate.records import SEALED, Payload
from runbundle.runstate.sql import delta, statements
from runbundle.runstate.sql.recent import Known, Recent
from runbundle.runstate.sql.rows import DATA, MAYBE_TEXT, TEXT, WHOLE, checked
from runbundle.runstate.sql.tx import Tx


def put_slot(
    tx: Tx, recent: Recent, slot: tuple[str, str, str, str], version: str, payload: Payload,
    before: tuple[str, int] | None,
) -> None:  # fmt: skip
    """Store a new version, as the difference to the one before where that is worth while."""
    base, depth, data = None, 0, payload.data
    stamp = secrets.randbits(63)
    if len(data) >= delta.MIN_BYTES and not payload.codec.endswith(SEALED):
        known = _known(tx, recent, slot, *before) if before else None
        if before and known and known.depth < delta.MAX_CHAIN and known.payload.codec == payload.codec:
            difference = delta.difference(known.payload.data, data)
            if difference is not None:
                base, depth, data = before[0], known.depth + 1, difference
        recent.put(slot, Known(version, stamp, depth, payload))
    tx.run(statements.PUT_SLOT, *slot, version, base, stamp, payload.codec, data)


def _known(tx: Tx, recent: Recent, slot: tuple[str, str, str, str], version: str, stamp: int) -> Known:
    """Return a stored version: as this process remembers it if it is the same row, else as the database has it."""
    known = recent.get(slot, version, stamp)
    if known is None:
        chain = chain_of(tx, slot, version)
        known = Known(version, stamp, len(chain) - 1, rebuilt(chain))
    return known


def chain_of(tx: Tx, slot: tuple[str, str, str, str], version: str) -> list[tuple[str | None, str, bytes]]:
    """Return a version and those below it that it is made from, as (base, codec, bytes)."""
    return chains_of(tx.rows(statements.SLOT_CHAIN, *slot, version, *slot[:3], *slot[:3])).get(slot[3], [])


def chains_of(rows: list[tuple[Any, ...]]) -> dict[str, list[tuple[str | None, str, bytes]]]:
    """Return the chains of (base, codec, bytes) by slot, from rows of name, place, base, codec and bytes."""
    chains: dict[str, list[tuple[str | None, str, bytes]]] = {}
    sound = [checked(row, TEXT, WHOLE, MAYBE_TEXT, TEXT, DATA) for row in rows]
    for name, _, base, codec, data in sorted(sound, key=lambda row: row[:2]):
        chains.setdefault(name, []).append((base, codec, data))
    return chains


def rebuilt(chain: Sequence[tuple[str | None, str, bytes]]) -> Payload:
    """Return the first version of a chain of (base, codec, bytes), each a difference to the next, the last whole."""
    if not chain or chain[-1][0] is not None:
        raise StateCorrupt("a slot is incomplete: the version that it is a difference to is missing")
    data = bytes(chain[-1][2])
    try:
        for _, _, difference in reversed(chain[:-1]):
            data = delta.apply(data, bytes(difference))
    except ValueError:
        raise StateCorrupt("a slot does not fit the version that it is a difference to") from None
    return Payload(chain[0][1], data)
