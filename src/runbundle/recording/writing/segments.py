"""The runs of this process that are in segments (`journal.segment`) and not in journals of their own.

A run begins in a segment if the process is busy: the millisecond that a folder and a journal cost is then worth more
than that others see the run in the spool at once. It gets a journal of its own as soon as anything about it is out of
the ordinary: it is older than a second, it is long, its process ends, its seal is not plain. So whatever looks for
journals misses a run for a second at most; `ls` looks into segments too.
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from runbundle.errors import StoreUnavailable
from runbundle.format.identity import RunKey
from runbundle.format.layout import SEGMENTS
from runbundle.journal.apart import SUFFIX
from runbundle.journal.segment import Segment, SegmentWriter
from runbundle.journal.spool import folder_of
from runbundle.journal.writer import JournalWriter
from runbundle.process.mutex import Mutex

BUSY_RUNS = 16
"""Runs that begin within a second in a busy process."""
STAYS_S = 1.0
"""How long a run may stay open in a segment, and a segment without runs may lie there."""
_PATIENCE_S = 0.1
"""How long the sealer waits for the lock. Who keeps it for longer may be a signal's handler in `flush()`, which has
interrupted whoever took it, and waits for the sealer."""
LEAVE_S = 1.0
"""The same, where a seal cannot go on without it."""
_ASIDE_S = 0.0002  # between two runs that are moved: agents wait for the same lock
_NEVER = float("inf")


class Segments:
    """Which runs of this process are in segments. Thread-safe, by the lock of the recorder that owns it."""

    def __init__(
        self,
        spool: Path,
        journal: Callable[[Path, str], JournalWriter],
        move_out: Callable[[RunKey], None],
        lost: Callable[[RunKey, int], None],
        *,
        used: bool,
    ) -> None:
        """`journal` opens a journal in a folder for a writer. `move_out` gives an open run its own journal, and calls
        `moved`. `lost` is told how many records of a run somebody has cut off. Without `used` no segment is made.
        """
        self.spool = spool
        self._journal, self._move_out, self._lost = journal, move_out, lost
        self._used = used
        self._current: Segment | None = None
        self._all: list[Segment] = []
        self.reset(Mutex(), "")

    def reset(self, lock: Mutex, writer_id: str) -> None:
        """Start afresh, as a forked child must: segments of the parent stay with the parent."""
        for segment in self._all:
            with contextlib.suppress(OSError):
                segment.abandon_after_fork()
        self.lock, self._writer_id = lock, writer_id
        self._current, self._all, self._made = None, [], 0
        self._rests_until = 0.0  # after a segment that could not grow: then runs have journals, which may
        self._open: dict[RunKey, tuple[SegmentWriter, float]] = {}
        self._ended: dict[RunKey, SegmentWriter] = {}
        self._sealed: deque[SegmentWriter] = deque()  # of `_ended`, and still to be forgotten
        self._begun: deque[float] = deque(maxlen=BUSY_RUNS)
        self.next_at = _NEVER
        """When `tidy` is to be called, by the monotonic clock."""
        self.is_new = False
        """Whether nobody may know yet that it is to be called."""

    # -- the recorder's, under its lock ---------------------------------------------------------------------------

    def begin(self, key: RunKey) -> SegmentWriter | None:
        """Return a writer for a run that begins now; None if it is to have a journal of its own."""
        now = time.monotonic()
        self._forget_sealed()
        if self._current is not None and self._current.has_failed:
            self._current, self._rests_until = None, now + STAYS_S
        if not (self._is_busy(now) and self._used) or key in self or now < self._rests_until:
            return None
        try:
            segment = self._segment()
        except OSError:
            return None  # the journal will say why
        lines = SegmentWriter(segment, key)
        self._open[key] = lines, now
        self.is_new = self.next_at == _NEVER
        self.next_at = min(self.next_at, now + STAYS_S)
        return lines

    def ended(self, key: RunKey) -> None:
        """Take note that a run in a segment has ended, and waits for its seal."""
        if key in self._open:
            self._ended[key] = self._open.pop(key)[0]

    def moved(self, lines: SegmentWriter) -> tuple[JournalWriter, int]:
        """Move the lines of a run to a journal; return that, open, and how many records had been cut off.

        A signal's handler may append to them meanwhile, or move them. Raises `OSError`; then they are where they were.
        """
        if lines.moved_to is not None:
            return lines.moved_to, 0
        journal = self._journal(folder_of(self.spool, lines.run), self._writer_id)
        left, lost, size_bytes = b"", 0, 0
        try:
            while lines.moved_to is None:
                if size_bytes == lines.size_bytes:
                    lines.moved_to = journal  # nothing is called between that and the comparison
                    break
                size_bytes, before = lines.size_bytes, len(left)
                left, lost = lines.left()
                if len(left) > before:
                    journal.append(left[before:])
        except OSError:
            journal.close()
            raise
        if lines.moved_to is not journal:  # what is in both is one and the same
            journal.close()
            return lines.moved_to, 0
        journal.records += lines.records - lost
        self._forget(lines.run, lines)
        return journal, lost

    def size_bytes(self) -> int:
        """Return the number of bytes that wait in segments for their seal."""
        opened = (lines for lines, _ in list(self._open.values()))  # a signal's handler may begin one
        return sum(lines.size_bytes for lines in (*self._ended.values(), *opened))

    def __contains__(self, key: RunKey) -> bool:
        """Tell whether a run is in a segment."""
        return key in self._open or key in self._ended

    # -- the sealer's ---------------------------------------------------------------------------------------------

    def ended_lines(self, key: RunKey) -> SegmentWriter | None:
        """Return the lines of a run that has ended in a segment, which grow no more; else None."""
        return self._ended.get(key)

    def sealed(self, key: RunKey) -> None:
        """Take note that a run is in a bundle. Never raises. Whoever has the lock next sees to it, if not we."""
        lines = self._ended.get(key)
        if lines is None:
            return
        patience_s = 0.0 if self._sealed else _PATIENCE_S
        self._sealed.append(lines)
        with self.lock.within(patience_s) as mine:
            empty = self._take_empty() if mine else []
        self._remove(empty)

    def leave(self, key: RunKey) -> int:
        """Give a run that has ended in a segment a journal, which is closed; return how many records had been cut off.

        Raises `StoreUnavailable`.
        """
        with self.lock.within(LEAVE_S) as mine:
            if not mine:
                raise StoreUnavailable("it cannot be moved out of a segment: whoever writes there does not let go")
            self._forget_sealed()
            if key not in self._ended:
                return 0
            try:
                journal, lost = self.moved(self._ended[key])
                journal.close(cut=False)
            except OSError as error:
                raise StoreUnavailable(f"cannot write in {self.spool}: {error.strerror or error}") from error
            self._lost(key, lost)
            empty = self._take_empty()
        self._remove(empty)
        return lost

    def tidy(self, *, now: float | None = None) -> None:
        """Move out what has been open for too long, and remove a segment in which nothing is. Never raises `OSError`.

        What cannot be moved is tried again in a second. Without runs a segment is removed at once if `now` is infinite.
        """
        now = time.monotonic() if now is None else now
        patience_s = _NEVER if now == _NEVER else _PATIENCE_S
        with self.lock.within(patience_s) as mine:
            self.next_at = time.monotonic() + STAYS_S
            if not mine:
                return
            overdue = [key for key, (_, begun) in list(self._open.items()) if begun + STAYS_S <= now < _NEVER]
        for key in overdue:
            with self.lock.within(patience_s) as mine, contextlib.suppress(OSError):
                if not mine:
                    return
                self._move_out(key)
            time.sleep(_ASIDE_S)
        with self.lock.within(patience_s) as mine:
            if not mine:
                return
            last = self._begun[-1] if self._begun else 0.0
            if self._current is not None and not self._current.runs and last + STAYS_S <= now:
                self._current = None
            empty = self._take_empty()
            if not self._all:
                self.next_at = _NEVER
        self._remove(empty)

    def _is_busy(self, now: float) -> bool:
        begun = self._begun
        busy = len(begun) == BUSY_RUNS and now - begun[0] < 1.0
        begun.append(now)
        return busy

    def _segment(self) -> Segment:
        if self._current is None or self._current.is_full:
            self._made += 1
            self._current = Segment(self.spool / SEGMENTS / f"{self._writer_id}-s{self._made}{SUFFIX}")
            self._all.append(self._current)
        return self._current

    def _forget_sealed(self) -> None:
        while self._sealed:
            lines = self._sealed[0]
            if self._ended.get(lines.run) is lines:
                self._forget(lines.run, lines)
            with contextlib.suppress(ValueError):
                self._sealed.remove(lines)

    def _forget(self, key: RunKey, lines: SegmentWriter) -> None:
        # Of those who come to it, a signal's handler among them, one takes it out: counted twice, a segment would be
        # empty too soon.
        if self._open.pop(key, None) is not None or self._ended.pop(key, None) is not None:
            lines.segment.gone(key)

    def _take_empty(self) -> list[Segment]:
        """Take out the segments in which nothing is, for `_remove`."""
        self._forget_sealed()
        empty: list[Segment] = []
        for segment in [one for one in self._all if not one.runs and one is not self._current]:
            with contextlib.suppress(ValueError):  # a signal's handler was faster
                self._all.remove(segment)
                empty.append(segment)
        return empty

    def _remove(self, empty: list[Segment]) -> None:
        """Remove segments, without the lock: agents wait for it, and to free a megabyte takes milliseconds."""
        for segment in empty:
            with contextlib.suppress(OSError):  # whoever finds it finds that nothing is in it
                segment.remove()
        if empty and not self._all:
            with contextlib.suppress(OSError):  # others have some
                (self.spool / SEGMENTS).rmdir()
