"""Forwards redacted spans and logs in batches, on a thread of its own, and counts what is not delivered.

The SDK's batch processors have no deadline for a flush or a shutdown and do not report losses; both are promised here.
The same variables set the pace: `OTEL_BSP_*` and `OTEL_BLRP_*`.
"""

import contextlib
import copy
import logging
import os
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from runbundle.otel.forwarding import EXPORTERS_S
from runbundle.otel.forwarding.answers import Kind
from runbundle.process import forks

_log = logging.getLogger("runbundle")

Send = Callable[[Sequence[Any]], dict[str, int]]
"""Sends a batch. Returns how many items, of this batch or of others, are lost by it, by reason. Does not raise."""

_COMPLAIN_EVERY_S = 30.0


class Pace(NamedTuple):
    """Limits of a forwarder: items in the queue, items in a batch, seconds between batches."""

    queue: int
    batch: int
    delay_s: float

    @classmethod
    def of_environment(cls, kind: Kind) -> "Pace":
        """Return the pace that the environment sets; by default the SDK's own."""
        prefix, delay = ("OTEL_BSP_", 5000) if kind == "spans" else ("OTEL_BLRP_", 1000)
        queue = _positive(f"{prefix}MAX_QUEUE_SIZE", 2048)
        batch = min(queue, _positive(f"{prefix}MAX_EXPORT_BATCH_SIZE", 512))
        return cls(queue, batch, _positive(f"{prefix}SCHEDULE_DELAY", delay) / 1000)


def _positive(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip()
    return int(text) if text.isascii() and text.isdigit() and int(text) else default


class Forwarder:
    """A queue in front of an exporter. Thread-safe; never raises into the application and never blocks it.

    Items are lost when the queue is full or the end comes too early; `refused()` counts them by reason.
    """

    def __init__(
        self, kind: Kind, send: Send, stop: Callable[[], None], pace: Pace, *, keep: Send | None = None
    ) -> None:
        """`stop` ends the exporter; it may be called while `send` runs, and makes it give up.

        `keep` takes, a batch at a time, what is unsent at the end, to be sent by a later process.
        """
        self._kind, self._send, self._stop, self._pace, self._keep = kind, send, stop, pace, keep
        self._queue: deque[Any] = deque()
        self._refused: Counter[str] = Counter()
        self._complained_at = 0.0
        self._reset()
        _forwarders.add(self)

    def _reset(self) -> None:
        self._idle = threading.Condition(threading.RLock())  # re-entrant: a signal's handler may call shutdown()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._in_flight: list[Any] = []
        self._settled = 0
        self._closed = self._given_up = False

    def after_fork(self) -> None:
        """Start empty in a forked child; the parent sends the items that it has queued."""
        self._queue.clear()
        self._refused.clear()
        self._reset()

    def put(self, item: Any) -> None:
        """Queue one span or log. If the queue is full, the oldest item is dropped and counted."""
        if self._closed:
            self._refuse({"closed": 1})
            return
        self._queue.append(item)
        waiting = len(self._queue)
        if waiting > self._pace.queue:
            with contextlib.suppress(IndexError):
                self._queue.popleft()
                with self._idle:
                    self._settled += 1
                self._refuse({"queue_full": 1})
        if waiting >= self._pace.batch and not self._wake.is_set():
            self._wake.set()
        if self._thread is None:
            self._start()

    def refused(self) -> dict[str, int]:
        """Return how many items were not delivered, by reason, since the start of the process."""
        with self._idle:
            return dict(self._refused)

    def unsent(self) -> int:
        """Return how many items wait for delivery."""
        with self._idle:  # a batch is taken from the one to the other within it
            return len(self._queue) + len(self._in_flight)

    def wake(self) -> None:
        """Have what is queued sent now, and not wait for it."""
        self._start()
        self._wake.set()

    def flush(self, deadline: float) -> bool:
        """Send the items queued by now; return whether all were dealt with by `deadline` (monotonic clock, seconds)."""
        target = self._settled + self.unsent()
        self.wake()
        if self._thread is None:
            self._send_queued(deadline)
        with self._idle:
            while self.unsent() and self._settled < target:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._idle.wait(left)
        return True

    def close(self, deadline: float) -> None:
        """Take no more items, send the queued ones until `deadline`, keep or count the rest. May be called again.

        A batch that is under way at the deadline is kept too: its answer is not known, and it may arrive twice.
        """
        self._closed = True
        self.flush(deadline)
        with self._idle:
            if self._given_up:
                return
            self._given_up = True
            left = [*self._in_flight, *self._queue]
            self._queue.clear()
        if left and self._keep is None:
            self._refuse({"shutdown": len(left)})
        for first in range(0, len(left) if self._keep else 0, self._pace.batch):
            lost = self._keep(left[first : first + self._pace.batch]) if self._keep else {}
            if lost:
                self._refuse(lost)
        try:
            self._stop()
        except Exception as error:  # noqa: BLE001 - an exporter's fault at the end must not become the agent's
            _log.error("the end of an exporter of %s failed: %s", self._kind, type(error).__name__)
        self._wake.set()

    # -- the thread ----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        with self._idle:
            if self._thread is None and not self._given_up:
                thread = threading.Thread(target=self._work, name=f"runbundle-forward-{self._kind}", daemon=True)
                with contextlib.suppress(RuntimeError):  # the interpreter is shutting down: close() sends
                    thread.start()
                    self._thread = thread

    def _work(self) -> None:
        while not self._given_up:
            self._wake.wait(self._pace.delay_s)
            self._wake.clear()
            self._send_queued(float("inf"))

    def _send_queued(self, deadline: float) -> None:
        while self._queue and not self._given_up and time.monotonic() < deadline:
            batch: list[Any] = []
            with self._idle:  # so that what is counted as waiting is never in neither place
                while self._queue and len(batch) < self._pace.batch:
                    batch.append(self._queue.popleft())
                self._in_flight = batch
            refused = self._send(batch)
            with self._idle:  # at once, so that whoever finds nothing under way finds it counted
                self._in_flight = []
                self._settled += len(batch)
                if self._given_up:
                    refused = {}  # all of it is counted or kept already
                self._refused.update(refused)
            if refused:
                self._complain(refused)
            with self._idle:
                self._idle.notify_all()

    def _refuse(self, counts: dict[str, int]) -> None:
        with self._idle:
            self._refused.update(counts)
        self._complain(counts)

    def _complain(self, counts: dict[str, int]) -> None:
        """Log, at most once in a while, and outside the lock: a handler may take its time."""
        now = time.monotonic()
        if not self._complained_at or now - self._complained_at >= _COMPLAIN_EVERY_S:
            self._complained_at = now
            said = ", ".join(f"{count} {reason}" for reason, count in counts.items())
            _log.warning("OTLP: %s were not delivered (%s); they are in their bundles", self._kind, said)


class ForwardingSpanProcessor(SpanProcessor):
    """Hands sampled spans to a forwarder."""

    def __init__(self, forwarder: Forwarder, exporter: Any) -> None:
        self.forwarder = forwarder
        self.exporter = exporter

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span if its sampled flag is set."""
        if span.context is not None and span.context.trace_flags.sampled:
            self.forwarder.put(span)

    def shutdown(self) -> None:
        """Send the queued spans for at most five seconds, then stop."""
        self.forwarder.close(time.monotonic() + EXPORTERS_S)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send the queued spans; return whether all were dealt with in time."""
        return self.forwarder.flush(time.monotonic() + timeout_millis / 1000)


class ForwardingLogProcessor(LogRecordProcessor):
    """Hands log records to a forwarder."""

    def __init__(self, forwarder: Forwarder, exporter: Any) -> None:
        self.forwarder = forwarder
        self.exporter = exporter

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Queue a copy of the record, without its context."""
        record = copy.copy(log_record.log_record)
        record.context = Context()
        self.forwarder.put(
            ReadableLogRecord(
                log_record=record,
                resource=log_record.resource or Resource.get_empty(),
                instrumentation_scope=log_record.instrumentation_scope,
                limits=log_record.limits,
            )
        )

    def shutdown(self) -> None:
        """Send the queued log records for at most five seconds, then stop."""
        self.forwarder.close(time.monotonic() + EXPORTERS_S)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send the queued log records; return whether all were dealt with in time."""
        return self.forwarder.flush(time.monotonic() + timeout_millis / 1000)


_forwarders: "weakref.WeakSet[Forwarder]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for forwarder in list(_forwarders):
        forwarder.after_fork()


forks.in_child(forks.Stage.SINKS, _after_fork_in_child)
