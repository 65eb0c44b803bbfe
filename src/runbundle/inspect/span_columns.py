"""The span columns of a run: one record of numbers for each span, and for each other line of events.jsonl.

They are derived from events.jsonl (see `scan`), and no part of a bundle. Their file is: the magic 8 bytes, the length
of the header (4 bytes), the header as JSON, zeros up to a multiple of 8, then the columns one after the other, each at
a multiple of 8. All numbers are little-endian. In the file each column has the narrowest type that holds its numbers;
one with `delta` has their differences, each to the number before; the duration that stands for none is all ones.
"""

import sys
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, chain
from operator import sub
from typing import Any, Literal

import orjson

FORMAT = "runbundle/span-columns/v2"
MAGIC = b"RBCOLS1\n"
NEVER_ENDED = 2**64 - 1
"""Duration of a span that never ended, or whose end was never recorded."""
ROOT, ELSEWHERE = -1, -2
"""Parents that are no row: of a span without a parent, and of one whose parent is no span of the run."""

SPAN_COLUMNS = (
    ("start_ns", "i8"), ("duration_ns", "u8"), ("parent", "i4"), ("name", "u4"), ("lane", "u4"), ("model", "u4"),
    ("tool", "u4"), ("op", "u1"), ("status", "u1"), ("withheld", "u2"), ("tokens_in", "u4"), ("tokens_out", "u4"),
    ("trace", "u2"), ("span_id", "8 bytes"), ("started_at", "u8"), ("started_bytes", "u4"), ("ended_at", "u8"),
    ("ended_bytes", "u4"),
)  # fmt: skip
"""Names and types of the columns with a number for each span, while they are made."""
OTHER_COLUMNS = (("row", "i4"), ("at", "u8"), ("bytes", "u4"), ("kind", "u1"))
"""Names and types of the columns with a number for each line that neither starts nor ends a span or the run."""
_RISING = ("start_ns", "started_at", "at")
"""Columns whose numbers mostly rise."""
CODES: dict[str, Literal["q", "Q", "i", "I", "h", "H", "b", "B"]] = {
    "i8": "q", "u8": "Q", "i4": "i", "u4": "I", "i2": "h", "u2": "H", "i1": "b", "u1": "B", "8 bytes": "Q",
}  # fmt: skip
"""Codes of `array` and `memoryview` for the types. Eight bytes are kept in a number, the first byte lowest."""


@dataclass(frozen=True)
class SpanColumns:
    """The columns of a run. A row is a span; rows are in the order in which the spans started."""

    header: Mapping[str, Any]
    """`base_ns`, `spans`, `others`, the tables `strings`, `ops`, `statuses`, `traces` and `kinds`, and digests."""
    data: Mapping[str, memoryview]
    """The columns by name."""
    _below: dict[int, list[int]] = field(default_factory=dict[int, list[int]], repr=False)
    _beside: dict[int, list[int]] = field(default_factory=dict[int, list[int]], repr=False)
    _file: bytes = field(default=b"", repr=False)

    def __len__(self) -> int:
        return self.header["spans"]

    @property
    def base_ns(self) -> int:
        """The time from which `start_ns` counts: nanoseconds since 1970."""
        return int(self.header["base_ns"])

    def text(self, column: str, row: int) -> str:
        """Return the text of a row in the column `name`, `lane`, `model` or `tool`; empty for none."""
        return self.header["strings"][self.data[column][row]]

    def op(self, row: int) -> str:
        """Return the kind of work of a span."""
        return self.header["ops"][self.data["op"][row]]

    def status(self, row: int) -> str:
        """Return how a span ended; empty if no line says it."""
        return self.header["statuses"][self.data["status"][row]]

    def duration_ns(self, row: int) -> int | None:
        """Return the duration of a span in nanoseconds, or None if it never ended."""
        found = self.data["duration_ns"][row]
        return None if found == NEVER_ENDED else found

    def span_id(self, row: int) -> str:
        """Return the id of a span, 16 hex digits."""
        return self.data["span_id"][row].to_bytes(8, "little").hex()

    def trace_id(self, row: int) -> str:
        """Return the id of a span's trace, 32 hex digits; empty beyond the 65,535th trace of a run."""
        return self.header["traces"][self.data["trace"][row]]

    def row_of(self, span_id: str) -> int | None:
        """Return the row of the first span with that id, or None."""
        return next(self.rows_of(span_id), None)

    def rows_of(self, beginning: str) -> Iterator[int]:
        """Yield the rows of the spans whose ids begin with that text."""
        if len(beginning) == 16:
            wanted = id_number(beginning)
            yield from (row for row, found in enumerate(self.data["span_id"]) if found == wanted)
        elif beginning and len(beginning) < 16:
            yield from (row for row in range(len(self)) if self.span_id(row).startswith(beginning))

    def children(self, row: int) -> list[int]:
        """Return the rows directly below a span, in their order; `ROOT` and `ELSEWHERE` give those without a parent."""
        return _grouped(self._below, self.data["parent"]).get(row, [])

    def roots(self) -> list[int]:
        """Return the rows of the spans whose parent is no span of the run, in their order."""
        return sorted([*self.children(ROOT), *self.children(ELSEWHERE)])

    def chain(self, row: int) -> list[int]:
        """Return the rows from the outermost span down to this one. A chain always ends (see `scan`)."""
        found = [row]
        while (row := self.data["parent"][row]) >= 0:
            found.append(row)
        return found[::-1]

    def with_status(self, *wanted: str) -> Iterator[int]:
        """Yield the rows of the spans that ended so."""
        codes = {code for code, word in enumerate(self.header["statuses"]) if word in wanted}
        yield from (row for row, code in enumerate(self.data["status"]) if code in codes)

    def others(self, row: int) -> list[int]:
        """Return the places, in the second block, of the lines that belong to a span; -1 gives logs without a span."""
        return _grouped(self._beside, self.data["row"]).get(row, [])

    def others_of_kind(self, kind: str) -> Iterator[int]:
        """Yield the places, in the second block, of the lines of one kind, such as `score`."""
        codes = {code for code, word in enumerate(self.header["kinds"]) if word == kind}
        yield from (place for place, found in enumerate(self.data["kind"]) if found in codes)

    def to_bytes(self) -> bytes:
        """Return the bytes of the file."""
        if self._file:
            return self._file
        columns: list[dict[str, Any]] = []
        bodies: list[bytes] = []
        for name, kind in (*SPAN_COLUMNS, *OTHER_COLUMNS):
            narrow, delta, body = _narrowed(name, kind, self.data[name])
            columns.append(
                {"name": name, "type": narrow, "at": 0, "bytes": len(body)} | ({"delta": True} if delta else {})
            )
            bodies.append(body)
        header = {**self.header, "columns": columns}
        room = len(orjson.dumps(header)) + 20 * len(columns)  # for the places, which are not known yet
        at = start = _padded(len(MAGIC) + 4 + room)
        for column in columns:
            column["at"] = at
            at = _padded(at + column["bytes"])
        head = orjson.dumps(header).ljust(start - len(MAGIC) - 4)
        made = bytearray(MAGIC + len(head).to_bytes(4, "little") + head)
        for column, body in zip(columns, bodies, strict=True):
            made += bytes(column["at"] - len(made)) + body
        return bytes(made)


def from_bytes(data: bytes) -> SpanColumns | None:
    """Return the columns that `to_bytes` made, or None for other bytes. Checks the form, not what the numbers say."""
    try:
        if not data.startswith(MAGIC):
            return None
        length = int.from_bytes(data[8:12], "little")
        header: dict[str, Any] = orjson.loads(data[12 : 12 + length])
        if header["format"] != FORMAT:
            return None
        places = {column["name"]: column for column in header["columns"]}
        rows = [(*column, header["spans"]) for column in SPAN_COLUMNS]
        rows += [(*column, header["others"]) for column in OTHER_COLUMNS]
        view = memoryview(data)
        columns: dict[str, memoryview] = {}
        for name, _, count in rows:
            column = places[name]
            at, size, kind = column["at"], column["bytes"], column["type"]
            if size != count * array(CODES[kind]).itemsize or at + size > len(data) or at < 12 + length:
                return None
            columns[name] = _widened(name, _native(view[at : at + size], kind), kind, delta=column.get("delta", False))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError):
        return None
    del header["columns"]
    return SpanColumns(header, columns, _file=data)


def _narrowed(name: str, kind: str, column: memoryview) -> tuple[str, bool, bytes]:
    """Return a column as it is written: its type, whether it has differences, its bytes."""
    if kind == "8 bytes":
        return kind, False, _little(column, kind)
    if name == "duration_ns":
        # One more than the longest, so that all ones of the type stay free for none.
        narrow = _narrowest(0, max((ns for ns in column if ns != NEVER_ENDED), default=0) + 1)
        ones = 256 ** int(narrow[1]) - 1
        return narrow, False, _bytes_of(array(CODES[narrow], [min(ns, ones) for ns in column]), narrow)
    narrow = _narrowest(min(column, default=0), max(column, default=0))
    if name in _RISING:
        steps = list(map(sub, column, chain((0,), column)))
        least = _narrowest(min(steps, default=0), max(steps, default=0))
        if least[0] == "u" and int(least[1]) < int(narrow[1]):
            return least, True, _bytes_of(array(CODES[least], steps), least)
    return narrow, False, _bytes_of(array(CODES[narrow], column), narrow)


def _narrowest(least: int, most: int) -> str:
    sign = "i" if least < 0 else "u"
    for size in (1, 2, 4):
        room = 256**size
        if (-room // 2 <= least and most < room // 2) if least < 0 else most < room:
            return f"{sign}{size}"
    return f"{sign}8"


def _widened(name: str, column: memoryview, kind: str, *, delta: bool) -> memoryview:
    """Return the numbers of a column that was read."""
    if delta:
        return memoryview(array("q", accumulate(column)))
    if name == "duration_ns" and kind != "u8":
        ones = 256 ** int(kind[1]) - 1
        return memoryview(array("Q", [NEVER_ENDED if ns == ones else ns for ns in column]))
    return column


def id_number(span_id: str) -> int | None:
    """Return the number that stands for a span's id in its column; None for what is no id."""
    try:
        digits = bytes.fromhex(span_id)
    except ValueError:
        return None
    return int.from_bytes(digits, "little") if len(digits) == 8 and len(span_id) == 16 else None


def _grouped(known: dict[int, list[int]], column: memoryview) -> dict[int, list[int]]:
    """Return the rows by their value in a column; they are grouped when they are first asked for."""
    if not known:
        for row, value in enumerate(column):
            known.setdefault(value, []).append(row)
    return known


def _padded(size: int) -> int:
    return (size + 7) // 8 * 8


def _little(column: memoryview, kind: str) -> bytes:
    return column.tobytes() if sys.byteorder == "little" else _bytes_of(array(CODES[kind], column.tobytes()), kind)


def _bytes_of(numbers: "array[int]", kind: str) -> bytes:
    if sys.byteorder != "little" and kind[-1] != "1":
        numbers.byteswap()
    return numbers.tobytes()


def _native(data: memoryview, kind: str) -> memoryview:
    if sys.byteorder == "little":
        return data.cast(CODES[kind])
    swapped = array(CODES[kind], data.tobytes())
    swapped.byteswap()
    return memoryview(swapped)
