"""What this process stored last of each slot, so that the next version need not have it read back to be compared."""

import threading
from collections import OrderedDict
from typing import NamedTuple

from runbundle.runstate.records import Payload

MAX_BYTES = 16 * 2**20
"""Of payloads, for all slots together; those used longest ago are forgotten first."""


class Known(NamedTuple):
    """A version of a slot, as it was stored."""

    version: str
    stamp: int
    """Drawn at random for the row. A row with another one is another row, whatever its version says."""
    depth: int
    """How many differences lie between it and a whole version, or fewer."""
    payload: Payload


class Recent:
    """The last version of each slot. Thread-safe."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max, self._bytes = max_bytes, 0
        self._lock = threading.Lock()
        self._slots: OrderedDict[tuple[str, ...], Known] = OrderedDict()

    def get(self, slot: tuple[str, ...], version: str, stamp: int) -> Known | None:
        """Return a slot's last version if it is this row."""
        with self._lock:
            known = self._slots.get(slot)
        return known if known is not None and (known.version, known.stamp) == (version, stamp) else None

    def put(self, slot: tuple[str, ...], known: Known) -> None:
        """Remember a slot's last version in place of the one before."""
        with self._lock:
            before = self._slots.pop(slot, None)
            self._bytes -= len(before.payload.data) if before else 0
            self._slots[slot] = known
            self._bytes += len(known.payload.data)
            while self._bytes > self._max:
                self._bytes -= len(self._slots.popitem(last=False)[1].payload.data)
