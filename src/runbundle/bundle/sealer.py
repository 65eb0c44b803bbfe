"""Sealing off the agent's thread: which runs are due, when, and what became of them."""

import contextlib
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from runbundle.bundle.publish import BegunElsewhere, Published, StillWritten, publish, recover
from runbundle.bundle.spool import spooled_runs
from runbundle.errors import BundleQuarantined, RunbundleError, StoreUnavailable
from runbundle.models.identity import RunKey
from runbundle.store import ArtifactStore

_log = logging.getLogger("runbundle")
_LOOK_EVERY_S = 0.05  # whether another process has let go of a run
_TRIES_OF_A_PART = 2
_RETRY_FIRST_S, _RETRY_LAST_S = 1.0, 60.0  # while a store is unavailable
_KEPT = "its records are kept in the spool, for runbundle recover"


@dataclass
class FlushResult:
    """What `flush()` found."""

    sealed: list[str] = field(default_factory=list[str])
    """Keys of the bundles sealed since the last flush, oldest first (the last 1,000 of them)."""
    failed: dict[str, str] = field(default_factory=dict[str, str])
    """Key of the run, `<run_id>` or `<tenant_id>/<run_id>`, to reason. Their records stay in the spool."""
    pending: int = 0
    """Runs that have not ended, or were not sealed in time."""
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    """Records lost since the start of the process, by reason."""
    written: int = 0
    """Spans and logs written to journals since the start of the process."""
    outside: int = 0
    """Spans that were in no run: of a server, say, or of a thread that was not given the context. No loss by itself."""
    outside_scopes: dict[str, int] = field(default_factory=dict[str, int])
    """The same, and log records outside any run, by instrumentation scope."""
    unsampled: int = 0
    """Runs that somebody else's sampler kept from being recorded, since the start of the process."""
    collided: dict[str, int] = field(default_factory=dict[str, int])
    """Claims to an identity that another has, by kind: `run_begun_twice`, `span_id`. Since the start of the process."""
    refused: dict[str, int] = field(default_factory=dict[str, int])
    """Spans and logs that an exporter which we built could not deliver, by reason. They are in their bundles."""

    def __bool__(self) -> bool:
        """Whether nothing failed, is pending, was lost, unsampled, refused, or collides."""
        return not (self.failed or self.pending or self.dropped or self.unsampled or self.collided or self.refused)


@dataclass
class _Due:
    """A run that waits for its seal. Times are of the monotonic clock."""

    at: float
    """When to try."""
    last: float
    """When to seal it, whoever is still writing it."""
    settled: bool = False
    """No span of it is open in this process."""
    tries: int = 0
    """In vain: its bundle is not there yet, if it is a part, or the store was not."""
    part: bool = False
    """It was begun elsewhere: what is here is sealed only into a bundle that is there already."""


class Sealer:
    """Seals runs on a thread of its own, which it starts when it is needed. Thread-safe; never raises."""

    def __init__(self, store: ArtifactStore, spool: Path, grace_s: float, let_go: Callable[[RunKey], None]) -> None:
        """`let_go` closes this process's journal of a run of which spans are still open."""
        self._store = store
        self._spool = spool
        self._grace_s = grace_s
        self._let_go = let_go
        self._due: dict[RunKey, _Due] = {}
        self._orphans: deque[RunKey] = deque()
        self._at_work = 0
        self._sealed: deque[str] = deque(maxlen=1000)
        self._failed: dict[RunKey, str] = {}
        self._collided: dict[RunKey, dict[str, int]] = {}
        self._logged_at: dict[str, float] = {}
        self._closed = False
        self.reset()

    def reset(self) -> None:
        """Start afresh, as a forked child must: the parent's runs are the parent's."""
        self._due, self._orphans, self._at_work = {}, deque(), 0
        # Re-entrant: a signal's handler may call shutdown() in the middle of anything.
        self._condition = threading.Condition(threading.RLock())
        self._thread: threading.Thread | None = None

    def root_ended(self, key: RunKey) -> None:
        """Take note that a run has ended; spans of it that are still open are waited for."""
        last = time.monotonic() + self._grace_s
        self._expect(key, _Due(last, last))

    def settled(self, key: RunKey, *, has_ended: bool) -> None:
        """Take note that no span of the run is open in this process. Its journal here is closed.

        If it has not ended here, its end is elsewhere, or was before: what is here is late, if so.
        """
        now = time.monotonic()
        last = now + self._grace_s
        self._expect(key, _Due(now if has_ended else last, last, settled=True, part=not has_ended))

    def _expect(self, key: RunKey, due: _Due) -> None:
        with self._condition:
            known = self._due.get(key)
            if known is None or known.part:
                self._due[key] = due
            elif due.settled:
                known.settled, known.at = True, min(known.at, due.at)
            self._start_thread()
            self._condition.notify_all()

    def look_for_orphans(self) -> None:
        """Recover, in the background, what writers that are dead left in the spool."""
        with contextlib.suppress(OSError):
            self._orphans.extend(spooled_runs(self._spool))
        if self._orphans:
            with self._condition:
                self._start_thread()
                self._condition.notify_all()

    def abandoned(self, keys: list[RunKey]) -> None:
        """Seal runs that will not end in this process, which is ending: what is open in them is interrupted."""
        for key in keys:
            self._recover(key)

    # -- the thread ----------------------------------------------------------------------------------------------

    def _start_thread(self) -> None:
        if self._thread is None and not self._closed:
            thread = threading.Thread(target=self._work, name="runbundle-seal", daemon=True)
            with contextlib.suppress(RuntimeError):  # the interpreter is shutting down: flush() seals on its thread
                thread.start()
                self._thread = thread

    def _work(self) -> None:
        condition = self._condition
        while True:
            with condition:
                job = self._take()
                while job is None:
                    if self._closed:
                        return
                    condition.wait(self._wait_s())
                    job = self._take()
                self._at_work += 1
            try:
                self._do(*job)
            finally:
                with condition:
                    self._at_work -= 1
                    condition.notify_all()

    def _take(self) -> tuple[RunKey, _Due | None] | None:
        """Return a run to see to now; a run without a due date is an orphan."""
        now = time.monotonic()
        for key, due in self._due.items():
            if due.at <= now:
                del self._due[key]
                return key, due
        return (self._orphans.popleft(), None) if self._orphans and not self._closed else None

    def _wait_s(self) -> float | None:
        times = [due.at for due in self._due.values()]
        return max(0.001, min(times) - time.monotonic()) if times else None

    def _do(self, key: RunKey, due: _Due | None) -> None:
        if due is None:
            self._recover(key)
            return
        again = self._seal(key, due)
        if again is not None:
            with self._condition:
                known = self._due.get(key)
                if known is None or known.part:
                    self._due[key] = again

    def _seal(self, key: RunKey, due: _Due) -> _Due | None:
        """Seal a run; return when to try again, if it is to be."""
        now = time.monotonic()
        overdue = now >= due.last
        if not due.settled:
            self._let_go(key)
        try:
            published = publish(
                self._store,
                self._spool,
                key,
                wait=not (overdue or due.part),
                parts=not due.part,
                grace_s=self._grace_s if overdue and not due.part else None,
            )
            self._failed.pop(key, None)
            if published is not None:
                self._sealed.append(published.key)
                self._note_collisions(key, published)
        except StillWritten as error:
            if overdue:  # nothing of it can be read: all its journals are held
                self._fail(key, error.message)
                return None
            return replace(due, at=min(due.last, now + _LOOK_EVERY_S), settled=True)
        except BegunElsewhere:
            # Whoever began it takes it along, unless it is being sealed just now: then it is late.
            if due.tries < _TRIES_OF_A_PART:
                return replace(due, at=now + 5 * self._grace_s, tries=due.tries + 1)
        except BundleQuarantined as error:
            self._failed[key] = str(error)
            _log.critical("run %s: %s", key.path, error)
        except StoreUnavailable as error:
            self._fail(key, str(error))
            wait_s = min(_RETRY_FIRST_S * 2**due.tries, _RETRY_LAST_S)
            return replace(due, at=now + wait_s, settled=True, tries=due.tries + 1)
        except RunbundleError as error:
            self._fail(key, str(error))
        except Exception as error:  # noqa: BLE001 - the thread must live; the records stay in the spool
            self._fail(key, f"{type(error).__name__} while sealing")
        return None

    def _note_collisions(self, run: RunKey, published: Published) -> None:
        if published.collided:
            self._collided[run] = published.collided
            kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(published.collided.items()))
            self.complain("collided", f"{published.key} has records of another run ({kinds}); its bundle says so")

    def _recover(self, key: RunKey) -> None:
        try:
            found = recover(self._store, self._spool, key)
        except Exception as error:  # noqa: BLE001 - never raise into the application
            self._fail(key, f"{type(error).__name__} while recovering")
            return
        if found.outcome == "recovered":
            self._sealed.append(found.key)
            self.complain("recover", f"run {key.path} had been cut off; it is sealed now", level=logging.WARNING)
        elif found.outcome == "failed":
            self._fail(key, found.note)

    def _fail(self, key: RunKey, reason: str) -> None:
        self._failed[key] = reason
        self.complain("seal", f"run {key.path} was not sealed: {reason}; {_KEPT}")

    def complain(self, topic: str, message: str, *, level: int = logging.ERROR) -> None:
        """Log, at most once in a while for each topic."""
        now = time.monotonic()
        if now - self._logged_at.get(topic, -30.0) >= 30.0:
            self._logged_at[topic] = now
            _log.log(level, "%s", message)

    # -- ending --------------------------------------------------------------------------------------------------

    def flush(self, timeout_s: float, *, take: bool = True) -> FlushResult:
        """Wait until every run that has ended is sealed, at most `timeout_s`, and all late data that is here too."""
        now = time.monotonic()
        deadline = now + timeout_s
        with self._condition:
            for due in self._due.values():
                if due.part or due.tries:
                    due.at, due.tries = now, 0
            if self._due:
                self._start_thread()
            self._condition.notify_all()
            while self._thread is not None and (self._at_work or self._waiting()):
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._condition.wait(min(left, _LOOK_EVERY_S))
            alone = self._thread is None
        while alone and self._waiting() and time.monotonic() < deadline:
            self._flush_here()
        with self._condition:
            collided: Counter[str] = Counter()
            for kinds in self._collided.values():
                collided.update(kinds)
            result = FlushResult(
                list(self._sealed), {key.path: reason for key, reason in self._failed.items()}, len(self._waiting())
            )
            result.collided = dict(collided)
            if take:
                self._sealed.clear()
                self._failed.clear()
            return result

    def _waiting(self) -> list[RunKey]:
        with self._condition:
            return [key for key, due in self._due.items() if not due.tries]

    def _flush_here(self) -> None:
        """Seal without a thread: the interpreter is shutting down."""
        with self._condition:  # other threads may go on recording
            job, wait_s = self._take(), self._wait_s()
        if job is None:
            time.sleep(min(_LOOK_EVERY_S, wait_s or 0))
        else:
            self._do(*job)

    def close(self, timeout_s: float) -> None:
        """Stop the thread."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)
            if not thread.is_alive():
                self._thread = None  # from now on flush() seals on its caller's thread
