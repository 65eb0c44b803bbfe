"""How much may wait in the spool for its seal, and how long a caller waits for room.

While a store is away, or slower than the agent, journals pile up. At the limit a caller is held up for half a second,
in which a seal may make room. After that callers go on at full speed, and what they lose is counted: an agent that
cannot record is to work all the same.
"""

import time
from collections.abc import Callable

SPOOL_LIMIT_BYTES = 4 << 30
"""How much may wait by default."""
HOLD_UP_S = 0.5
"""How long a caller is held up before its record is dropped; the first one only, until there is room again."""
_STEP_S = 0.02
_LOOK_SHARE = 10  # a look through the spool takes at most an eleventh of the time


class SpoolFull(OSError):
    """As much waits for its seal as may."""


class SpoolLimit:
    """Counts what this process has written to the spool. Not thread-safe: its owner holds its lock."""

    def __init__(self, limit_bytes: int, spooled_bytes: Callable[[], int]) -> None:
        """`spooled_bytes` looks through the spool and returns how much of this process's lies there."""
        self.limit_bytes = limit_bytes
        self.written_bytes = 0
        """What was written since the last look. Whoever writes adds to it, and calls `make_room` at the limit."""
        self._spooled_bytes = spooled_bytes
        self._full_since = self._look_again_at = 0.0

    def make_room(self, step_aside: Callable[[float], None]) -> None:
        """Hold the caller up until there is room again; raise `SpoolFull` if that takes too long.

        `step_aside` sleeps for some seconds without the owner's lock: a seal may need it.
        """
        patience = time.monotonic() + HOLD_UP_S
        full = SpoolFull(f"as much as {self.limit_bytes} bytes waits for its seal, and no more may")
        while True:
            began = time.monotonic()
            if began < self._look_again_at:
                raise full
            self.written_bytes = self._spooled_bytes()
            if self.written_bytes < self.limit_bytes:
                self._full_since = 0.0
                return
            if self._full_since or time.monotonic() >= patience:
                # Held up once, callers go on at full speed: what they lose is counted, and looked at again by the next.
                self._full_since = self._full_since or time.monotonic()
                # A look costs what there is in the spool: it must not cost each caller that.
                self._look_again_at = time.monotonic() + _LOOK_SHARE * (time.monotonic() - began)
                raise full
            step_aside(_STEP_S)

    def look_again(self) -> None:
        """Have the next caller look for room, however lately one looked: what waited may be sealed."""
        self._look_again_at = 0.0

    def reset(self) -> None:
        """Count afresh in a forked child: what the parent has written is the parent's."""
        self.written_bytes = 0
        self._full_since = self._look_again_at = 0.0
