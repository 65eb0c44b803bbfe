"""The one pipeline behind every source of records: accept, journal, notice a run's end, have it sealed.

The caller's thread pays for one append. Assembling and sealing happen on a thread of the sealer's.
"""

import contextlib
import logging
import os
import time
import weakref
from pathlib import Path
from uuid import uuid4

from runbundle.errors import RunbundleError
from runbundle.format.identity import NO_RUN, RunKey
from runbundle.journal.apart import is_in_segment
from runbundle.journal.lines import RecordLine
from runbundle.journal.reader import journal_files
from runbundle.journal.spool import folder_of
from runbundle.process import forks
from runbundle.process.mutex import Mutex
from runbundle.recording.losses import Losses
from runbundle.recording.results import FlushResult
from runbundle.recording.sealer import Sealer
from runbundle.recording.sealing.publisher import Publisher, SealedBy, sealed_by
from runbundle.recording.writing.open_runs import Durability, OpenRun, OpenRuns
from runbundle.recording.writing.segments import LEAVE_S
from runbundle.recording.writing.spool_limit import SPOOL_LIMIT_BYTES
from runbundle.store import ArtifactStore

_log = logging.getLogger("runbundle")


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
        self.losses = Losses(spool)
        """What this process could not keep; it is noted in the spool, too."""
        publisher = Publisher(sealed_by(seal))
        self.sealed_by = publisher.by
        """Who is to seal."""
        self._open_runs = OpenRuns(
            spool, self.losses, self._complain, self._take_records, durability=durability,
            limit_bytes=spool_limit_bytes,
        )  # fmt: skip
        runs, segments = self._open_runs.runs, self._open_runs.segments
        self._sealer = Sealer(store, spool, grace_s, self.losses, self._let_go, lambda: list(runs), publisher, segments)
        self._runs = runs
        self._reset_process()
        _recorders.add(self)
        if recover:
            self._sealer.look_for_orphans()

    @property
    def spool(self) -> Path:
        """The folder of the journals."""
        return self._open_runs.spool

    def write_to(self, store: ArtifactStore, spool: Path) -> None:
        """Go on with another store and spool, as a check does: not while anything is recorded or sealed."""
        self._open_runs.write_to(spool)
        self.store, self._sealer.store, self._sealer.spool = store, store, spool

    def _reset_process(self) -> None:
        self._lock = Mutex()
        self._sealer.own = f"{os.getpid()}-{uuid4().hex[:12]}"
        self._open_runs.reset(self._lock, self._sealer.own)

    def after_fork(self) -> None:
        """Start afresh in a forked child: the parent's runs are the parent's, and so are its files."""
        self.losses.reset()
        self._sealer.after_fork()
        self._reset_process()

    # -- records -------------------------------------------------------------------------------------------------

    def started(self, key: RunKey, line: bytes, *, is_run: bool = False) -> None:
        """Record that a span has started. `is_run`: it is the run's own."""
        if not key.valid:
            return  # its end is counted
        with self._lock:
            run = self._open_runs.run(key)
            run.open += 1
            run.begun |= is_run
            self._open_runs.start(run, line, begins=is_run)
            if self._open_runs.segments.is_new:
                self._sealer.wake()  # it is to look after them

    def ended(self, line: RecordLine, *, is_root: bool) -> None:
        """Record an ended span. `is_root` says that the run ends with it."""
        key = line.run
        if not key.valid:
            self.count_dropped("bad_run_id")
            return
        with self._lock:
            run = self._open_runs.run(key)
            run.trace_id = line.trace_id
            self._open_runs.append(run, line)
            self._ended(run, is_root=is_root)

    def ended_unrecorded(self, key: RunKey, *, is_root: bool) -> None:
        """Take note that a span has ended of which no record could be made: its run ends and is sealed without it."""
        if key.valid:
            with self._lock:
                self._ended(self._open_runs.run(key), is_root=is_root)

    def _ended(self, run: OpenRun, *, is_root: bool) -> None:
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
            run = self._open_runs.run(key)
            self._open_runs.append(run, line)
            if run.open == 0:
                self._settle(run)

    def holds(self, key: RunKey) -> bool:
        """Tell whether this process writes a run, or any process in this spool, or the store has its bundle.

        A store over a network is not asked, since its answer would keep an agent waiting.
        """
        with self._lock:
            if key in self._runs or key in self._open_runs.segments:
                return True
        with contextlib.suppress(OSError, RunbundleError):
            return bool(
                key.valid and (journal_files(folder_of(self.spool, key)) or is_in_segment(self.spool, key))
            ) or (not self.store.remote and self.store.exists(f"{key.path}/run.json"))
        return False

    def lost(self, key: RunKey) -> int:
        """Return how many records of a run could not be journalled and no local root has stated yet; now one does."""
        with self._lock:
            run = self._runs.get(key)
            if run is None:
                return 0
            self._open_runs.take_stock(run)
            lost, run.dropped = run.dropped, 0
            return lost

    def count_dropped(self, reason: str, count: int = 1, *, run: RunKey = NO_RUN) -> None:
        """Count records that were lost before they reached this recorder; the run's next local root states them."""
        self.losses.count(reason, count, run if run != NO_RUN else None)
        with self._lock:
            if run in self._runs:
                self._runs[run].dropped += count
        self._sealer.wake()

    def _settle(self, run: OpenRun) -> None:
        """No span of the run is open here: hand it over if it has ended, else let others read what we wrote."""
        self._open_runs.settle(run)
        self._open_runs.waiting = self._sealer.settled(
            run.key, has_ended=run.ended, records=run.records, trace_id=run.trace_id
        )

    def _take_records(self, key: RunKey) -> int:
        return self._sealer.take_records(key)

    def _complain(self, message: str) -> None:
        self._sealer.complain("journal", message)
        if self.losses.write_at < float("inf"):
            self._sealer.wake()

    # -- ending --------------------------------------------------------------------------------------------------

    def _let_go(self, key: RunKey) -> int:
        """Close a run whose end was waited for long enough; return how many records it has. What comes now is late.

        It stays open if others keep the lock: a signal's handler may be waiting for the sealer in the middle of it.
        """
        if key not in self._runs:
            return 0
        with self._lock.within(LEAVE_S) as mine:
            run = self._runs.pop(key, None) if mine else None
            if run is None:
                return 0
            self._open_runs.close(run)
            return run.records

    def flush(self, timeout_s: float = 30.0, *, take: bool = True) -> FlushResult:
        """Wait until every run that has ended is sealed, at most `timeout_s`; return what became of them.

        Without `take` the next call tells of them too: its caller does not pass on what it is told.
        """
        self._open_runs.sync()
        result = self._sealer.flush(timeout_s, take=take)
        with self._lock:
            result.pending += sum(not run.ended for run in list(self._runs.values()))
            result.written = self._open_runs.written
            self._open_runs.look_for_room()
        result.dropped = self.losses.counts()  # not under the lock: a handler in the middle of a count may want that
        self._open_runs.tidy()
        self.losses.write(now=True)
        return result

    def close(self, timeout_s: float = 30.0) -> FlushResult:
        """Flush, seal the runs that have not ended as cut off, stop the threads, close the files.

        What is late, or of a run that began elsewhere, is not waited for any more: it is sealed as far as it has come.
        What is waited for takes `timeout_s` in all.
        """
        deadline = time.monotonic() + timeout_s
        with self._lock:
            for run in list(self._runs.values()):  # a signal's handler may begin one
                if not (run.begun or run.ended):
                    self._settle(run)
        result = self.flush(timeout_s)
        with self._lock:
            runs = list(self._runs.values())
            for run in runs:
                self._open_runs.close(run)
            # Of those that did not begin here some may be sealed already, and what is left of them is late.
            left = {run.key: run.records for run in runs}
            begun = sum(run.begun for run in runs)
            self._runs.clear()
        self._open_runs.stop()
        self._sealer.close(max(0.0, deadline - time.monotonic()))
        self._sealer.abandoned(left)
        self._open_runs.tidy()
        if begun:
            _log.warning("%d runs had not ended; what is open in them is marked interrupted", begun)
        self.losses.write(now=True)
        return result


_recorders: "weakref.WeakSet[Recorder]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for recorder in list(_recorders):
        recorder.after_fork()


forks.in_child(forks.Stage.RECORDING, _after_fork_in_child)
