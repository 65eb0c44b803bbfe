"""The one pipeline behind every source of records: accept, journal, notice a run's end, have it sealed.

The caller's thread pays for one append. Assembling and sealing happen on a thread of the sealer's.
"""

import contextlib
import logging
import os
import threading
import time
import weakref
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal
from uuid import uuid4

from runbundle.errors import RunbundleError
from runbundle.format.identity import NO_RUN, RunKey
from runbundle.journal.lines import RecordLine, start_line
from runbundle.journal.mapped import FileCut
from runbundle.journal.reader import journal_files
from runbundle.journal.spool import folder_of, records_lost, written_bytes
from runbundle.journal.writer import JournalWriter
from runbundle.process import forks
from runbundle.process.mutex import Mutex
from runbundle.recording.losses import Losses
from runbundle.recording.probe import stands_on
from runbundle.recording.results import FlushResult
from runbundle.recording.sealer import Sealer
from runbundle.recording.sealing.publisher import Publisher, SealedBy, sealed_by
from runbundle.recording.spool_limit import SPOOL_LIMIT_BYTES, SpoolFull, SpoolLimit
from runbundle.recording.syncing import Unsynced, bring_to_disk, sync_in_turns
from runbundle.signals.records import SpanRecord
from runbundle.store import ArtifactStore

Durability = Literal["os", "fsync-batch", "fsync"]
"""`os`: an acknowledged record survives the process. `fsync-batch`: the machine, after 0.1 s. `fsync`: the machine."""

_log = logging.getLogger("runbundle")


_FEW = 256
"""Runs that may wait for their seal with a journal that takes up to 64 KiB more room than its lines."""


@dataclass
class _Run:
    key: RunKey
    writer: JournalWriter | None = None
    open: int = 0
    ended: bool = False
    begun: bool = False
    dropped: int = 0
    records: int = 0
    trace_id: str = ""


class Recorder:
    """Journals redacted records and seals runs into a store. Thread-safe; never raises from a record's path."""

    def __init__(
        self,
        store: ArtifactStore,
        spool: Path,
        *,
        grace_s: float = 2.0,
        durability: Durability = "os",
        spool_limit_bytes: int = SPOOL_LIMIT_BYTES,
        recover: bool = False,
        seal: SealedBy | None = None,
    ) -> None:
        """`recover`: seal, in the background, runs that dead processes left in the spool. `seal`: who seals, by default
        who the variable says.
        """
        self.store = store
        self.spool = spool
        self._batched = durability == "fsync-batch"
        self._runs: dict[RunKey, _Run] = {}
        self.losses = Losses(spool)
        """What this process could not keep; it is noted in the spool, too."""
        self._written = 0
        self._limit = SpoolLimit(spool_limit_bytes, lambda: written_bytes(self.spool, self._writer_id))
        self._unsynced = Unsynced(self._complain)
        self._stop = threading.Event()
        mapped = "maps" not in stands_on(spool).lacks
        self._journal = partial(JournalWriter.open_in, sync_each=durability == "fsync", mapped=mapped)
        publisher = Publisher(sealed_by(seal))
        self.sealed_by = publisher.by
        """Who is to seal."""
        self._sealer = Sealer(store, spool, grace_s, self.losses, self._let_go, lambda: list(self._runs), publisher)
        self._reset_process()
        _recorders.add(self)
        if recover:
            self._sealer.look_for_orphans()

    def write_to(self, store: ArtifactStore, spool: Path) -> None:
        """Go on with another store and spool, as a check does: not while anything is recorded or sealed."""
        self.store, self.spool = self._sealer.store, self._sealer.spool = store, spool

    def _reset_process(self) -> None:
        self._lock = Mutex()
        self._waiting = 0  # runs that waited for their seal when the last one was handed over
        self._writer_id = self._sealer.own = f"{os.getpid()}-{uuid4().hex[:12]}"
        self._syncing: threading.Thread | None = None

    def after_fork(self) -> None:
        """Start afresh in a forked child: the parent's runs are the parent's, and so are its files."""
        for run in self._runs.values():
            if run.writer is not None:
                with contextlib.suppress(OSError):
                    run.writer.abandon_after_fork()
        self._unsynced.forget()
        self._limit.reset()
        self._runs = {}
        self._written = 0
        self._stop = threading.Event()
        self.losses.reset()
        self._sealer.after_fork()
        self._reset_process()

    # -- records -------------------------------------------------------------------------------------------------

    def started(
        self,
        key: RunKey,
        trace_id: str,
        span_id: str,
        parent_span_id: str,
        start_ns: int,
        lane: str,
        label: str = "",
        *,
        is_run: bool = False,
        record: SpanRecord | None = None,
    ) -> None:
        """Record that a span has started. `is_run`: it is the run's own, and `record` what is known of it already."""
        if not key.valid:
            return  # its end is counted
        line = start_line(trace_id, span_id, parent_span_id, start_ns, lane, label, is_run=is_run, record=record)
        with self._lock:
            run = self._run(key)
            run.open += 1
            run.begun |= is_run
            try:
                try:
                    (run.writer or self._open(run)).append(line)
                except FileCut:
                    self._renewed(run).append(line)
            except OSError as error:
                # The span itself may still come through; what a lost start costs is only evidence of a crash.
                self._complain(f"the start of a span was not journalled: {error.strerror or error}")

    def ended(self, line: RecordLine, *, is_root: bool) -> None:
        """Record an ended span. `is_root` says that the run ends with it."""
        key = line.run
        if not key.valid:
            self.count_dropped("bad_run_id")
            return
        with self._lock:
            run = self._run(key)
            run.trace_id = line.trace_id
            self._append(run, line)
            self._ended(run, is_root=is_root)

    def ended_unrecorded(self, key: RunKey, *, is_root: bool) -> None:
        """Take note that a span has ended of which no record could be made: its run ends and is sealed without it."""
        if key.valid:
            with self._lock:
                self._ended(self._run(key), is_root=is_root)

    def _ended(self, run: _Run, *, is_root: bool) -> None:
        run.open = max(0, run.open - 1)
        if is_root:
            run.ended = True
            if run.open:
                self._sealer.root_ended(run.key)
        if run.open == 0:
            self._settle(run)

    def logged(self, line: RecordLine) -> None:
        """Record a log record that belongs to a run."""
        key = line.run
        if not key.valid:
            self.count_dropped("bad_run_id")
            return
        with self._lock:
            run = self._run(key)
            self._append(run, line)
            if run.open == 0:
                self._settle(run)

    def holds(self, key: RunKey) -> bool:
        """Tell whether this process writes a run, or any process in this spool, or the store has its bundle.

        A store over a network is not asked, since its answer would keep an agent waiting.
        """
        with self._lock:
            if key in self._runs:
                return True
        with contextlib.suppress(OSError, RunbundleError):
            return bool(key.valid and journal_files(folder_of(self.spool, key))) or (
                not self.store.remote and self.store.exists(f"{key.path}/run.json")
            )
        return False

    def lost(self, key: RunKey) -> int:
        """Return how many records of a run could not be journalled and no local root has stated yet; now one does."""
        with self._lock:
            run = self._runs.get(key)
            if run is None:
                return 0
            self._take_stock(run)
            lost, run.dropped = run.dropped, 0
            return lost

    def count_dropped(self, reason: str, count: int = 1, *, run: RunKey = NO_RUN) -> None:
        """Count records that were lost before they reached this recorder; the run's next local root states them."""
        self.losses.count(reason, count, run if run != NO_RUN else None)
        with self._lock:
            if run in self._runs:
                self._runs[run].dropped += count
        self._sealer.wake()

    def _append(self, run: _Run, line: RecordLine) -> None:
        try:
            if self._limit.written_bytes >= self._limit.limit_bytes:
                self._limit.make_room(self._lock.step_aside)
            try:
                size_bytes = (run.writer or self._open(run)).write(line)
            except FileCut:
                size_bytes = self._renewed(run).write(line)
            run.records += 1
            self._written += 1
            self._limit.written_bytes += size_bytes
        except OSError as error:
            run.dropped += 1 + line.states_lost  # with a local root goes what it was to state; the next one states both
            reason = "spool_limit" if isinstance(error, SpoolFull) else "journal"
            self.losses.count(reason, 1, run.key)
            self._complain(f"a record was not journalled: {error.strerror or error}")

    def _run(self, key: RunKey) -> _Run:
        return self._runs.get(key) or self._runs.setdefault(key, _Run(key))

    def _open(self, run: _Run) -> JournalWriter:
        run.writer = self._journal(folder_of(self.spool, run.key), self._writer_id)
        if run.writer.size_bytes:  # closed before, and not sealed yet: what is in it is in our hands again
            waiting = self._sealer.take_records(run.key)
            run.writer.records += waiting
            run.records += waiting
        if self._batched and self._syncing is None:
            self._syncing = sync_in_turns(self._sync, self._stop)
        return run.writer

    def _settle(self, run: _Run) -> None:
        """No span of the run is open here: hand it over if it has ended, else let others read what we wrote."""
        del self._runs[run.key]
        # Closed here, not at the seal: however many runs wait for that, they hold no files open.
        self._close(run)
        ended, trace_id = run.ended, run.trace_id
        self._waiting = self._sealer.settled(run.key, has_ended=ended, records=run.records, trace_id=trace_id)

    def _renewed(self, run: _Run) -> JournalWriter:
        """Return a new journal for a run whose file somebody else has cut."""
        self._take_stock(run)
        self._shut(run)  # if only space behind the lines was cut off
        return self._open(run)

    def _take_stock(self, run: _Run, *, at_end: bool = False) -> None:
        """Count what somebody else has taken from a run's journal; what follows goes to another."""
        gone = None if run.writer is None else records_lost(self.spool, run.key, run.writer, moved_too=at_end)
        if gone is None:
            return
        self._shut(run)
        run.dropped += gone
        run.records = max(0, run.records - gone)
        if gone:
            self.losses.count("journal_lost", gone, run.key)
            self._complain(
                f"somebody has truncated or removed a journal: {gone} records of run {run.key.path} are lost"
            )

    def _shut(self, run: _Run, *, cut: bool = True) -> None:
        if run.writer is not None:
            with contextlib.suppress(OSError):
                run.writer.close(cut=cut)
            run.writer = None

    def _close(self, run: _Run) -> None:
        self._take_stock(run, at_end=True)
        if run.writer is not None:
            if self._batched:
                self._unsynced.note(run.writer)
            self._shut(run, cut=self._waiting > _FEW)

    def _complain(self, message: str) -> None:
        self._sealer.complain("journal", message)
        if self.losses.write_at < float("inf"):
            self._sealer.wake()

    def _sync(self) -> None:
        """Bring to the disk what `fsync-batch` has let wait."""
        if not self._batched:
            return
        with self._lock:
            for run in self._runs.values():
                if run.writer is not None:
                    self._unsynced.note(run.writer)
            waiting = self._unsynced.take()
        bring_to_disk(waiting, self.spool, self._complain)

    # -- ending --------------------------------------------------------------------------------------------------

    def _let_go(self, key: RunKey) -> int:
        """Close a run whose end was waited for long enough; return how many records it has. What comes now is late."""
        with self._lock:
            if run := self._runs.pop(key, None):
                self._close(run)
            return run.records if run else 0

    def flush(self, timeout_s: float = 30.0, *, take: bool = True) -> FlushResult:
        """Wait until every run that has ended is sealed, at most `timeout_s`; return what became of them.

        Without `take` the next call tells of them too: its caller does not pass on what it is told.
        """
        self._sync()
        result = self._sealer.flush(timeout_s, take=take)
        with self._lock:
            result.pending += sum(not run.ended for run in self._runs.values())
            result.dropped = self.losses.counts()
            result.written = self._written
        self.losses.write(now=True)
        return result

    def close(self, timeout_s: float = 30.0) -> FlushResult:
        """Flush, seal the runs that have not ended as cut off, stop the threads, close the files.

        What is late, or of a run that began elsewhere, is not waited for any more: it is sealed as far as it has come.
        What is waited for takes `timeout_s` in all.
        """
        deadline = time.monotonic() + timeout_s
        with self._lock:
            for run in [run for run in self._runs.values() if not (run.begun or run.ended)]:
                self._settle(run)
        result = self.flush(timeout_s)
        with self._lock:
            for run in self._runs.values():
                self._close(run)
            # Of those that did not begin here some may be sealed already, and what is left of them is late.
            left = {run.key: run.records for run in self._runs.values()}
            begun = sum(run.begun for run in self._runs.values())
            self._runs.clear()
        self._stop.set()
        self._sealer.close(max(0.0, deadline - time.monotonic()))
        self._sealer.abandoned(left)
        if begun:
            _log.warning("%d runs had not ended; what is open in them is marked interrupted", begun)
        self.losses.write(now=True)
        return result


_recorders: "weakref.WeakSet[Recorder]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for recorder in list(_recorders):
        recorder.after_fork()


forks.in_child(forks.Stage.RECORDING, _after_fork_in_child)
