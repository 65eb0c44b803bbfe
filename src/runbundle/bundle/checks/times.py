"""The checks of verify on times and ids. Memory grows only with the number of spans that precede their parents."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from runbundle.format.run import RunIndex
from runbundle.signals import own
from runbundle.signals.records import COERCED_WORDS, REPLACED

Add = Callable[..., None]

_YEAR_S = 365 * 86_400  # milliseconds given as nanoseconds lie decades away; a run may be resumed after months
_SAME_CLOCK_NS = 1_000_000
"""Nanoseconds by which a span may begin before its parent in the same process, since clocks step a little."""
_OTHER_CLOCK_NS = 1_000_000_000
"""The same for the first span of another process, which may run on another machine."""


class TimeChecks:
    """Checks that give the findings RB310 and RB311. Lines must come in the order of events.jsonl, then `finish`."""

    def __init__(self, add: Add, file: str) -> None:
        self._add = add
        self._file = file
        self._first = self._last = (0, 0)  # time and number of a line
        # By parents that have not begun: when the first of their children would be too early, and where it is.
        self._awaited: dict[bytes, tuple[int, int]] = {}

    def line(self, number: int, event: dict[str, Any], time_ns: int) -> None:
        """Check the time of any line, and whether its record was coerced."""
        if not self._first[1]:
            self._first = time_ns, number
        self._last = time_ns, number
        said = event["attributes"].get(own.COERCED)
        if isinstance(said, list) and event["type"] in ("span.ended", "log"):
            words = sorted({word for word in said if isinstance(word, str)} & COERCED_WORDS)  # pyright: ignore[reportUnknownVariableType] - any JSON
            if words:
                self._say("RB311", number, f"of another type than declared: {', '.join(words)}")
            if REPLACED.intersection(words):
                self._say("RB310", number, "a time was none between 1970 and 2262, and another stands in its place")

    def started(self, number: int, event: dict[str, Any], ids: bytes, time_ns: int, parent: bytes | None) -> None:
        """Check the start of a span. `parent`: ids of its parent if that must be in the bundle and is yet to begin."""
        if not (any(ids[:16]) and any(ids[16:])):
            self._say("RB310", number, "a span's id, or that of its trace, is zero")
        deadline_ns, child = self._awaited.pop(ids, (time_ns, number))
        if time_ns > deadline_ns:
            self._say("RB310", child, "a span begins before its parent does")
        if parent is not None:
            # Spans of one process have a lane; the first one of another process has none, or says how it joined.
            same_clock = bool(event.get("lane")) and "joined" not in event
            self._await(parent, time_ns + (_SAME_CLOCK_NS if same_clock else _OTHER_CLOCK_NS), number)

    def ended(self, number: int, event: dict[str, Any], time_ns: int, parent: bytes | None, *, begun: bool) -> None:
        """Check the end of a span. `parent` as for `started`; `begun`: whether the span has begun."""
        attributes = event["attributes"]
        # As above: the first span of another process says how many it started, and may have been given a lane.
        same_clock = own.LANE in attributes and own.SPANS_STARTED not in attributes
        if not begun:
            self._say("RB310", number, "a span ends before it begins")
        elif parent is not None and same_clock:
            self._await(parent, time_ns, number)

    def finish(self, index: RunIndex) -> None:
        """Compare the first and last time with the run's times in run.json."""
        began, ended = _seconds(index.started_at), _seconds(index.ended_at)
        if began is not None and self._first[1] and began - self._first[0] // 1_000_000_000 > _YEAR_S:
            self._say("RB310", self._first[1], "a time lies more than a year before the run began")
        if ended is not None and self._last[0] // 1_000_000_000 - ended > _YEAR_S:
            self._say("RB310", self._last[1], "a time lies more than a year after the run ended")

    def _await(self, parent: bytes, deadline_ns: int, number: int) -> None:
        known = self._awaited.get(parent)
        if known is None or deadline_ns < known[0]:
            self._awaited[parent] = deadline_ns, number

    def _say(self, code: str, number: int, message: str) -> None:
        self._add(code, message, file=self._file, line=number)


def _seconds(rfc3339: str) -> float | None:
    try:
        return datetime.fromisoformat(rfc3339[:19]).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
