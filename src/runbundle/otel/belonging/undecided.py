"""Spans and log records of which nobody knows yet whether they are an agent's work.

Most instrumentations say what a span is only when it ends. So what is outside any run is kept until that can be known:
all that a process sees of one trace is one unit, which is decided at once. It becomes a run as soon as one of its spans
begins one, at a start or at an end. It is none when no span of it is open any more; then its spans are counted by
scope, and nothing of them is left. A child that outlives its local root stays in the unit and keeps it undecided. So
does, until it is too old, work for an agent of another process that begins no run by itself: a server of tools is asked
what it has before it is asked to do anything.

What has ended waits in memory, as the SDK made it, and nowhere else: a process that dies before the first sign of an
agent's work loses it, and one that dies while it is journalled after that sign loses the rest. It is bounded in number,
bytes and age, for the whole process. Beyond a bound what the oldest unit holds is dropped. It is counted, and if that
unit becomes a run after all, the run says how much it has lost.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, cast

from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan

from runbundle.otel.belonging.member import Member
from runbundle.otel.belonging.originals import Originals
from runbundle.otel.belonging.outside_runs import OutsideCounts
from runbundle.otel.belonging.span_identity import copied_attributes, operation_and_label
from runbundle.process.mutex import Mutex

HELD = 8192
"""Spans and log records that wait, of all units together. A span of a web service takes 1 to 3 KiB."""
HELD_BYTES = 64 * 2**20
"""Bytes that they may take, by an estimate from the lengths of their texts: a few spans may hold whole documents."""
HELD_S = 600.0
"""Seconds for which a unit's ended spans wait at most. A request is over by then."""
QUIET = 1024
"""Units without an open span that wait for more of their trace; of one more the oldest is counted as no run."""
_LIVE = 100_000
"""Open spans that are followed."""
LOOK_EVERY_S = 30.0
"""Seconds between two looks for what has waited for too long."""
ROOM = 0.9
"""What is left of number and bytes when something must be dropped, so that this is not done for every span."""
_NESTED = frozenset({bytes, tuple, list, dict})
_EACH = 1024
"""Bytes of a span without its texts."""

Log = ReadableLogRecord | ReadWriteLogRecord


class Waiting:
    """A span of a unit: open, or ended and held. Two are made for each request, so that it sets what is rare late."""

    ended: ReadableSpan | None = None
    """What the span was at its end."""
    member: Member | None = None
    """What became of it, once the unit is a run."""
    taken = False
    """Whether its end went to the run with it."""
    originals: Originals | None = None
    inherited = False
    """Whether a parent process began it."""

    def __init__(self, unit: "Unit", number: int, span: ReadableSpan, parent: "Waiting | None") -> None:
        self.unit, self.number, self.span, self.parent = unit, number, span, parent


class Unit:
    """All that is undecided of one trace, or beneath one span that claims to be of a run and is not believed."""

    beside: "Unit | None" = None
    """Another unit of the trace, of which at most one claims nothing."""
    lost: Counter[str] | None = None
    """Dropped beyond the bounds, or lost at their starts, by scope."""
    lost_spans = 0
    lost_starts = 0
    """How many of them were lost at their starts."""
    bytes = 0
    closed = False
    """Whether it was decided. Whoever adds a span looks afterwards."""
    is_remote = False
    """Whether its trace has begun in another process."""
    is_agents = False
    """Whether something of it was an agent's work, though it began no run."""

    def __init__(self, trace_id: int, claimed: str) -> None:
        self.trace_id, self.claimed = trace_id, claimed
        self.live: dict[int, Waiting] = {}
        """Open spans, by span id."""
        self.held: list[Waiting | Log] = []
        """What has ended, in the order of ends."""
        self.since = time.monotonic()
        """When it began, or something of it was dropped: what it holds is no older."""

    def lose(self, scope: str) -> None:
        """Count a span that was lost at its start. The caller holds the lock."""
        self.lost = self.lost or Counter()
        self.lost[scope] += 1
        self.lost_spans += 1
        self.lost_starts += 1

    def losses(self) -> dict[str, int]:
        """Return how much of it was lost, by reason."""
        held = (self.lost.total() if self.lost else 0) - self.lost_starts
        return {reason: lost for reason, lost in (("held", held), ("boundary_start", self.lost_starts)) if lost}


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
        self._quiet: dict[Unit, None] = {}
        """Units that wait for more of their trace, or did once, in the order in which they became quiet."""
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
            if unit.since - self._looked_at > LOOK_EVERY_S:
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
        size = _EACH
        for value in attributes.values():
            if value.__class__ is str:
                size += len(value)
            elif value.__class__ in _NESTED:
                size += _length(value)
        # A private name: the public one copies the list, which costs as much as all else here.
        if getattr(span, "_events", True):
            size += _length_of_events(span)
        unit.held.append(waiting)
        unit.bytes += size
        self._held += 1
        self._bytes += size
        unit.live.pop(span_id, None)
        if self._held > HELD or self._bytes > HELD_BYTES:
            with self._lock:
                self._make_room()
        self._gone += 1

    def end_last(self, waiting: Waiting, span_id: int, span: ReadableSpan, attributes: Mapping[str, Any]) -> None:
        """End a span that seems to be the last open one of its unit, which is no run. The caller holds the lock."""
        unit = waiting.unit
        if waiting.ended is None and not waiting.inherited and len(unit.live) > 1:
            self.end(waiting, span_id, span, attributes)  # another thread has added one just now
        elif unit.is_remote and unit.is_agents and waiting.ended is None and not (waiting.inherited or unit.closed):
            self.end(waiting, span_id, span, attributes)
            self._wait_for_more(unit)
            return
        last = span if unit.live.pop(span_id, None) is not None and not waiting.inherited else None
        if unit.live and last is not None and waiting.ended is None:
            self.end(waiting, span_id, span, attributes)  # between the look and the step
        elif not unit.live and not unit.closed:
            self._gone += last is not None
            self._count(unit, last)

    def _wait_for_more(self, unit: Unit) -> None:
        self._quiet.pop(unit, None)
        self._quiet[unit] = None
        if len(self._quiet) > QUIET:
            self._give_up(next(iter(self._quiet)))

    def _give_up(self, unit: Unit) -> None:
        """Count a unit that has waited for more, unless there is more or it was decided. The caller holds the lock."""
        self._quiet.pop(unit, None)
        if not unit.live and not unit.closed:
            self._count(unit, None)

    def hold_log(self, unit: Unit, record: Log) -> None:
        """Hold a log record. The caller holds the lock."""
        size = size_of_log(record)
        unit.held.append(record)
        unit.bytes += size
        self._held += 1
        self._bytes += size
        if self._held > HELD or self._bytes > HELD_BYTES:
            self._make_room()

    def _make_room(self) -> None:
        """Drop what the oldest units hold until there is room. The caller holds the lock."""
        units = self._every()
        self._held, self._bytes = sum(len(unit.held) for unit in units), sum(unit.bytes for unit in units)
        if self._held <= HELD and self._bytes <= HELD_BYTES:
            return
        for unit in sorted(units, key=lambda unit: unit.since):
            if self._held <= ROOM * HELD and self._bytes <= ROOM * HELD_BYTES:
                return
            self._drop(unit)

    def _drop(self, unit: Unit) -> None:
        """Drop what a unit holds, and remember how much it was. The caller holds the lock."""
        held, size = unit.held.copy(), unit.bytes
        del unit.held[: len(held)]  # the list stays: another thread may be about to add to it
        unit.bytes, unit.since = 0, time.monotonic()
        self._held, self._bytes = self._held - len(held), self._bytes - size
        unit.lost_spans += sum(isinstance(one, Waiting) for one in held)
        unit.lost = unit.lost or Counter()
        unit.lost.update(map(_scope_of, held))

    def _forget_old(self, now: float) -> None:
        """Drop what is held for too long."""
        self._looked_at = now
        for unit in self._every():
            if now - unit.since <= HELD_S:
                continue
            with self._lock:
                if unit in self._quiet:
                    self._give_up(unit)
                elif unit.held and not unit.closed:
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

    def close(self, unit: Unit) -> tuple[list[Waiting | Log], list[Waiting]]:
        """Decide a unit; return what it holds, in the order of ends, and its open spans.

        It stays in the table until `remove`: who looks for a span meanwhile finds it here, and waits for the lock.
        """
        unit.closed = True
        # First the open ones: one that ends meanwhile is held before it is not open any more, so it is in either. Both
        # are copied at once, since who adds to them or takes from them has no lock.
        live = list(unit.live.copy().values())
        held, unit.held = unit.held.copy(), []
        self._gone += len(live)
        self._held, self._bytes = self._held - len(held), self._bytes - unit.bytes
        return held, live

    def remove(self, unit: Unit) -> None:
        """Take a decided unit out of the table."""
        before: Unit | None = None
        one = self._units.get(unit.trace_id)
        while one is not None and one is not unit:
            before, one = one, one.beside
        if one is None:
            return
        if before is not None:
            before.beside = unit.beside
        elif unit.beside is not None:
            self._units[unit.trace_id] = unit.beside
        else:
            del self._units[unit.trace_id]

    def _count(self, unit: Unit, last: ReadableSpan | None) -> None:
        """Count what a unit has had as outside any run. `last`: the span that ended last, if it is not held."""
        held, _ = self.close(unit)
        self.remove(unit)
        self._quiet.pop(unit, None)
        if last is not None and not held and unit.lost is None:
            self._outside.count(1, {scope_name(last): 1})
            return
        spans, scopes = unit.lost_spans, dict(unit.lost or {})
        if last is not None:
            spans, scope = spans + 1, scope_name(last)
            scopes[scope] = scopes.get(scope, 0) + 1
        for one in held:
            if isinstance(one, Waiting):
                spans += 1
            scope = _scope_of(one)
            scopes[scope] = scopes.get(scope, 0) + 1
        self._outside.count(spans, scopes)

    def after_fork_in_child(self, lock: Mutex) -> None:
        """Leave what has ended to the parent process, whose it is. Open spans stay, to know where one stands."""
        self._lock = lock
        for unit in self._quiet:
            if not unit.live:
                self.remove(unit)
        self._quiet.clear()
        for unit in self._every():
            unit.held, unit.bytes = [], 0
            unit.lost, unit.lost_spans, unit.lost_starts = None, 0, 0
            for waiting in unit.live.copy().values():
                waiting.inherited = True
        self._held, self._bytes = 0, 0


def described(one: Waiting) -> tuple[Mapping[str, Any], str]:
    """Return the attributes of a span that waits, and its label."""
    said = copied_attributes(one.ended or one.span)
    return said, operation_and_label({**said, **(one.originals.attributes if one.originals else {})})[1]


def ends_of(held: Sequence[Waiting | Log]) -> Iterator[tuple[ReadableSpan, Member] | Log]:
    """Return what a unit of this process held, now that it is a run."""
    for one in held:
        if not isinstance(one, Waiting):
            yield one
        elif one.ended is not None and one.member is not None and not one.inherited:
            yield one.ended, one.member


def scope_name(one: ReadableSpan | Log) -> str:
    """Return the name of the instrumentation scope; "" if there is none."""
    scope = one.instrumentation_scope
    return scope.name if scope is not None else ""


def _scope_of(one: Waiting | Log) -> str:
    return scope_name((one.ended or one.span) if isinstance(one, Waiting) else one)


def size_of(span: ReadableSpan) -> int:
    """Return about how many bytes a span takes, by the lengths of its texts."""
    return _EACH + _length(dict(span.attributes or {})) + _length_of_events(span)


def size_of_log(record: Log) -> int:
    """Return about how many bytes a log record takes, by the lengths of its texts."""
    return _EACH + _length([record.log_record.body, dict(record.log_record.attributes or {})])


def _length_of_events(span: ReadableSpan) -> int:
    return sum(_EACH + _length(dict(event.attributes or {})) for event in span.events)


def _length(value: Any, left: int = 5) -> int:
    """Return the length of the texts in a value; what lies deeper than some levels is not counted."""
    if isinstance(value, str | bytes):
        return len(value)
    if not left or not isinstance(value, list | tuple | dict):
        return 8
    items = cast("Iterable[Any]", value.values() if isinstance(value, dict) else value)
    return sum(_length(item, left - 1) for item in items)
