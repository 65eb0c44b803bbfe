"""Sends again what a destination did not take: a thread of its own, with connections of its own, one a destination.

While anything waits on disk, new batches go there too and are sent in their order; the forwarder's thread does not wait
for a receiver that is away. A batch whose answer was not seen is sent again: after a crash, a time-out or the end of a
process one batch of each kind may arrive twice.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from runbundle.otel.forwarding.answers import Kind
from runbundle.otel.forwarding.disk_queue import TORN, Batch, DiskQueue
from runbundle.otel.forwarding.sender import Sender
from runbundle.process.complaints import Complaints

_log = logging.getLogger("runbundle")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""How long it waits after the first attempt that failed, and at most; it doubles. A receiver's `Retry-After` may ask
for more, up to ten times the longest."""


class Redelivery:
    """Keeps batches on disk and sends them when their destination is back. Thread-safe; never raises."""

    def __init__(self, name: str, queue: DiskQueue, senders: Mapping[Kind, Sender]) -> None:
        self.queue = queue
        self._name, self._senders = name, senders
        self._complaints = Complaints()
        self.reset()

    def reset(self) -> None:
        """Begin anew in a forked child: what the parent has counted, the parent says; what waits, either sends."""
        self._idle = threading.Condition(threading.RLock())
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._refused: Counter[str] = Counter()
        self._begun, self._passes = 0, 0  # attempts that began, and those that are over
        self._stuck: set[str] = set()
        self._closed = False
        self.delivered = 0
        """Records that were delivered from the disk by this process."""
        self.is_down = False
        """Whether new batches go to the disk, since others wait there."""

    def begin(self) -> None:
        """Send what earlier processes have left."""
        if self.queue.holds_anything():
            self.is_down = True
            self._start()

    def keep(self, kind: Kind, items: Sequence[Any]) -> dict[str, int]:
        """Keep a batch on disk. Return how many records are lost by that, by reason."""
        try:
            body = self._senders[kind].encoded(items)
        except Exception:  # noqa: BLE001 - as an exporter's fault: it is none of the application's
            return {"not_encoded": len(items)}
        with self._idle:
            self.is_down = True
            lost = self.queue.put(kind, len(items), body)
        self._start()
        return lost

    def refused(self) -> dict[str, int]:
        """Return how many records were lost when they were sent again, by reason."""
        with self._idle:
            return dict(self._refused)

    def flush(self, deadline: float) -> bool:
        """Try now, and wait until all is sent, that attempt has failed, or `deadline`; return whether nothing waits.

        An attempt that is under way already is waited for too: it may have met a receiver that is back since.
        """
        if not self.is_down:
            return True
        with self._idle:
            target = self._begun + 1
            self._start()
            self._wake.set()
            while self.is_down and self._passes < target and self._thread is not None and not self._closed:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._idle.wait(left)
        return not self.is_down

    def close(self) -> None:
        """Stop sending; what waits is sent by the next process. May be called again."""
        if self._closed:
            return
        self._closed = True
        self._wake.set()
        for sender in self._senders.values():
            try:
                sender.stop()
            except Exception as error:  # noqa: BLE001 - an exporter's fault at the end must not become the agent's
                _log.error("the end of an exporter failed: %s", type(error).__name__)

    # -- the thread ----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        with self._idle:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._work, name="runbundle-forward-again", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter is shutting down: the next process sends
                    return
                self._thread = thread

    def _work(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._closed:
            with self._idle:
                self._wake.clear()
                self._begun += 1
            before = self.delivered
            try:
                asked_s = self._pass()
            except Exception as error:  # noqa: BLE001 - the thread goes on; what waits is still there
                self._complaints.complain("pass", f"OTLP: sending again failed: {type(error).__name__}")
                asked_s = 0.0
            with self._idle:
                self._passes += 1
                if not self._waiting():
                    self.is_down = False
                    self._thread = None  # the next batch that is kept begins another
                self._idle.notify_all()
                if not self.is_down:
                    return
            pause_s = FIRST_PAUSE_S if self.delivered > before else pause_s
            self._wake.wait(max(pause_s, min(asked_s, 10 * LONGEST_PAUSE_S)))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        with self._idle:
            self._idle.notify_all()  # who waits for the next attempt waits for none

    def _pass(self) -> float:
        """Send what waits, oldest first, until one is not taken. Return how long its receiver wants to be left alone.

        Another process that is sending already goes on alone. A batch that cannot be removed is dealt with once by this
        process: it would be sent on and on.
        """
        with self.queue.sole_sender() as sole:
            if not sole:
                return 0.0
            self._lose({TORN: self.queue.sweep()})
            while waiting := self._waiting():
                for batch in waiting:
                    if self._closed:
                        return 0.0
                    body = self.queue.body(batch)
                    if body is None:
                        if self._removed(batch):  # else it was dropped meanwhile, and counted
                            self._lose({TORN: batch.items})
                        continue
                    sender = self._senders[batch.kind]
                    result = sender.send_encoded(body, batch.items)
                    if result.again:
                        return sender.retry_after_s
                    if self._closed and result.refused:
                        return 0.0  # it was cut short by the end
                    with self._idle:  # before it is gone: who sees that nothing waits sees what became of it
                        self.delivered += batch.items - sum(result.refused.values())
                    self._lose(result.refused)
                    self._removed(batch)
        return 0.0

    def _waiting(self) -> list[Batch]:
        return [batch for batch in self.queue.waiting() if batch.name not in self._stuck]

    def _removed(self, batch: Batch) -> bool:
        """Remove a batch that was dealt with, or pass over it from now on; return whether it was still there."""
        if self.queue.remove(batch):
            return True
        if not self.queue.holds(batch):
            return False
        self._stuck.add(batch.name)
        text = f"OTLP: a batch for {self._name} cannot be removed from {self.queue.folder}; it is passed over"
        self._complaints.complain("stuck", text, level=logging.WARNING)
        return True

    def _lose(self, counts: Mapping[str, int]) -> None:
        lost = {reason: count for reason, count in counts.items() if count}
        if lost:
            with self._idle:
                self._refused.update(lost)
            said = ", ".join(f"{count} {reason}" for reason, count in lost.items())
            text = f"OTLP: spans or logs that waited for {self._name} were lost ({said}); they are in their bundles"
            self._complaints.complain("lost", text, level=logging.WARNING)
