"""Finding the span in which each error began: an exception usually ends an inner span before it ends an outer one.

The origin is determined from the spans alone, so it works for any instrumentation: an error came from a child that
ended no later, with an error of the same type, raised at the same line if both spans say the line. Only that line
distinguishes an error that was caught from one of the same type that was raised later.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable
from typing import Any
from zlib import crc32

from runbundle.signals import semconv

_LATEST = 2**64 - 1


class ErrorOrigins:
    """A table of the spans that ended in an error: 24 bytes a span. `place` is a span's row in the `SpanTable`."""

    def __init__(self) -> None:
        self._places = array("i")
        self._ends = array("Q")
        self._types = array("I")
        self._sites = array("I")  # 0: not known
        self._below = array("i")  # -1: the error began here

    def add(self, place: int, entry: dict[str, Any]) -> None:
        """Add a span that ended in an error. `place` must be greater than those before."""
        raised: list[dict[str, Any]] = [e["attributes"] for e in entry["events"] if e["name"] == semconv.EXCEPTION]
        last: dict[str, Any] = raised[-1] if raised else {}
        kind = str(last.get(semconv.EXCEPTION_TYPE) or entry["attributes"].get(semconv.ERROR_TYPE) or "")
        stack = last.get(semconv.EXCEPTION_STACKTRACE)
        site = stack.rpartition("\n")[2] if isinstance(stack, str) and not stack.startswith("[REDACTED") else ""
        self._places.append(place)
        self._ends.append(min(max(0, entry["end_ns"]), _LATEST))
        self._types.append(crc32(kind.partition("[")[0].rpartition(".")[2].encode("utf-8", "replace")))
        self._sites.append(crc32(site.encode("utf-8", "replace")) if site else 0)

    def link(self, parent_of: Callable[[int], int]) -> None:
        """Link each error to the child from which it came. Call it once, after the last `add`."""
        self._below = array("i", [-1]) * len(self._places)
        for row, place in enumerate(self._places):
            above = self._row(parent_of(place))
            if above < 0 or above == row or not self._is_same(row, above):
                continue
            known = self._below[above]
            if known < 0 or self._ends[row] >= self._ends[known]:
                self._below[above] = row

    def origin_of(self, place: int) -> int:
        """Return the place of the span in which the error of a span began; `place` itself if in no other."""
        row = self._row(place) if self._places else -1
        if row < 0:
            return place
        way: list[int] = []
        while (inner := self._below[row]) >= 0:
            way.append(row)
            self._below[row] = -1  # a hostile span may be its own ancestor
            row = inner
        for passed in way:
            if passed != row:
                self._below[passed] = row
        return self._places[row]

    def _row(self, place: int) -> int:
        row = bisect_left(self._places, place) if place >= 0 else len(self._places)
        return row if row < len(self._places) and self._places[row] == place else -1

    def _is_same(self, inner: int, outer: int) -> bool:
        sites = self._sites[inner], self._sites[outer]
        return (
            self._types[inner] == self._types[outer]
            and self._ends[inner] <= self._ends[outer]
            and (0 in sites or sites[0] == sites[1])
        )
