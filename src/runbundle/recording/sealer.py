"""Sealing off the agent's thread: which runs are due, when, and what became of them."""

import contextlib
import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from runbundle.errors import BundleQuarantined, RunbundleError, StoreUnavailable
from runbundle.format.identity import RunKey
from runbundle.format.layout import QUARANTINE
from runbundle.journal.spool import folder_of
from runbundle.process import forks
from runbundle.process.complaints import Complaints
from runbundle.recording.due import Due, DueRuns
from runbundle.recording.losses import Losses
from runbundle.recording.results import (
    MOST_TOGETHER,
    BegunElsewhere,
    FlushResult,
    Published,
    Results,
    StillWritten,
    Wanted,
)
from runbundle.recording.sealing.publisher import Publisher
from runbundle.recording.sweep import Found, Sweep
from runbundle.recording.writing.segments import Segments
from runbundle.store import ArtifactStore

_log = logging.getLogger("runbundle")
_LOOK_EVERY_S = 0.05  # whether another process has let go of a run
_TRIES_OF_A_PART = 2
_RETRY_FIRST_S, _RETRY_LAST_S = 1.0, 60.0  # while a store is unavailable
_TOGETHER_S = 0.1  # runs that end within it in a busy process are sealed together
_NEVER = float("inf")
_QUIET_S = 1.0  # beyond the grace: the process of a run may be about to seal it
_GONE = "its journals are gone from the spool"
_KEPT = "its records are kept in the spool, for runbundle recover"


class Sealer:
    """Seals runs on a thread of its own, which it starts when it is needed. Thread-safe; never raises."""

    def __init__(
        self,
        store: ArtifactStore,
        spool: Path,
        grace_s: float,
        losses: Losses,
        let_go: Callable[[RunKey], int],
        writing: Callable[[], list[RunKey]],
        publisher: Publisher,
        segments: Segments,
    ) -> None:
        """`let_go` closes this process's journal of a run of which spans are still open, and returns how many records
        it wrote; `writing` returns the runs it is writing.
        """
        self.store, self.spool, self._segments = store, spool, segments
        self._publisher = publisher
        self._grace_s, self._losses, self._let_go = grace_s, losses, let_go
        self._writing, self.own = writing, ""  # what the names of this process's journals begin with
        self._sweep: Sweep | None = None
        self._parent = 0
        self._at_work, self._closed = 0, False
        self._results = Results()
        self.complain = Complaints().complain
        self.reset()

    def after_fork(self) -> None:
        """Start afresh in a forked child: the parent's runs are the parent's. It sweeps for as long as it lives."""
        self._parent = os.getppid()
        self._results = Results()
        self._publisher.counts.clear()
        self.reset()

    def reset(self) -> None:
        """Forget what was to be sealed."""
        self._due, self._orphans, self._at_work = DueRuns(), deque[Found](), 0
        self._sleeps_until = _NEVER
        self._in_hand = set[RunKey]()  # taken from those due, and not sealed yet
        # Re-entrant: a signal's handler may call shutdown() in the middle of anything.
        self._condition = threading.Condition(threading.RLock())
        self._thread: threading.Thread | None = None

    def root_ended(self, key: RunKey) -> None:
        """Take note that a run has ended; spans of it that are still open are waited for."""
        last = time.monotonic() + self._grace_s
        self._expect(key, Due(last, last))

    def settled(self, key: RunKey, *, has_ended: bool, records: int = 0, trace_id: str = "") -> int:
        """Take note that no span of the run is open in this process. Its journal here, of `records`, is closed.
        Returns how many runs wait now. One in a segment waits for others that end.

        If it has not ended here, its end is elsewhere, or was before: what is here is late, if so.
        """
        now = time.monotonic()
        last = now + self._grace_s
        soon = now if key not in self._segments else math.ceil(now / _TOGETHER_S) * _TOGETHER_S
        due = Due(soon if has_ended else last, last, settled=True, part=not has_ended)
        due.records, due.trace_id = records, trace_id
        return self._expect(key, due)

    def take_records(self, key: RunKey) -> int:
        """Return how many records of a run wait for their seal: they are again in the hands of a writer."""
        with self._condition:
            return self._due.take_records(key)

    def _expect(self, key: RunKey, due: Due) -> int:
        with self._condition:
            self._due.expect(key, due)
            self._start_thread()
            if due.at < self._sleeps_until:
                self._condition.notify_all()  # which costs both threads more than to be handed a run
            return len(self._due)

    def look_for_orphans(self) -> None:
        """Seal, in the background, what writers that are dead have left in the spool: now, and again now and then."""
        self._sweep = Sweep(self.store, self.spool, self._grace_s + _QUIET_S)
        with contextlib.suppress(OSError):
            self._orphans.extend(self._sweep.everything())
        self.wake()

    def wake(self) -> None:
        """Have the thread see what there is to do."""
        self._segments.is_new = False
        with self._segments.lock, self._condition:
            self._start_thread()
            self._condition.notify_all()

    def abandoned(self, runs: dict[RunKey, int]) -> None:
        """Seal what this process, which is ending, has of runs that will not end in it: so many records of each."""
        for key, records in runs.items():
            try:
                self._recover(Found(key, alone=False), records - self._segments.leave(key))
            except StoreUnavailable as error:  # its lines are in the segment
                self._fail(key, str(error))

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
                    wait_s = self._wait_s()
                    self._sleeps_until = _NEVER if wait_s is None else time.monotonic() + wait_s
                    condition.wait(wait_s)
                    job = self._take()
                self._at_work += 1
            try:
                job()
            except Exception as error:  # noqa: BLE001 - the thread must live: without it nothing is sealed any more
                self.complain("work", f"sealing goes on after {type(error).__name__}")
            finally:
                with condition:
                    self._at_work -= 1
                    condition.notify_all()

    def _take(self, *, alone: bool = False) -> Callable[[], None] | None:
        """Return what to do now; `alone`: only what is this process's own."""
        now = time.monotonic()
        found: list[tuple[RunKey, Due]] = []
        while len(found) < MOST_TOGETHER and (one := self._due.take(now)) is not None:
            found.append(one)
        if found:
            self._in_hand.update(key for key, _ in found)
            return partial(self._do_all, found)
        if alone or self._closed:
            return None
        if self._orphans:
            return partial(self._recover, self._orphans.popleft())
        if self._losses.write_at <= now:
            return self._losses.write
        if self._segments.next_at <= now:
            return self._segments.tidy
        return self._look if self._sweep and self._sweep.next_at <= now else None

    def _wait_s(self) -> float | None:
        looks_at = self._sweep.next_at if self._sweep else _NEVER
        first = min(self._due.first_at(), looks_at, self._losses.write_at, self._segments.next_at)
        return max(0.001, first - time.monotonic()) if first < _NEVER else None

    def _do_all(self, found: list[tuple[RunKey, Due]]) -> None:
        """Seal what is due just now, as far as that can be done at once, and the rest one after another."""
        done: dict[RunKey, Published | StoreUnavailable] = {}
        with contextlib.ExitStack() as each:  # goes through all, whatever is raised
            for key, due in reversed(found):
                each.callback(self._do, key, due, done)
            if len(found) > 1 or found[0][0] in self._segments:
                done |= self._together(found)

    def _together(self, found: list[tuple[RunKey, Due]]) -> dict[RunKey, Published | StoreUnavailable]:
        now = time.monotonic()
        wanted: list[Wanted] = []
        for key, due in found:
            if due.settled and not due.part:
                overdue = now >= due.last
                due.records += self._let_go(key) if overdue else 0
                grace_s = self._grace_s if overdue else None
                wanted.append(Wanted(key, not overdue, grace_s, self._segments.ended_lines(key)))
        return self._publisher.publish_together(self.store, self.spool, wanted, own=self.own)

    def _do(self, key: RunKey, due: Due, done: dict[RunKey, Published | StoreUnavailable]) -> None:
        again = None
        try:
            again = self._seal(key, due, done.get(key))
        finally:
            with self._condition:
                if again is not None:
                    self._due.put_back(key, again)
                self._in_hand.discard(key)

    def _look(self) -> None:
        """Look for runs whose writers have died."""
        assert self._sweep is not None
        if self._parent and os.getppid() == self._parent:
            self._sweep.put_off()  # the parent does it
            return
        with self._condition:
            ours = {*self._due.keys(), *self._writing()}
        with contextlib.suppress(OSError):
            self._orphans.extend(self._sweep.look(ours))

    def _seal(self, key: RunKey, due: Due, done: Published | StoreUnavailable | None) -> Due | None:
        """Seal a run, unless that is `done`; return when to try again, if it is to be."""
        now = time.monotonic()
        overdue = now >= due.last
        # Spans may have begun since its last one here ended.
        if done is None and (not due.settled or (overdue and not due.part)):
            due.records += self._let_go(key)
        try:
            if isinstance(done, Published):
                self._segments.sealed(key)
            else:
                due.records -= self._segments.leave(key)
            if isinstance(done, StoreUnavailable):
                raise done
            published = done or self._publisher.publish(
                self.store,
                self.spool,
                key,
                wait=not (overdue or due.part),
                parts=not due.part,
                grace_s=self._grace_s if overdue and not due.part else None,
                own=self.own,
            )
            self._results.failed.pop(key, None)
            if published is not None:
                self._results.add(key, published)
                self._losses.sealed(key)
                self._note_collisions(published)
            elif overdue and not due.part and key in self._writing():  # `let_go` was not let in
                return replace(due, at=now + _LOOK_EVERY_S)
            else:
                self._nothing_there(key, due.records, due.trace_id)
        except StillWritten as error:
            if due.part and key in self._writing():
                return None  # this process goes on with it, and comes again when it has no more
            if overdue and key not in self._writing():  # nothing of it can be read: all its journals are held
                self._fail(key, error.message)
                return None
            # Overdue, a record has come late, so that this process has opened the journal again just now.
            return replace(due, at=now + _LOOK_EVERY_S if overdue else min(due.last, now + _LOOK_EVERY_S), settled=True)
        except BegunElsewhere:
            # Whoever began it takes it along, unless it is being sealed just now: then it is late.
            if due.tries < _TRIES_OF_A_PART:
                return replace(due, at=now + 5 * self._grace_s, tries=due.tries + 1)
            if self._sweep is not None:
                self._sweep.tried(key, part=True)
        except BundleQuarantined as error:
            self._results.failed[key] = str(error)
            _log.critical("run %s: %s", key.path, error)
        except StoreUnavailable as error:
            self._fail(key, str(error))
            wait_s = min(_RETRY_FIRST_S * 2**due.tries, _RETRY_LAST_S)
            return replace(due, at=now + wait_s, settled=True, tries=due.tries + 1)
        except RunbundleError as error:
            self._give_up(key, str(error))
        except Exception as error:  # noqa: BLE001 - the thread must live; the records stay in the spool
            self._give_up(key, f"{type(error).__name__} while sealing")
        return None

    def _nothing_there(self, key: RunKey, records: int, trace_id: str) -> None:
        """Take note that there are no journals of a run of which this process wrote some: were they sealed, or lost?"""
        with forks.loading():
            from runbundle.recording.publish import is_sealed
        if not records or is_sealed(self.store, key, trace_id):
            return
        if folder_of(self.spool / QUARANTINE, key).exists():
            self._results.failed[key] = "another process has put it into quarantine"
            return
        self._losses.count("journal_lost", records, key)
        self._results.failed[key] = _GONE
        self.complain("gone", f"run {key.path} was not sealed: {_GONE}; {records} records are lost")

    def _note_collisions(self, published: Published) -> None:
        if published.collided:
            for kind, count in self._results.collisions().items():
                self._losses.state(f"collided: {kind}", count)
            kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(published.collided.items()))
            self.complain("collided", f"{published.key} has records of another run ({kinds}); its bundle says so")

    def _recover(self, orphan: Found, records: int = 0) -> None:
        """Seal what its writers left; of `records` this process knows that they were there."""
        with forks.loading():  # configure() does not wait for it
            from runbundle.recording.recovery import Outcome, recover

        key, by = orphan.key, self._publisher.publish
        try:
            found = recover(self.store, self.spool, key, parts=orphan.alone, own=self.own, by=by)
            if found.outcome is Outcome.GONE:
                self._nothing_there(key, records, "")
        except Exception as error:  # noqa: BLE001 - never raise into the application
            self._give_up(key, f"{type(error).__name__} while recovering")
            return
        if found.outcome is Outcome.RECOVERED:
            self._results.sealed.append(found.key)
            self._losses.sealed(key)
            self.complain("recover", f"run {key.path} was left by its process; it is sealed now", level=logging.WARNING)
        elif found.outcome is Outcome.FAILED:
            (self._fail if found.again else self._give_up)(key, found.note)
        if self._sweep is not None and found.outcome in (Outcome.FAILED, Outcome.PART):
            self._sweep.tried(key, part=found.outcome is Outcome.PART, again=found.again)

    def _fail(self, key: RunKey, reason: str) -> None:
        self._results.failed[key] = reason
        self.complain("seal", f"run {key.path} was not sealed: {reason}; {_KEPT}")

    def _give_up(self, key: RunKey, reason: str) -> None:
        """Fail, and do not try again for as long as nothing of it changes."""
        self._losses.gave_up(key, reason)
        if self._sweep is not None:
            self._sweep.tried(key)
        self._fail(key, reason)

    # -- ending --------------------------------------------------------------------------------------------------

    def flush(self, timeout_s: float, *, take: bool = True) -> FlushResult:
        """Wait until every run that has ended is sealed, at most `timeout_s`, and all late data that is here too."""
        deadline = (now := time.monotonic()) + timeout_s
        lock, condition = self._segments.lock, self._condition
        # Never the condition alone: a handler that records would wait for one who has the lock and waits for it.
        is_inside = lock.is_mine  # in such a handler; then what waits there must let go of the condition
        with lock, condition:
            self._due.hurry(now)
            if len(self._due):
                self._start_thread()
            condition.notify_all()
        while True:
            with lock, condition:
                alone, at = self._thread is None, time.monotonic()
                if alone or not (self._at_work or self._due.untried()) or at >= deadline:
                    break
                pause_s = min(deadline - at, _LOOK_EVERY_S)
                if is_inside:
                    condition.wait(pause_s)
            if not is_inside:
                time.sleep(min(pause_s, max(0.0005, (at - now) / 10)))
        while alone and self._due.untried() and time.monotonic() < deadline:
            self._flush_here()
        with lock, condition:
            result = self._results.told(len(self._in_hand.union(self._due.untried())), take=take)
        result.sealed_by = self._publisher.counted()
        return result

    def _flush_here(self) -> None:
        """Seal without a thread: the interpreter is shutting down."""
        with self._segments.lock, self._condition:  # other threads may go on recording
            job, wait_s = self._take(alone=True), self._wait_s()
        pause = partial(time.sleep, min(_LOOK_EVERY_S, wait_s or 0))
        (job or pause)()

    def close(self, timeout_s: float) -> None:
        """Stop the thread, and the process that it has had seal."""
        with self._segments.lock, self._condition:
            self._closed = True
            self._condition.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)
            if not thread.is_alive():
                self._thread = None  # from now on flush() seals on its caller's thread
        self._publisher.close()
