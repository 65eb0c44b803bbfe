"""Spans and log records of which nobody knows yet whether they are an agent's work.

Most instrumentations say what a span is only when it ends. So what is outside any run is kept until that can be known:
all that a process sees of one trace is one unit, which is decided at once. It becomes a run as soon as one of its spans
begins one, at a start or at an end. It is none when no span of it is open any more; then its spans are counted by
scope, and nothing of them is left. A child that outlives its local root stays in the unit and keeps it undecided.

What has ended waits in memory, as the SDK made it, and nowhere else: a process that dies before the first sign of an
agent's work loses it. It is bounded in number, bytes and age, for the whole process. Beyond a bound what the oldest
unit holds is dropped. It is counted, and if that unit becomes a run after all, the run says how much it has lost.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, cast

from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan

from runbundle.otel.belonging.member import Member
from runbundle.otel.belonging.originals import Originals
from runbundle.otel.belonging.outside_runs import OutsideCounts
from runbundle.process.mutex import Mutex

HELD = 8192
"""Spans and log records that wait, of all units together. A span of a web service takes 1 to 3 KiB."""
HELD_BYTES = 64 * 2**20
"""Bytes that they may take, by an estimate from the lengths of their texts: a few spans may hold whole documents."""
HELD_S = 600.0
"""Seconds for which a unit's ended spans wait at most. A request is over by then."""
_LIVE = 100_000
"""Open spans that are followed."""
_LOOK_EVERY_S = 30.0
_EACH = 1024
"""Bytes of a span without its texts."""

Log = ReadableLogRecord | ReadWriteLogRecord


class Waiting:
    """A span of a unit: open, or ended and held."""

    __slots__ = ("ended", "inherited", "member", "number", "originals", "parent", "span", "taken", "unit")

    def __init__(self, unit: "Unit", number: int, span: ReadableSpan, parent: "Waiting | None") -> None:
        self.unit, self.number, self.span, self.parent = unit, number, span, parent
        self.ended: ReadableSpan | None = None
        """What the span was at its end."""
        self.member: Member | None = None
        """What became of it, once the unit is a run."""
        self.taken = False
        """Whether its end went to the run with it."""
        self.originals: Originals | None = None
        self.inherited = False
        """Whether a parent process began it."""


class Unit:
    """All that is undecided of one trace, or beneath one span that claims to be of a run and is not believed."""

    __slots__ = ("beside", "bytes", "claimed", "closed", "held", "live", "lost", "lost_spans", "since", "trace_id")

    def __init__(self, trace_id: int, claimed: str) -> None:
        self.trace_id, self.claimed = trace_id, claimed
        self.beside: Unit | None = None
        """Another unit of the trace, of which at most one claims nothing."""
        self.live: dict[int, Waiting] = {}
        """Open spans, by span id."""
        self.held: list[Waiting | Log] = []
        """What has ended, in the order of ends."""
        self.bytes = 0
        self.since = time.monotonic()
        """When it began, or something of it was dropped: what it holds is no older."""
        self.lost: Counter[str] = Counter()
        """Dropped beyond the bounds, by scope."""
        self.lost_spans = 0
        self.closed = False
        """Whether it was decided. Whoever adds a span looks afterwards."""


class Undecided:
    """The units of a process. Adding and ending a span take no lock; who decides holds that of `Membership`.

    For that, each step is one that the interpreter does as a whole, and whoever has added something looks whether the
    unit was decided meanwhile. The totals are estimates, which are made exact before anything is dropped.
    """

    def __init__(self, outside: OutsideCounts, lock: Mutex) -> None:
        self._outside, self._lock = outside, lock
        self._units: dict[int, Unit] = {}
        self._numbers = count()
        self._gone = 0
        self._held, self._bytes = 0, 0
        self._looked_at = time.monotonic()

    def find(self, trace_id: int, span_id: int) -> Waiting | None:
        """Return an open span; None if there is none of these ids."""
        unit = self._units.get(trace_id)
        while unit is not None:
            found = unit.live.get(span_id)
            if found is not None:
                return found
            unit = unit.beside
        return None

    def unit_of(self, trace_id: int) -> Unit | None:
        """Return the unit of a trace; None if there is none."""
        unit = self._units.get(trace_id)
        while unit is not None and unit.claimed:
            unit = unit.beside
        return unit

    def add(
        self, unit: Unit | None, trace_id: int, span_id: int, span: ReadableSpan, parent: Waiting | None, claimed: str
    ) -> Waiting | None:
        """Add a span that has started, to a unit or to a new one; None if too many are open."""
        number = next(self._numbers)
        if number - self._gone > _LIVE and self._too_many(number):
            return None
        if unit is None:
            unit = Unit(trace_id, claimed)
            first = self._units.setdefault(trace_id, unit)
            if first is not unit:
                unit = self._beside(unit)
            if unit.since - self._looked_at > _LOOK_EVERY_S:
                self._forget_old(unit.since)
        waiting = unit.live[span_id] = Waiting(unit, number, span, parent)
        return waiting

    def _beside(self, unit: Unit) -> Unit:
        """Return the unit of a trace that another thread has added just now, or one beside those that claim a run."""
        with self._lock:
            last: Unit | None = None
            one = self._units.setdefault(unit.trace_id, unit)
            while one is not None:
                if one is unit or not (one.claimed or unit.claimed):
                    return one
                last, one = one, one.beside
            if last is not None:
                last.beside = unit
            return unit

    def end(self, waiting: Waiting, span_id: int, span: ReadableSpan, attributes: Mapping[str, Any]) -> None:
        """Hold a span that has ended."""
        waiting.ended, unit = span, waiting.unit
        self._hold(unit, waiting, _EACH + _length(attributes.values()) + (_length_of_events(span)))
        unit.live.pop(span_id, None)
        self._gone += 1

    def hold_log(self, unit: Unit, record: Log) -> None:
        """Hold a log record."""
        log = record.log_record
        size = _length([log.body, *(log.attributes or {}).values()])
        self._hold(unit, record, _EACH + size)

    def _hold(self, unit: Unit, one: Waiting | Log, size: int) -> None:
        unit.held.append(one)
        unit.bytes += size
        self._held += 1
        self._bytes += size
        if self._held > HELD or self._bytes > HELD_BYTES:
            self._make_room()

    def _make_room(self) -> None:
        """Drop what the oldest units hold until the rest is within the bounds."""
        units = self._every()
        self._held, self._bytes = sum(len(unit.held) for unit in units), sum(unit.bytes for unit in units)
        for unit in sorted(units, key=lambda unit: unit.since):
            if self._held <= HELD and self._bytes <= HELD_BYTES:
                return
            self._drop(unit)

    def _drop(self, unit: Unit) -> None:
        """Drop what a unit holds, and remember how much it was."""
        held, size = unit.held, unit.bytes
        unit.held, unit.bytes, unit.since = [], 0, time.monotonic()
        self._held, self._bytes = self._held - len(held), self._bytes - size
        unit.lost_spans += sum(isinstance(one, Waiting) for one in held)
        unit.lost.update(map(_scope_of, held))

    def _forget_old(self, now: float) -> None:
        """Drop what is held for too long."""
        self._looked_at = now
        for unit in self._every():
            if now - unit.since > HELD_S and unit.held:
                self._drop(unit)

    def _too_many(self, number: int) -> bool:
        live = sum(len(unit.live) for unit in self._every())
        self._gone = number - live
        return live > _LIVE

    def _every(self) -> list[Unit]:
        units: list[Unit] = []
        for first in list(self._units.values()):
            unit: Unit | None = first
            while unit is not None:
                units.append(unit)
                unit = unit.beside
        return units

    # -- deciding: the caller holds the lock ----------------------------------------------------------------------

    def close(self, unit: Unit) -> list[Waiting | Log]:
        """Take a unit out of the table; return what it holds, in the order of ends. `unit.live` are the open spans."""
        unit.closed = True
        before: Unit | None = None
        one = self._units.get(unit.trace_id)
        while one is not None and one is not unit:
            before, one = one, one.beside
        if one is not None:
            if before is not None:
                before.beside = unit.beside
            elif unit.beside is not None:
                self._units[unit.trace_id] = unit.beside
            else:
                del self._units[unit.trace_id]
        held, unit.held = unit.held, []
        self._gone += len(unit.live)
        self._held, self._bytes = self._held - len(held), self._bytes - unit.bytes
        return held

    def count(self, unit: Unit, last: ReadableSpan | None = None) -> None:
        """Count what a unit has had as outside any run. `last`: the span that ended last, if it is not held."""
        held = self.close(unit)
        if last is not None and not (held or unit.lost):
            self._outside.count_span(scope_name(last))
            return
        spans = unit.lost_spans + sum(isinstance(one, Waiting) for one in held) + (last is not None)
        scopes = unit.lost
        scopes.update(map(_scope_of, held))
        if last is not None:
            scopes[scope_name(last)] += 1
        self._outside.count(spans, scopes)

    def after_fork_in_child(self, lock: Mutex) -> None:
        """Leave what has ended to the parent process, whose it is. Open spans stay, to know where one stands."""
        self._lock = lock
        for unit in self._every():
            unit.held, unit.bytes = [], 0
            unit.lost.clear()
            unit.lost_spans = 0
            for waiting in unit.live.values():
                waiting.inherited = True
        self._held, self._bytes = 0, 0


def scope_name(one: ReadableSpan | Log) -> str:
    """Return the name of the instrumentation scope; "" if there is none."""
    scope = one.instrumentation_scope
    return scope.name if scope is not None else ""


def size_of(span: ReadableSpan) -> int:
    """Return about how many bytes a span takes, by the lengths of its texts."""
    return _EACH + _length((span.attributes or {}).values()) + _length_of_events(span)


def _scope_of(one: Waiting | Log) -> str:
    return scope_name((one.ended or one.span) if isinstance(one, Waiting) else one)


def _length_of_events(span: ReadableSpan) -> int:
    # A private name first: the public one copies the list, which costs as much as all else here.
    if not getattr(span, "_events", True):
        return 0
    return sum(_EACH + _length((event.attributes or {}).values()) for event in span.events)


def _length(values: Iterable[Any]) -> int:
    size = 0
    for value in values:
        kind = value.__class__
        if kind is str or kind is bytes:
            size += len(value)
        elif kind is tuple or kind is list or kind is dict:
            size += _length_within(value)
    return size


def _length_within(value: Any, left: int = 4) -> int:
    """Return the length of the texts in lists and mappings; what lies deeper than four levels is not counted."""
    items = cast("Iterable[Any]", value.values() if isinstance(value, dict) else value)
    return sum(
        len(item) if isinstance(item, str | bytes)
        else _length_within(item, left - 1) if left and isinstance(item, list | tuple | dict)
        else 8
        for item in items
    )  # fmt: skip
