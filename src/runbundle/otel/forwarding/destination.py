"""A destination that spans and logs are forwarded to: its two forwarders, its queue on disk, and its counts.

Each destination has threads and connections of its own, so that one that is slow or away holds up neither the others
nor the agent nor the seal of a bundle.
"""

import hashlib
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from runbundle.errors import ConfigError
from runbundle.otel.forwarding.answers import Kind
from runbundle.otel.forwarding.disk_queue import DiskQueue
from runbundle.otel.forwarding.forwarder import Forwarder, ForwardingLogProcessor, ForwardingSpanProcessor, Pace
from runbundle.otel.forwarding.option import (
    Otlp,
    destinations_of,
    path_of,
    place_of,
    protocol_of,
    without_secrets,
)
from runbundle.otel.forwarding.redelivery import Redelivery
from runbundle.otel.forwarding.sender import KINDS, Sender, Way, names_credentials, senders
from runbundle.process import forks
from runbundle.recording.results import Delivery
from runbundle.redaction.detectors.known_secrets import KNOWN


class Destination:
    """Forwards to one receiver. Thread-safe; what it is given is delivered, waits, or is counted."""

    def __init__(
        self, name: str, live: dict[Kind, Sender], redelivery: Redelivery | None, *, sees_rejected: bool = True
    ) -> None:
        """`sees_rejected`: whether a partial success is seen, as it is over HTTP alone."""
        self.name = name
        self.redelivery = redelivery
        self._live, self._sees_rejected = live, sees_rejected
        self._reset()
        self._forwarders = {kind: self._forwarder(kind) for kind in KINDS}
        self.span_processor = ForwardingSpanProcessor(self._forwarders["spans"], live["spans"].exporter)
        self.log_processor = ForwardingLogProcessor(self._forwarders["logs"], live["logs"].exporter)
        _destinations.add(self)

    def _forwarder(self, kind: Kind) -> Forwarder:
        again = self.redelivery
        keep = None if again is None else partial(again.keep, kind)
        return Forwarder(kind, partial(self._send, kind), self._live[kind].stop, Pace.of_environment(kind), keep=keep)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._delivered = 0

    def after_fork(self) -> None:
        """Count from nothing in a forked child; its forwarders do so themselves."""
        self._reset()
        if self.redelivery is not None:
            self.redelivery.reset()

    def without_queue(self) -> Callable[[], None]:
        """Keep nothing on disk from now on; return what undoes it. For a check whose spans must not leave."""
        redelivery, self.redelivery = self.redelivery, None
        return lambda: setattr(self, "redelivery", redelivery)

    def begin(self) -> None:
        """Send what earlier processes have left on disk."""
        if self.redelivery is not None:
            self.redelivery.begin()

    def wake(self) -> None:
        """Have what is queued sent now, and not wait for it."""
        for forwarder in self._forwarders.values():
            forwarder.wake()

    def flush(self, deadline: float) -> None:
        """Send what is queued and what waits on disk, until `deadline` (monotonic clock, seconds)."""
        for forwarder in self._forwarders.values():
            forwarder.flush(deadline)
        if self.redelivery is not None:
            self.redelivery.flush(deadline)

    def close(self, deadline: float) -> None:
        """Send what is queued until `deadline`, keep the rest on disk or count it, and stop. May be called again."""
        for forwarder in self._forwarders.values():
            forwarder.close(deadline)
        if self.redelivery is not None:
            self.redelivery.close()

    def delivery(self) -> Delivery:
        """Return what became of all that it was given since the start of the process."""
        refused, again = Counter[str](), self.redelivery
        for forwarder in self._forwarders.values():
            refused.update(forwarder.refused())
        if again is not None:
            refused.update(again.refused())
        # First what waits: what is sent meanwhile is counted twice then, and never as neither.
        queued = sum(batch.items for batch in again.queue.waiting()) if again is not None else 0
        resent = again.delivered if again is not None else 0
        return Delivery(
            delivered=self._delivered + resent,
            resent=resent,
            refused=dict(refused),
            unsent=sum(forwarder.unsent() for forwarder in self._forwarders.values()),
            queued=queued,
            sees_rejected=self._sees_rejected,
        )

    def _send(self, kind: Kind, batch: Sequence[Any]) -> dict[str, int]:
        again = self.redelivery
        if again is not None and again.is_down:
            return again.keep(kind, batch)
        result = self._live[kind].send(batch)
        if again is not None and result.again:
            return again.keep(kind, batch)
        with self._lock:
            self._delivered += len(batch) - sum(result.refused.values())
        return result.refused


def build(option: Any) -> list[Destination]:
    """Return the destinations that `otlp=` names, checked already; none of them sends anything yet.

    Raises `ConfigError` for what cannot be used. Headers and passwords of theirs become known secrets.
    """
    names = Counter[str]()
    made = [_destination(one, names) for one in destinations_of(option)]
    folders = [one.redelivery.queue.folder for one in made if one.redelivery is not None]
    if len(set(folders)) < len(folders):
        raise ConfigError("two destinations of otlp have one queue", hint="give each a folder of its own in queue=")
    return made


def _destination(one: Otlp | str | None, names: Counter[str]) -> Destination:
    record = one if isinstance(one, Otlp) else Otlp(one) if one is not None else None
    protocol = protocol_of(record.protocol if record is not None else None)
    way = Way(None, protocol)
    if record is not None:
        KNOWN.register(*record.secrets)
        way = Way(record.endpoint, protocol, record.headers, isinstance(one, Otlp), record.timeout_s)
    name = place_of(way.endpoint, grpc=protocol == "grpc")
    names[name] += 1
    name = name if names[name] == 1 else f"{name}#{names[name]}"
    redelivery = _redelivery(name, record, way) if record is not None and record.queue is not None else None
    return Destination(name, senders(way), redelivery, sees_rejected=protocol != "grpc" and not names_credentials())


def _redelivery(name: str, record: Otlp, way: Way) -> Redelivery:
    if way.protocol == "grpc":
        text = "queue= of Otlp works over HTTP alone"
        raise ConfigError(text, hint='give protocol="http/protobuf" and the receiver\'s port for HTTP, often 4318')
    assert record.queue is not None
    # Each destination has a folder of its own there: what was meant for one is never sent to another.
    folder = hashlib.sha256(without_secrets(record.endpoint).encode()).hexdigest()[:16]
    queue = DiskQueue(path_of(record.queue) / folder, record.queue_limit_bytes)
    try:
        queue.create()
    except OSError as error:
        text = f"the queue of Otlp cannot be used: {error.strerror or type(error).__name__}"
        raise ConfigError(text, hint="name a folder on a local disk, to which only this process may write") from None
    return Redelivery(name, queue, senders(way))


def flush_all(destinations: Sequence[Destination], deadline: float) -> None:
    """Send what is queued for each; all begin at once, so that one that is away does not hold up the others."""
    for destination in destinations:
        destination.wake()
    for destination in destinations:
        destination.flush(deadline)


def close_all(destinations: Sequence[Destination], deadline: float) -> None:
    """Close each likewise, within one deadline."""
    for destination in destinations:
        destination.wake()
    for destination in destinations:
        destination.close(max(deadline, time.monotonic()))


_destinations: "weakref.WeakSet[Destination]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for destination in list(_destinations):
        destination.after_fork()


forks.in_child(forks.Stage.SINKS, _after_fork_in_child)
