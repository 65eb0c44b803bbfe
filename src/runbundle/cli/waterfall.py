"""The spans of a run as lines of text: a tree, and beside it when each began and how long it took, as bars."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from runbundle.cli.render import limit, plural, span_duration
from runbundle.process.printable import printable

if TYPE_CHECKING:
    from runbundle.inspect.columns import SpanColumns

_DEEPEST = 16
"""Levels that are indented; deeper ones have their number instead."""
_WIDE = 120
_DURATION = 9
_WELL = ("ok", "unset")


class _Line(NamedTuple):
    row: int
    indent: str
    depth: int


def tree(columns: "SpanColumns", most: int | None) -> list[_Line]:
    """Return the first lines of the tree, children below their parents in the order in which they started."""
    found: list[_Line] = []
    stack = [_Line(row, "", 0) for row in reversed(columns.roots())]
    while stack and (most is None or len(found) < most):
        line = stack.pop()
        found.append(line)
        below = columns.children(line.row)
        inner = line.indent.replace("├─ ", "│  ").replace("└─ ", "   ")
        for number, child in enumerate(reversed(below)):
            stack.append(_Line(child, inner + ("└─ " if number == 0 else "├─ "), line.depth + 1))
    return found


def label(columns: "SpanColumns", row: int) -> str:
    """Return the name of a span, after its kind of work if the name does not begin with it."""
    name, op = columns.text("name", row), columns.op(row)
    return name if not op or name.startswith(f"{op} ") else f"{op}: {name}"


def lines(columns: "SpanColumns", shown: list[_Line], *, bars: bool) -> Iterator[str]:
    """Yield a line for each span: name, how it ended if not well, duration, bar, id.

    On a terminal the names are cut so that the lines fit. A bar shows offset and length within the time from the first
    start to the last end; one that never ended is open.
    """
    most = limit()
    wide = most is None or most >= _WIDE
    digits, bar = (16 if wide else 6), ((24 if wide else 16) if bars else 0)
    right = _DURATION + 2 + (bar + 2 if bars else 0) + digits
    deepest = _DEEPEST if most is None else min(_DEEPEST, (most - right) // 6)  # half of the room is for the name
    names = [_name(columns, line, deepest) for line in shown]
    notes = [_notes(columns, line.row, withheld=wide) for line in shown]
    room = max((len(n) + len(e) + 2 * bool(e) for n, e in zip(names, notes, strict=True)), default=0)
    if most is not None:
        room = min(room, most - right - 2)
    scale = _Scale(columns, bar) if bars else None
    for line, name, note in zip(shown, names, notes, strict=True):
        left = room - len(note) - 2 * bool(note)
        if len(name) > left:
            name = name[: max(0, left - 1)] + "…"
        took = span_duration(columns.duration_ns(line.row), columns.status(line.row) or None)
        drawn = f"{scale.bar(line.row)}  " if scale else ""
        text = f"{name.ljust(left)}{'  ' if note else ''}{note}"
        yield f"{text}  {took:>{_DURATION}}  {drawn}{columns.span_id(line.row)[:digits]}"


def _name(columns: "SpanColumns", line: _Line, deepest: int) -> str:
    indent = line.indent if line.depth <= deepest else f"{line.indent[: 3 * deepest - 6]}{line.depth:>4}: "
    return indent + printable(label(columns, line.row))


def _notes(columns: "SpanColumns", row: int, *, withheld: bool) -> str:
    status, count = columns.status(row) or "interrupted", columns.data["withheld"][row]
    words = [] if status in _WELL else [printable(status)]
    return ", ".join(words + ([f"{count} withheld"] if withheld and count else []))


class _Scale:
    """The time from the first start to the last end, in cells of a bar."""

    def __init__(self, columns: "SpanColumns", cells: int) -> None:
        starts, took = columns.data["start_ns"], columns.data["duration_ns"]
        self._columns, self._cells = columns, cells
        self._first = min(starts, default=0)
        ends = [start + length for start, length in zip(starts, took, strict=True) if length < 2**63]
        self._whole = max(1, max([*ends[:1], max(ends, default=0), max(starts, default=0)]) - self._first)

    def bar(self, row: int) -> str:
        offset = self._columns.data["start_ns"][row] - self._first
        took = self._columns.duration_ns(row)
        begin = min(self._cells - 1, offset * self._cells // self._whole)
        if took is None:
            return (" " * begin).ljust(self._cells, "╌")
        length = max(1, min(self._cells - begin, -(-took * self._cells // self._whole)))
        return (" " * begin + "█" * length).ljust(self._cells)


def slowest(columns: "SpanColumns", most: int | None) -> list[tuple[int, int, int]]:
    """Return rows, their durations and the parts of them that no span below covers; longest own part first, in ns.

    Spans below that ran beside each other are added up, so an own part may be less than it was; it is never below 0.
    """
    below: dict[int, int] = {}
    took = [columns.duration_ns(row) for row in range(len(columns))]
    for parent, length in zip(columns.data["parent"], took, strict=True):
        if length is not None:
            below[parent] = below.get(parent, 0) + length
    found = [(row, length, max(0, length - below.get(row, 0))) for row, length in enumerate(took) if length is not None]
    return sorted(found, key=lambda one: (-one[2], one[0]))[:most]


def more(columns: "SpanColumns", shown: int) -> str:
    """Return the line that says how many spans are not shown; empty for none."""
    left = len(columns) - shown
    return f"… {plural(left, 'more span')}; --all shows them" if left > 0 else ""
