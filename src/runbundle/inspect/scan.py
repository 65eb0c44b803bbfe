"""One pass over the lines of events.jsonl that makes the span columns. One line is in memory at a time."""

from array import array
from collections.abc import Iterable, Iterator
from typing import Any, cast

from runbundle.bundle.reader import parse_object_line
from runbundle.errors import MalformedBundle
from runbundle.format.layout import EVENTS
from runbundle.inspect.span_columns import (
    CODES,
    ELSEWHERE,
    FORMAT,
    NEVER_ENDED,
    OTHER_COLUMNS,
    ROOT,
    SPAN_COLUMNS,
    SpanColumns,
    id_number,
)
from runbundle.signals import semconv
from runbundle.signals.reading import count_of, text_of

OPS = ("", "run", "agent", "step", "tool", "model", "retrieval", "other")
STATUSES = ("", "ok", "unset", "error", "blocked", "cancelled", "interrupted", "abandoned", "waiting")
KINDS = ("span.event", "policy.decision", "score", "log")
_OF_THE_RUN = ("run.started", "run.ended")
_READ = {
    semconv.REQUEST_MODEL, semconv.RESPONSE_MODEL, semconv.TOOL_NAME, semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS
}  # fmt: skip
_MOST_CHARS = 512
_ROWS = 4096
_MOST_U1, _MOST_U2, _MOST_U4, _MOST_I8 = 2**8 - 1, 2**16 - 1, 2**32 - 1, 2**63 - 1


def columns_from(lines: Iterable[bytes], *, run_json_sha256: str = "", events_sha256: str = "") -> SpanColumns:
    """Return the columns of the lines of an events.jsonl.

    Names longer than 512 characters are cut, counts are limited to what their column holds, and times to 292 years
    around the first. A span that was interrupted has no duration. Lines that say how the run began and ended have no
    row: its first and last span say it. In a circle of parents, which only a forged bundle has, the first span counts
    as one whose parent is elsewhere. Raises `MalformedBundle` with the number of the line.
    """
    scan = _Scan()
    for line in lines:
        scan.take(line)
    return scan.columns(run_json_sha256, events_sha256)


class _Table:
    """The words of one column, numbered as they come."""

    def __init__(self, *words: str) -> None:
        self._numbers = {word: number for number, word in enumerate(words)}

    def number(self, word: str | None) -> int:
        if word is None:
            return 0
        if len(word) > _MOST_CHARS:
            word = word[: _MOST_CHARS - 1] + "…"
        return self._numbers.setdefault(word, len(self._numbers))

    def words(self) -> list[str]:
        return list(self._numbers)


class _Scan:
    def __init__(self) -> None:
        self._data: dict[str, array[int]] = {name: array(CODES[kind]) for name, kind in (*SPAN_COLUMNS, *OTHER_COLUMNS)}
        self._strings, self._traces = _Table(""), _Table()
        self._ops, self._statuses, self._kinds = _Table(*OPS), _Table(*STATUSES), _Table(*KINDS)
        self._rows: dict[tuple[int, int], int] = {}
        self._parents: list[tuple[int, int] | None] = []
        self._early: dict[tuple[int, int], tuple[dict[str, Any], int, int]] = {}  # ends before their starts
        self._unplaced: list[tuple[int, tuple[int, int]]] = []
        self._base_ns = 0
        self._at = self._line = self._room = 0

    def take(self, line: bytes) -> None:
        """Take up one line, with its line end."""
        self._line += 1
        event = parse_object_line(line, EVENTS, self._line)
        kind = event.get("type")
        if kind == "span.started":
            self._start(event, len(line))
        elif kind == "span.ended":
            key = self._key(event, "span_id")
            row = self._rows.get(key)
            if row is None:
                self._early[key] = (event, self._at, len(line))
            else:
                self._end(event, row, self._at, len(line))
        elif not isinstance(kind, str):
            raise self._wrong("has no type")
        elif kind not in _OF_THE_RUN:
            self._other(kind, self._key(event, "span_id"), len(line))
        self._at += len(line)

    def _key(self, event: dict[str, Any], field: str) -> tuple[int, int]:
        trace_id, span_id = event.get("trace_id"), event.get(field)
        if isinstance(trace_id, str) and isinstance(span_id, str) and len(trace_id) == 32:
            number = id_number(span_id)
            if number is not None:
                return self._traces.number(trace_id), number
        raise self._wrong("has no ids of a span and a trace")

    def _start(self, event: dict[str, Any], size: int) -> None:
        key, row, data = self._key(event, "span_id"), len(self._rows), self._data
        if self._rows.setdefault(key, row) != row:
            raise self._wrong("starts a span a second time")
        if row == self._room:  # a column grows by many rows at once
            for name, kind in SPAN_COLUMNS:
                data[name].frombytes(bytes(_ROWS * array(CODES[kind]).itemsize))
            self._room += _ROWS
        time_ns = self._number(event.get("time_ns"), "time_ns")
        if not row:
            self._base_ns = time_ns
        self._parents.append(None if event.get("parent_span_id") is None else self._key(event, "parent_span_id"))
        data["start_ns"][row] = max(-_MOST_I8, min(time_ns - self._base_ns, _MOST_I8))
        data["duration_ns"][row] = NEVER_ENDED
        data["name"][row] = self._strings.number(self._text(event, "name"))
        data["lane"][row] = self._strings.number(self._text(event, "lane"))
        data["op"][row] = self._word(self._ops, self._text(event, "op"))
        data["trace"][row] = min(key[0], _MOST_U2)
        data["span_id"][row] = key[1]
        data["started_at"][row] = self._at
        data["started_bytes"][row] = size
        if self._early and (early := self._early.pop(key, None)):
            self._end(early[0], row, early[1], early[2])

    def _end(self, event: dict[str, Any], row: int, at: int, size: int) -> None:
        data = self._data
        if data["ended_bytes"][row]:
            raise self._wrong("ends a span a second time")
        attributes: Any = event.get("attributes")
        if not isinstance(attributes, dict):
            raise self._wrong("has no attributes")
        attributes = cast("dict[str, Any]", attributes)
        status = self._text(event, "status")
        if status != "interrupted":
            duration = self._number(event.get("duration_ns", "0"), "duration_ns")
            data["duration_ns"][row] = min(duration, NEVER_ENDED - 1)
        data["status"][row] = self._word(self._statuses, status)
        data["withheld"][row] = min(count_of(event, "redactions"), _MOST_U2)
        data["ended_at"][row], data["ended_bytes"][row] = at, size
        if attributes.keys().isdisjoint(_READ):
            return
        model = text_of(attributes, semconv.REQUEST_MODEL) or text_of(attributes, semconv.RESPONSE_MODEL)
        data["model"][row] = self._strings.number(model)
        data["tool"][row] = self._strings.number(text_of(attributes, semconv.TOOL_NAME))
        data["tokens_in"][row] = min(count_of(attributes, semconv.INPUT_TOKENS), _MOST_U4)
        data["tokens_out"][row] = min(count_of(attributes, semconv.OUTPUT_TOKENS), _MOST_U4)

    def _other(self, kind: str, key: tuple[int, int], size: int) -> None:
        row = self._rows.get(key, -1)
        if row < 0:
            self._unplaced.append((len(self._data["row"]), key))
        for name, value in (("row", row), ("at", self._at), ("bytes", size), ("kind", self._word(self._kinds, kind))):
            self._data[name].append(value)

    def columns(self, run_json_sha256: str, events_sha256: str) -> SpanColumns:
        """Return what was taken up. Parents and spans that came later than what names them are found now."""
        if self._early:
            raise MalformedBundle("ends a span that never started", file=EVENTS)
        for name, _ in SPAN_COLUMNS:
            del self._data[name][len(self._rows) :]
        parents = self._data["parent"]
        for row, key in enumerate(self._parents):
            parents[row] = ROOT if key is None else self._rows.get(key, ELSEWHERE)
        for row in _in_circles(parents):
            parents[row] = ELSEWHERE
        for place, key in self._unplaced:
            self._data["row"][place] = self._rows.get(key, -1)
        traces = self._traces.words()
        header = {
            "format": FORMAT, "base_ns": str(self._base_ns), "spans": len(parents), "others": len(self._data["row"]),
            "strings": self._strings.words(), "ops": self._ops.words(), "statuses": self._statuses.words(),
            "traces": traces if len(traces) <= _MOST_U2 else [*traces[:_MOST_U2], ""], "kinds": self._kinds.words(),
            "run_json_sha256": run_json_sha256, "events_sha256": events_sha256,
        }  # fmt: skip
        return SpanColumns(header, {name: memoryview(column) for name, column in self._data.items()})

    def _text(self, event: dict[str, Any], field: str) -> str | None:
        found = event.get(field)
        if found is None or isinstance(found, str):
            return found
        raise self._wrong(f"has a {field} that is not text")

    def _word(self, table: _Table, word: str | None) -> int:
        number = table.number(word)
        if number > _MOST_U1:
            raise self._wrong("has one word more than the format knows")
        return number

    def _number(self, text: object, field: str) -> int:
        if isinstance(text, str) and text.isdecimal() and text.isascii() and len(text) <= 20:
            return int(text)
        raise self._wrong(f"has a {field} that is none")

    def _wrong(self, what: str) -> MalformedBundle:
        return MalformedBundle(what, file=EVENTS, line=self._line)


def _in_circles(parents: "array[int]") -> Iterator[int]:
    """Yield one row of each circle of parents: the first."""
    seen = array("i", bytes(4 * len(parents)))  # by which walk
    for start in range(len(parents)):
        row = start
        while row >= 0 and not seen[row]:
            seen[row] = start + 1
            row = parents[row]
        if row >= 0 and seen[row] == start + 1:
            first, at = row, parents[row]
            while at != row:
                first, at = min(first, at), parents[at]
            yield first
