"""The span columns of a run: one record of numbers for each span, and for each other line of events.jsonl.

They are derived from events.jsonl (see `scan`), and no part of a bundle. Their file is: the magic 8 bytes, the length
of the header (4 bytes), the header as JSON, zeros up to a multiple of 8, then the columns one after the other, each at
a multiple of 8. All numbers are little-endian.
"""

import sys
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import orjson

FORMAT = "runbundle/span-columns/v1"
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
"""Names and types of the columns with a number for each span."""
OTHER_COLUMNS = (("row", "i4"), ("at", "u8"), ("bytes", "u4"), ("kind", "u1"))
"""Names and types of the columns with a number for each line that neither starts nor ends a span or the run."""
CODES: dict[str, Literal["q", "Q", "i", "I", "H", "B"]] = {
    "i8": "q",
    "u8": "Q",
    "i4": "i",
    "u4": "I",
    "u2": "H",
    "u1": "B",
    "8 bytes": "Q",
}
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
        bodies = {name: _little(self.data[name], kind) for name, kind in (*SPAN_COLUMNS, *OTHER_COLUMNS)}
        columns = [
            {"name": name, "type": kind, "at": 0, "bytes": len(bodies[name])}
            for name, kind in (*SPAN_COLUMNS, *OTHER_COLUMNS)
        ]
        header = {**self.header, "columns": columns}
        room = len(orjson.dumps(header)) + 20 * len(columns)  # for the places, which are not known yet
        at = _padded(len(MAGIC) + 4 + room)
        start = at
        for column in columns:
            column["at"] = at
            at = _padded(at + cast("int", column["bytes"]))
        head = orjson.dumps(header).ljust(start - len(MAGIC) - 4)
        made = bytearray(MAGIC + len(head).to_bytes(4, "little") + head)
        for column in columns:
            made += bytes(cast("int", column["at"]) - len(made)) + bodies[cast("str", column["name"])]
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
        places = {column["name"]: (column["at"], column["bytes"]) for column in header["columns"]}
        rows = [(*column, header["spans"]) for column in SPAN_COLUMNS]
        rows += [(*column, header["others"]) for column in OTHER_COLUMNS]
        view = memoryview(data)
        columns: dict[str, memoryview] = {}
        for name, kind, count in rows:
            at, size = places[name]
            if size != count * array(CODES[kind]).itemsize or at + size > len(data) or at < 12 + length:
                return None
            columns[name] = _native(view[at : at + size], kind)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
    del header["columns"]
    return SpanColumns(header, columns)


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
    if sys.byteorder == "little":
        return column.tobytes()
    swapped = array(CODES[kind], column.tobytes())
    swapped.byteswap()
    return swapped.tobytes()


def _native(data: memoryview, kind: str) -> memoryview:
    if sys.byteorder == "little":
        return data.cast(CODES[kind])
    swapped = array(CODES[kind], data.tobytes())
    swapped.byteswap()
    return memoryview(swapped)
