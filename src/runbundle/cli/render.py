"""Calm text: tables that fit the width, a tree of spans, times that can be read."""

import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from runbundle.format.printable import printable

_STYLES = {"error": "red", "blocked": "yellow", "interrupted": "yellow", "abandoned": "yellow",
           "waiting": "cyan", "failed": "red", "verified": "green",
           "unchanged": "green", "incomplete": "yellow", "ok": "green"}  # fmt: skip


def width() -> int:
    """Return the columns of the terminal, 100 where there is none; `COLUMNS` is honoured."""
    return max(40, shutil.get_terminal_size((100, 24)).columns)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print a table. Columns given in `right` are right-aligned; what does not fit is cut with `…`, never wrapped."""
    rows = [[printable(str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _rich_table(headings, rows, right)
        return
    sizes = [max(len(str(row[i])) for row in [headings, *rows]) for i in range(len(headings))]
    room = width() - 2 * (len(sizes) - 1)
    while sum(sizes) > room and max(sizes) > 3:
        sizes[sizes.index(max(sizes))] -= 1
    for row in [headings, *rows]:
        cells = [_fit(str(cell), size, right=i in right) for i, (cell, size) in enumerate(zip(row, sizes, strict=True))]
        click.echo("  ".join(cells).rstrip())


def _rich_table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for i, heading in enumerate(headings):
        drawn.add_column(heading, justify="right" if i in right else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        drawn.add_row(*(Text(str(cell), style=_STYLES.get(str(cell), "")) for cell in row))
    Console(width=width(), highlight=False).print(drawn)


def _fit(text: str, size: int, *, right: bool) -> str:
    if len(text) > size:
        text = text[: size - 1] + "…"
    return text.rjust(size) if right else text.ljust(size)


def status_word(text: str) -> str:
    """Return a status word, coloured on a terminal."""
    colour = _STYLES.get(text)
    return click.style(text, fg=colour) if colour and sys.stdout.isatty() else text


def cut(text: str) -> str:
    """Return one line of text that fits the width."""
    text = printable(text)
    return text if len(text) <= width() else text[: width() - 1] + "…"


def line(left: str, right: str) -> str:
    """Return `left` and, at the right edge, `right`; `left` is cut if both do not fit."""
    left, right = printable(left), printable(right)
    room = width() - len(right) - 2
    return f"{_fit(left, room, right=False)}  {right}".rstrip()


def duration(nanoseconds: str | int) -> str:
    """Return a duration with three significant digits: `312 µs`, `1.24 s`, `2 m 03 s`."""
    ns = int(nanoseconds)
    if ns >= 60_000_000_000:
        minutes, seconds = divmod(ns // 1_000_000_000, 60)
        return f"{minutes} m {seconds:02d} s"
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000)):
        if ns >= size:
            value = ns / size
            return (
                f"{value:.0f} {unit}"
                if value >= 100
                else f"{value:.1f} {unit}"
                if value >= 10
                else f"{value:.2f} {unit}"
            )
    return f"{ns} ns"


def age(nanoseconds: int) -> str:
    """Return how long something takes, to one unit: `40 s`, `3 m`, `5 h`, `2 d`."""
    seconds = max(0, nanoseconds) // 1_000_000_000
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


_SMALL = 63


def size(count: int | None) -> str:
    """Return a size in bytes: `812 B`, `1.4 kB`."""
    if count is None:
        return "-"
    if count == _SMALL:
        return "<64 B"  # what a field says of any size below it
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def moment(rfc3339: str) -> str:
    """Return a time to the second, in UTC."""
    return rfc3339[:19].replace("T", " ") + "Z"


def instant(ns: int) -> str:
    """Return a time since 1970 as RFC 3339 to the second; the first or last that can be told if it is beyond."""
    seconds = min(max(ns // 1_000_000_000, 0), 253_402_300_799)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plural(count: int, noun: str) -> str:
    """Return `1 span`, `2 spans`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
