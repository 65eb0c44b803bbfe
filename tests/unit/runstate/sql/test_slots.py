"""Versions of slots are exact, whether they are stored whole or as differences."""

import random

import pytest

from runbundle.errors import StateCorrupt
from runbundle.runstate import Payload
from runbundle.runstate.records import ENCRYPTED_SUFFIX
from runbundle.runstate.sql import SqlRunStore, delta
from runbundle.runstate.sql.slot_cache import SlotCache
from runbundle.runstate.sql.slots import chain_of, chains_of, put_slot, rebuilt

SLOT = ("default", "t", "", "log")


def versions(count: int) -> list[Payload]:
    """Versions that grow at their end."""
    noise = random.Random(7).randbytes(600)
    return [Payload("x", noise + b"".join(b"%04d" % n for n in range(number))) for number in range(count)]


@pytest.mark.parametrize("remembered", [True, False], ids=["cached", "read back"])
def test_a_growing_slot_is_a_chain_of_differences_that_rebuilds_each_version(
    store: SqlRunStore, remembered: bool
) -> None:
    """No chain is longer than the limit, whether the version before is cached or read from the database."""
    cache = SlotCache()
    stored = versions(3 * delta.MAX_CHAIN)
    with store._writing() as tx:
        before: tuple[str, int] | None = None
        for number, payload in enumerate(stored):
            put_slot(tx, cache if remembered else SlotCache(), SLOT, str(number), payload, before)
            (row,) = tx.rows("SELECT stamp FROM runbundle_slots WHERE version = ?", str(number))
            before = str(number), row[0]
        chains = [chain_of(tx, SLOT, str(number)) for number in range(len(stored))]
        assert [rebuilt(chain) for chain in chains] == stored
        assert max(map(len, chains)) == delta.MAX_CHAIN + 1
        assert sum(len(chain) == 1 for chain in chains) == 3
        assert chain_of(tx, SLOT, "none") == []


def test_an_encrypted_or_small_slot_is_stored_whole(store: SqlRunStore) -> None:
    """Ciphertexts never resemble each other, and are not kept in memory for a comparison."""
    cache = SlotCache()
    with store._writing() as tx:
        for number, payload in enumerate((Payload("x" + ENCRYPTED_SUFFIX, bytes(5000)), Payload("x", b"small"))):
            put_slot(tx, cache, SLOT, str(number), payload, None)
            (row,) = tx.rows("SELECT base, stamp, data FROM runbundle_slots WHERE version = ?", str(number))
            assert (row[0], bytes(row[2])) == (None, payload.data)
            assert cache.get(SLOT, str(number), row[1]) is None


def test_chains_are_told_apart_by_slot_and_sorted() -> None:
    """In whatever order a database gives the rows."""
    rows = [("b", 0, None, "x", b"b0"), ("a", 1, None, "x", b"a1"), ("a", 0, "1", "x", b"a0")]
    assert chains_of(rows) == {"a": [("1", "x", b"a0"), (None, "x", b"a1")], "b": [(None, "x", b"b0")]}
    with pytest.raises(StateCorrupt):
        chains_of([("a", "0", None, "x", b"")])


@pytest.mark.parametrize(
    "chain",
    [[], [("1", "x", b"")], [("1", "x", b"short"), (None, "x", bytes(9))]],
    ids=["missing", "without its base", "of another base"],
)
def test_a_chain_that_does_not_end_or_fit_is_damage(chain: list[tuple[str | None, str, bytes]]) -> None:
    """It is never rebuilt as something else."""
    with pytest.raises(StateCorrupt):
        rebuilt(chain)
