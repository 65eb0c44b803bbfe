"""How the lines of this process's runs get to the disk: into journals or segments, and what of them is lost there."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from runbundle.format.identity import RunKey
from runbundle.journal.lines import RecordLine
from runbundle.journal.mapped import FileCut
from runbundle.journal.segment import Outgrown, SegmentWriter
from runbundle.journal.spool import folder_of, records_lost, written_bytes
from runbundle.journal.writer import JournalWriter
from runbundle.process.mutex import Mutex
from runbundle.recording.losses import Losses
from runbundle.recording.probe import stands_on
from runbundle.recording.writing.segments import Segments
from runbundle.recording.writing.spool_limit import SpoolFull, SpoolLimit
from runbundle.recording.writing.syncing import Unsynced, bring_to_disk, sync_in_turns

Durability = Literal["os", "fsync-batch", "fsync"]
"""`os`: an acknowledged record survives the process. `fsync-batch`: the machine, after 0.1 s. `fsync`: the machine."""
_FEW = 256
"""Runs that may wait for their seal with a journal that takes up to 64 KiB more room than its lines."""


@dataclass
class OpenRun:
    """A run that this process writes."""

    key: RunKey
    writer: JournalWriter | SegmentWriter | None = None
    """Where its next line goes; None: nothing is open."""
    open: int = 0
    """Spans of it that are open here."""
    ended: bool = False
    """Whether its own span has ended here."""
    begun: bool = False
    """Whether it began here."""
    dropped: int = 0
    """Records of it that were lost, and that no local root has stated yet."""
    records: int = 0
    """Records of it that were written and not handed over to be sealed."""
    trace_id: str = ""
    """The trace of its last record."""


class OpenRuns:
    """Writes the lines of runs. Its owner holds the lock that `reset` is given, and never hears of an `OSError`."""

    def __init__(
        self,
        spool: Path,
        losses: Losses,
        complain: Callable[[str], None],
        take_records: Callable[[RunKey], int],
        *,
        durability: Durability,
        limit_bytes: int,
    ) -> None:
        """`take_records` returns how many records of a run wait for their seal, which are then ours again."""
        self.spool = spool
        self.runs: dict[RunKey, OpenRun] = {}
        """The runs that are open here."""
        self.waiting = 0
        """Runs that waited for their seal when the last one was handed over."""
        self._losses, self._complain, self._take_records = losses, complain, take_records
        self._batched = durability == "fsync-batch"
        self._limit = SpoolLimit(limit_bytes, self._waiting_bytes)
        self._unsynced = Unsynced(complain)
        mapped = "maps" not in stands_on(spool).lacks
        self._journal = partial(JournalWriter.open_in, sync_each=durability == "fsync", mapped=mapped)
        self.segments = Segments(spool, self._journal, self._move_out, self._lost, used=mapped and durability == "os")

    def write_to(self, spool: Path) -> None:
        """Go on with another spool, while nothing is open."""
        self.tidy()
        self.spool = self.segments.spool = spool

    def reset(self, lock: Mutex, writer_id: str) -> None:
        """Start afresh, at the beginning and in a forked child: open files are the parent's."""
        for run in self.runs.values():
            if isinstance(run.writer, JournalWriter):
                with contextlib.suppress(OSError):
                    run.writer.abandon_after_fork()
        self.runs.clear()
        self._unsynced.forget()
        self._limit.reset()
        self.waiting = self.written = 0
        self._lock, self._writer_id = lock, writer_id
        self._stop = threading.Event()
        self._syncing: threading.Thread | None = None
        self.segments.reset(lock, writer_id)

    def run(self, key: RunKey) -> OpenRun:
        """Return what is known of a run; from now on it is open."""
        return self.runs.get(key) or self.runs.setdefault(key, OpenRun(key))

    def start(self, run: OpenRun, line: bytes, *, begins: bool) -> None:
        """Append the line of a span's start; `begins`: the run begins with it."""
        try:
            try:
                (run.writer or self._opened(run, begins=begins)).append(line)
            except (FileCut, Outgrown):
                self._renewed(run).append(line)
        except OSError as error:
            # The span itself may still come through; what a lost start costs is only evidence of a crash.
            self._complain(f"the start of a span was not journalled: {error.strerror or error}")

    def append(self, run: OpenRun, line: RecordLine) -> None:
        """Append a record, or count it as lost."""
        limit = self._limit
        try:
            if limit.written_bytes >= limit.limit_bytes:
                limit.make_room(self._lock.step_aside)
            try:
                size_bytes = (run.writer or self._opened(run)).write(line)
            except (FileCut, Outgrown):
                size_bytes = self._renewed(run).write(line)
            run.records += 1
            self.written += 1
            limit.written_bytes += size_bytes
        except OSError as error:
            run.dropped += 1 + line.states_lost  # with a local root goes what it was to state; the next one states both
            reason = "spool_limit" if isinstance(error, SpoolFull) else "journal"
            self._losses.count(reason, 1, run.key)
            self._complain(f"a record was not journalled: {error.strerror or error}")

    def settle(self, run: OpenRun) -> None:
        """Close a run of which no span is open here. One that has ended in a segment stays there for its seal."""
        del self.runs[run.key]
        if run.ended and isinstance(run.writer, SegmentWriter):
            self.segments.ended(run.key)
        else:
            self.close(run)

    def close(self, run: OpenRun) -> None:
        """Close a run's journal, so that others read it: however many wait for their seal, they hold no files open."""
        if isinstance(run.writer, SegmentWriter):
            try:
                self._moved(run, run.writer)
            except OSError as error:
                self.segments.ended(run.key)  # its seal tries again
                self._complain(f"a run cannot be moved out of a segment: {error.strerror or error}")
                return
        self.take_stock(run, at_end=True)
        if isinstance(run.writer, JournalWriter):
            if self._batched:
                self._unsynced.note(run.writer)
            self._shut(run, cut=self.waiting > _FEW)

    def take_stock(self, run: OpenRun, *, at_end: bool = False) -> None:
        """Count what somebody else has taken from a run's file; what follows goes to another.

        At its end a journal that was moved away is taken, too, unless that was into the quarantine.
        """
        if isinstance(run.writer, SegmentWriter):
            with contextlib.suppress(OSError):
                if not run.writer.segment.has_all():
                    self._moved(run, run.writer)
            return
        gone = None if run.writer is None else records_lost(self.spool, run.key, run.writer, moved_too=at_end)
        if gone is not None:
            self._shut(run)
            self._missed(run, gone)

    def sync(self) -> None:
        """Bring to the disk what `fsync-batch` has let wait. The lock must be free."""
        if not self._batched:
            return
        with self._lock:
            for run in list(self.runs.values()):
                if isinstance(run.writer, JournalWriter):
                    self._unsynced.note(run.writer)
            waiting = self._unsynced.take()
        bring_to_disk(waiting, self.spool, self._complain)

    def look_for_room(self) -> None:
        """Have the next record look for room in the spool. The lock is held."""
        self._limit.look_again()

    def tidy(self) -> None:
        """Remove segments in which nothing is. The lock must be free, or this thread's."""
        self.segments.tidy(now=float("inf"))

    def stop(self) -> None:
        """Stop the thread that syncs."""
        self._stop.set()

    def _opened(self, run: OpenRun, *, begins: bool = False) -> JournalWriter | SegmentWriter:
        run.writer = self.segments.begin(run.key) if begins else None
        return run.writer or self._journal_of(run)

    def _journal_of(self, run: OpenRun) -> JournalWriter:
        run.writer = self._journal(folder_of(self.spool, run.key), self._writer_id)
        if run.writer.size_bytes:  # closed before, and not sealed yet: what is in it is in our hands again
            waiting = self._take_records(run.key)
            run.writer.records += waiting
            run.records += waiting
        if self._batched and self._syncing is None:
            self._syncing = sync_in_turns(self.sync, self._stop)
        return run.writer

    def _renewed(self, run: OpenRun) -> JournalWriter:
        """Return a new journal for a run whose file somebody else has cut, or which is too long for a segment."""
        if isinstance(run.writer, SegmentWriter):
            return self._moved(run, run.writer)
        self.take_stock(run)
        self._shut(run)  # if only space behind the lines was cut off
        return self._journal_of(run)

    def _moved(self, run: OpenRun, lines: SegmentWriter) -> JournalWriter:
        """Move the lines of an open run from a segment to a journal, and go on there. Raises `OSError`."""
        journal, gone = self.segments.moved(lines)
        run.writer = journal
        self._missed(run, gone)
        return journal

    def _move_out(self, key: RunKey) -> None:
        run = self.runs.get(key)
        if run is not None and isinstance(run.writer, SegmentWriter):
            self._moved(run, run.writer)

    def _missed(self, run: OpenRun, gone: int) -> None:
        run.dropped += gone
        run.records = max(0, run.records - gone)
        self._lost(run.key, gone)

    def _lost(self, key: RunKey, gone: int) -> None:
        if gone:
            self._losses.count("journal_lost", gone, key)
            self._complain(f"somebody has truncated or removed a journal: {gone} records of run {key.path} are lost")

    def _shut(self, run: OpenRun, *, cut: bool = True) -> None:
        if isinstance(run.writer, JournalWriter):
            with contextlib.suppress(OSError):
                run.writer.close(cut=cut)
        run.writer = None

    def _waiting_bytes(self) -> int:
        return written_bytes(self.spool, self._writer_id) + self.segments.size_bytes()
