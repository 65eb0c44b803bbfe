"""The version of each slot that this process stored last, kept in memory.

The next version can then be compared with it without reading it back.
"""

import threading
from collections import OrderedDict
from typing import NamedTuple

from runbundle.runstate.records import Payload

MAX_BYTES = 16 * 2**20
"""The greatest number of payload bytes in one cache."""


class CachedSlot(NamedTuple):
    """A stored version of a slot."""

    version: str
    stamp: int
    """Drawn at random for each row. A different stamp means a different row, even if the version is the same."""
    depth: int
    """An upper bound of the number of differences between it and a whole version."""
    payload: Payload


class SlotCache:
    """Caches the last version of each slot, up to `max_bytes` of payloads. Thread-safe."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max, self._bytes = max_bytes, 0
        self._lock = threading.Lock()
        self._slots: OrderedDict[tuple[str, ...], CachedSlot] = OrderedDict()

    def get(self, slot: tuple[str, ...], version: str, stamp: int) -> CachedSlot | None:
        """Return the cached version of a slot if it is this very row, else None."""
        with self._lock:
            known = self._slots.get(slot)
        return known if known is not None and (known.version, known.stamp) == (version, stamp) else None

    def put(self, slot: tuple[str, ...], known: CachedSlot) -> None:
        """Cache a version of a slot in place of the one before. Slots that were put longest ago are dropped first."""
        with self._lock:
            before = self._slots.pop(slot, None)
            self._bytes -= len(before.payload.data) if before else 0
            self._slots[slot] = known
            self._bytes += len(known.payload.data)
            while self._bytes > self._max:
                self._bytes -= len(self._slots.popitem(last=False)[1].payload.data)
