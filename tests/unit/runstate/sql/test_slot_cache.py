"""The cache of slot versions: bounded, and of one row each."""

from runbundle.runstate import Payload
from runbundle.runstate.sql.slot_cache import CachedSlot, SlotCache


def test_the_cache_is_bounded_and_answers_for_one_row_only() -> None:
    """The oldest is dropped first; another stamp or version is another row."""
    cache = SlotCache(max_bytes=100)
    known = [CachedSlot("1", n, 0, Payload("x", bytes(40))) for n in range(3)]
    for n in range(3):
        cache.put((str(n),), known[n])
    assert cache.get(("0",), "1", 0) is None
    assert cache.get(("2",), "1", 2) is known[2]
    assert cache.get(("2",), "1", 1) is None
    assert cache.get(("2",), "2", 2) is None
    cache.put(("2",), CachedSlot("2", 7, 0, Payload("x", bytes(101))))
    assert cache.get(("2",), "2", 7) is None
    cache.put(("3",), known[0])
    assert cache.get(("3",), "1", 0) is known[0]
