"""The one pipeline behind every source of records: accept, journal, notice a run's end, seal.

The caller's thread pays for one append. Assembling and sealing happen on a thread of the recorder's own.
"""

import contextlib
import logging
import os
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from runbundle.bundle.journal import JournalWriter
from runbundle.bundle.publish import publish
from runbundle.codec.journal_lines import start_line
from runbundle.errors import BundleQuarantined, RunbundleError
from runbundle.models.identity import valid_run_id
from runbundle.models.records import LogRecordDict, SpanRecord
from runbundle.store import ArtifactStore

_log = logging.getLogger("runbundle")
_LOG_EVERY_S = 30.0


@dataclass
class FlushResult:
    """What `flush()` found."""

    sealed: list[str] = field(default_factory=list[str])
    """Keys of the bundles sealed since the last flush, oldest first (the last 1,000 of them)."""
    failed: dict[str, str] = field(default_factory=dict[str, str])
    """Run id to reason. Their records stay in the spool."""
    pending: int = 0
    """Runs that have not ended, or were not sealed in time."""
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    """Records lost since the start of the process, by reason."""

    def __bool__(self) -> bool:
        """Whether nothing failed, is pending or was lost."""
        return not (self.failed or self.pending or self.dropped)


@dataclass
class _Run:
    run_id: str
    writer: JournalWriter | None = None
    open: int = 0
    root_ended_at: float | None = None
    dropped: int = 0


class Recorder:
    """Journals redacted records and seals runs into a store. Thread-safe; never raises from a record's path."""

    def __init__(self, store: ArtifactStore, spool: Path, *, grace_s: float = 2.0) -> None:
        self.store = store
        self.spool = spool
        self._grace_s = grace_s
        self._runs: dict[str, _Run] = {}
        self._ready: deque[_Run] = deque()
        self._sealing = 0
        self._sealed: deque[str] = deque(maxlen=1000)
        self._failed: dict[str, str] = {}
        self._dropped: dict[str, int] = {}
        self._logged_at: dict[str, float] = {}
        self._closed = False
        self._reset_process()
        _recorders.add(self)

    def _reset_process(self) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._writer_id = f"{os.getpid()}-{uuid4().hex[:12]}"
        self._thread: threading.Thread | None = None

    def after_fork(self) -> None:
        """Start afresh in a forked child: the parent's runs are the parent's, and so are its files."""
        for run in [*self._runs.values(), *self._ready]:
            if run.writer is not None:
                with contextlib.suppress(OSError):
                    run.writer.abandon_after_fork()
        self._runs, self._ready, self._sealing = {}, deque(), 0
        self._reset_process()

    # -- records -------------------------------------------------------------------------------------------------

    def started(
        self,
        run_id: str,
        trace_id: str,
        span_id: str,
        parent_span_id: str,
        start_ns: int,
        lane: str,
        *,
        is_run: bool = False,
    ) -> None:
        """Record that a span has started. `is_run` says that it is the run's own span."""
        if not valid_run_id(run_id):
            return  # its end is counted
        line = start_line(trace_id, span_id, parent_span_id, start_ns, lane, is_run=is_run)
        with self._condition:
            run = self._run(run_id)
            run.open += 1
            try:
                (run.writer or self._open(run)).append(line)
            except OSError as error:
                # The span itself may still come through; what a lost start costs is only evidence of a crash.
                self._complain("journal", f"the start of a span was not journalled: {error.strerror or error}")

    def ended(self, record: SpanRecord, *, is_root: bool) -> None:
        """Record an ended span. `is_root` says that the run ends with it."""
        if not valid_run_id(record["run_id"]):
            self.count_dropped("bad_run_id")
            return
        with self._condition:
            run = self._run(record["run_id"])
            run.open = max(0, run.open - 1)
            self._append(run, "span", record)
            if is_root:
                run.root_ended_at = time.monotonic()
                self._start_thread()
            if run.open == 0:
                self._settle(run)
                if is_root or run.root_ended_at is not None:
                    self._condition.notify_all()

    def logged(self, record: LogRecordDict) -> None:
        """Record a log record that belongs to a run."""
        if not valid_run_id(record["run_id"]):
            self.count_dropped("bad_run_id")
            return
        with self._condition:
            run = self._run(record["run_id"])
            self._append(run, "log", record)
            if run.open == 0:
                self._settle(run)

    def lost(self, run_id: str) -> int:
        """Return how many records of a run could not be journalled so far in this process."""
        run = self._runs.get(run_id)
        return run.dropped if run else 0

    def count_dropped(self, reason: str, count: int = 1) -> None:
        """Count records that were lost before they reached this recorder."""
        with self._condition:
            self._dropped[reason] = self._dropped.get(reason, 0) + count

    def _append(self, run: _Run, kind: str, record: SpanRecord | LogRecordDict) -> None:
        try:
            (run.writer or self._open(run)).append_record(kind, record)
        except (OSError, TypeError, ValueError) as error:
            run.dropped += 1
            self._dropped["journal"] = self._dropped.get("journal", 0) + 1
            self._complain("journal", f"a record was not journalled: {getattr(error, 'strerror', '') or error}")

    def _run(self, run_id: str) -> _Run:
        run = self._runs.get(run_id)
        if run is None:
            run = self._runs[run_id] = _Run(run_id)
        return run

    def _open(self, run: _Run) -> JournalWriter:
        run.writer = JournalWriter(self.spool / run.run_id / f"{self._writer_id}.jsonl")
        return run.writer

    def _settle(self, run: _Run) -> None:
        """No span of the run is open here: hand it over if it has ended, else let others read what we wrote."""
        del self._runs[run.run_id]
        if run.root_ended_at is not None:
            self._ready.append(run)
        # Closed here, not at the seal: however many runs wait for that, they hold no files open.
        if run.writer is not None:
            run.writer.close()
            run.writer = None

    # -- sealing -------------------------------------------------------------------------------------------------

    def _start_thread(self) -> None:
        if self._thread is None and not self._closed:
            thread = threading.Thread(target=self._work, name="runbundle-seal", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is shutting down: close() seals on the caller's thread
                return
            self._thread = thread

    def _work(self) -> None:
        condition = self._condition
        while True:
            with condition:
                self._take_overdue()
                while not self._ready:
                    if self._closed:
                        return
                    condition.wait(self._next_deadline())
                    self._take_overdue()
                run = self._ready.popleft()
                self._sealing += 1
            self._seal(run)
            with condition:
                self._sealing -= 1
                condition.notify_all()

    def _next_deadline(self) -> float | None:
        waiting = [run.root_ended_at for run in self._runs.values() if run.root_ended_at is not None]
        return max(0.01, min(waiting) + self._grace_s - time.monotonic()) if waiting else None

    def _take_overdue(self) -> None:
        now = time.monotonic()
        for run in list(self._runs.values()):
            if run.root_ended_at is not None and (self._closed or now >= run.root_ended_at + self._grace_s):
                del self._runs[run.run_id]
                self._ready.append(run)

    def _seal(self, run: _Run) -> None:
        try:
            if run.writer is not None:
                run.writer.close()
            key = publish(self.store, self.spool / run.run_id)
            if key is not None:
                self._sealed.append(key)
        except BundleQuarantined as error:
            self._failed[run.run_id] = str(error)
            _log.critical("run %s: %s", run.run_id, error)
        except RunbundleError as error:
            self._fail(run, str(error))
        except Exception as error:  # noqa: BLE001 - the thread must live; the records stay in the spool
            self._fail(run, f"{type(error).__name__} while sealing")

    def _fail(self, run: _Run, reason: str) -> None:
        self._failed[run.run_id] = reason
        kept = "its records are kept in the spool, for runbundle recover"
        self._complain("seal", f"run {run.run_id} was not sealed: {reason}; {kept}")

    def _complain(self, topic: str, message: str) -> None:
        """Log, at most once in a while for each topic."""
        now = time.monotonic()
        if now - self._logged_at.get(topic, -_LOG_EVERY_S) >= _LOG_EVERY_S:
            self._logged_at[topic] = now
            _log.error("%s", message)

    # -- ending --------------------------------------------------------------------------------------------------

    def flush(self, timeout_s: float = 30.0) -> FlushResult:
        """Wait until every run that has ended is sealed, at most `timeout_s`; return what became of them."""
        deadline = time.monotonic() + timeout_s
        with self._condition:
            if self._ready or self._ended():
                self._start_thread()
            if self._thread is None:
                self._seal_here()
            while self._ready or self._sealing or self._ended():
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._condition.notify_all()
                self._condition.wait(min(left, 0.05))
            result = FlushResult(
                list(self._sealed),
                dict(self._failed),
                len(self._runs) + len(self._ready) + self._sealing,
                dict(self._dropped),
            )
            self._sealed.clear()
            self._failed.clear()
            return result

    def _seal_here(self) -> None:
        """Seal without a thread. Called with the lock held, when no other thread can be sealing."""
        for run in [run for run in self._runs.values() if run.root_ended_at is not None]:
            del self._runs[run.run_id]
            self._ready.append(run)
        while self._ready:
            self._seal(self._ready.popleft())

    def _ended(self) -> bool:
        return any(run.root_ended_at is not None for run in self._runs.values())

    def close(self, timeout_s: float = 30.0) -> FlushResult:
        """Flush, stop the thread, close the files. Runs without an end stay in the spool, and a warning says so."""
        result = self.flush(timeout_s)
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            for run in self._runs.values():
                if run.writer is not None:
                    run.writer.close()
            if self._runs:
                kept = "their records are kept in the spool, for runbundle recover"
                _log.warning("%d runs had not ended; %s", len(self._runs), kept)
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)
        return result


_recorders: "weakref.WeakSet[Recorder]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for recorder in list(_recorders):
        recorder.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
