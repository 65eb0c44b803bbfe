"""Text for people: tables that fit the width, and durations, times and sizes in readable units."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click

from runbundle.process.printable import printable

_STYLES = {"error": "red", "blocked": "yellow", "interrupted": "yellow", "abandoned": "yellow",
           "waiting": "cyan", "failed": "red", "verified": "green",
           "unchanged": "green", "pass": "green", "fail": "red", "inconclusive": "yellow",
           "incomplete": "yellow", "ok": "green"}  # fmt: skip

_NARROWEST = 3


def on_screen() -> bool:
    """Tell whether what is printed has a width to fit: on a terminal, or where `COLUMNS` gives one."""
    return sys.stdout.isatty() or "COLUMNS" in os.environ


def coloured() -> bool:
    """Tell whether to print in colours: on a terminal, unless `NO_COLOR` is set to anything."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def width() -> int:
    """Return the number of columns of the terminal: `COLUMNS` if set, 100 if there is no terminal, at least 40."""
    return max(40, shutil.get_terminal_size((100, 24)).columns)


def limit() -> int | None:
    """Return the number of columns to which lines are cut; None in a pipe without `COLUMNS`: nothing is cut there."""
    return width() if on_screen() else None


def table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    whole: Sequence[int] = (),
    spare: Sequence[int] = (),
    roomy: Sequence[tuple[int, int]] = (),
) -> None:
    """Print a table that fits the width. Columns are named by their numbers.

    `right`: right-aligned. `spare`: left out, in this order, where the table would be too wide. `whole`: never cut; the
    cells of other columns are then cut with `…`. `roomy`: columns, each with a width to which it may be cut before a
    spare one is left out. No line is wrapped. In a pipe nothing is cut or left out, unless
    `COLUMNS` gives a width.
    """
    cells = [[printable(cell) for cell in row] for row in [headings, *rows]]
    sizes = {i: max(len(row[i]) for row in cells) for i in range(len(headings))}
    most = limit()
    if most is not None:
        surplus = sum(max(0, sizes[column] - least) for column, least in roomy)
        for column in spare:
            if _total(sizes) - surplus > most:
                del sizes[column]
        others = [column for column in sizes if column not in whole]
        while others and _total(sizes) > most:
            widest = max(others, key=sizes.__getitem__)
            if sizes[widest] <= _NARROWEST:
                break
            sizes[widest] -= 1
    fitted = [[_fit(row[i], size, right=i in right) for i, size in sizes.items()] for row in cells]
    if coloured():
        _rich_table(fitted)
        return
    for row in fitted:
        click.echo("  ".join(row).rstrip())


def _total(sizes: Mapping[int, int]) -> int:
    return sum(sizes.values()) + 2 * (len(sizes) - 1)


def _rich_table(rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for heading in rows[0]:
        drawn.add_column(Text(heading), no_wrap=True)
    for row in rows[1:]:
        drawn.add_row(*(Text(cell, style=_STYLES.get(cell.strip(), "")) for cell in row))
    wide = sum(map(len, rows[0])) + 2 * len(rows[0])
    Console(width=max(width(), wide), highlight=False).print(drawn)


def _fit(text: str, size: int, *, right: bool) -> str:
    if len(text) > size:
        text = text[: size - 1] + "…"
    return text.rjust(size) if right else text.ljust(size)


def status_word(text: str) -> str:
    """Return a status word, coloured if standard output is a terminal."""
    colour = _STYLES.get(text)
    return click.style(text, fg=colour) if colour and coloured() else text


def cut(text: str) -> str:
    """Return text on one line, cut with `…` to the width; whole in a pipe."""
    text, most = printable(text), limit()
    return text if most is None or len(text) <= most else text[: most - 1] + "…"


def line(left: str, right: str) -> str:
    """Return one line with `left` at the left edge and `right` at the right; `left` is cut if both do not fit.

    In a pipe nothing is cut.
    """
    left, right = printable(left), printable(right)
    room = width() - len(right) - 2
    if limit() is None:
        room = max(room, len(left))
    return f"{_fit(left, room, right=False)}  {right}".rstrip()


def span_duration(nanoseconds: str | int | None, status: str | None) -> str:
    """Return the duration of a span or tool call; `-` if it never ended, so that its duration is not known."""
    return "-" if nanoseconds is None or status in (None, "interrupted") else duration(nanoseconds)


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
    """Return a duration rounded down to one unit: `40 s`, `3 m`, `5 h`, `2 d`."""
    seconds = max(0, nanoseconds) // 1_000_000_000
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


_SMALL = 63


def size(count: int | None) -> str:
    """Return a number of bytes in decimal units: `812 B`, `1.4 kB`; `-` for None."""
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
    """Return an RFC 3339 time as `2026-11-25 04:56:00Z`."""
    return rfc3339[:19].replace("T", " ") + "Z"


def instant(ns: int) -> str:
    """Return nanoseconds since 1970 as RFC 3339 to the second, limited to the years 1970 to 9999."""
    seconds = min(max(ns // 1_000_000_000, 0), 253_402_300_799)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plural(count: int, noun: str) -> str:
    """Return a count and its noun: `1 span`, `2 spans`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
