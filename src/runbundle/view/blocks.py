"""The parts of which the tabs are made, as JSON for the page: headings, facts, tables, notes, lists of spans.

The page draws them as text. A cell is a text or number, or one of: `{"pill": word}` for a status with its sign,
`{"code": text}`, `{"us": n}` and `{"bytes": n}` and `{"when": time}` for the page to write, `{"span": id, "text": …}`
that leads to a span, `{"tool": name}` that lists its calls, `{"bad": text}` and `{"doubt": text}`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

Block = dict[str, Any]
Cell = Any


def heading(text: str, pill: str = "") -> Block:
    """Return a heading, with a status behind it if there is one."""
    return {"h": text, "pill": pill}


def facts(*rows: tuple[str, Cell]) -> Block:
    """Return names and values, without those that are empty."""
    return {"facts": [row for row in rows if row[1] not in (None, "", False, [], {})]}


def table(label: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Block:
    """Return a table; None in a cell is empty."""
    return {
        "table": label,
        "columns": columns,
        "rows": [["" if cell is None else cell for cell in row] for row in rows],
    }


def note(text: str) -> Block:
    """Return a line of text."""
    return {"note": text}


def pre(label: str, text: str) -> Block:
    """Return a text of several lines."""
    return {"pre": text, "label": label}


def spans(label: str, kind: str) -> Block:
    """Return a list of spans that the page takes from its columns: `tool` calls, faults first, or `withheld`, most."""
    return {"spans": label, "kind": kind}


def code(text: str | None) -> Cell:
    """Return a cell with an id or digest; empty for none."""
    return {"code": text} if text else ""
