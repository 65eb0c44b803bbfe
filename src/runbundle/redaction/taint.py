"""What a contract withheld in one place, it withholds wherever else the run repeats it.

An agent passes values on: what a tool was given as `/email` stands in the answer of the next one as text. A table for
each run remembers the texts that contracts withheld; views of later payloads, results and messages are searched for
them. It is bounded, and knows only what came before: a span that has been recorded is not recorded again.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, cast

from runbundle.redaction.markers import CLASSES, ROLES, is_digest, marker
from runbundle.redaction.receipt import Receipt

RUNS = 256
"""Runs that are remembered; of more at a time the one that was silent longest is forgotten."""
VALUES = 512
"""Texts that are remembered of one run; further ones are not."""
MIN_CHARS, MAX_CHARS = 8, 512
_DEPTH = 16

Table = dict[str, str]
"""Text to the class it was withheld for."""


class Taint:
    """The tables of all runs. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: OrderedDict[str, Table] = OrderedDict()

    def table(self, run_id: str) -> Table:
        """Return the table of a run; outside of runs each call has a table of its own."""
        if not run_id:
            return {}
        with self._lock:
            table = self._tables.get(run_id)
            if table is None:
                table = self._tables[run_id] = {}
                if len(self._tables) > RUNS:
                    self._tables.popitem(last=False)
            else:
                self._tables.move_to_end(run_id)
            return table


def remember(table: Table, value: Any, data_class: str, depth: int = 0) -> None:
    """Note the texts in a value that was withheld: those that are long enough, and no mere word."""
    if isinstance(value, str):
        if len(table) < VALUES and value not in table and _telling(value):
            table[value] = data_class
    elif depth < _DEPTH and isinstance(value, Mapping):
        for item in cast("Mapping[Any, Any]", value).values():
            remember(table, item, data_class, depth + 1)
    elif depth < _DEPTH and isinstance(value, list | tuple):
        for item in cast("list[Any]", value):
            remember(table, item, data_class, depth + 1)


def scrub(value: Any, table: Table, receipt: Receipt, path: str) -> Any:
    """Return a view without the texts of the table, longest first; each text that had any is noted once."""
    if not table:
        return value
    return _scrub(value, sorted(table, key=len, reverse=True), table, receipt, path)


def _scrub(value: Any, texts: list[str], table: Table, receipt: Receipt, path: str) -> Any:
    if isinstance(value, str):
        clean = value
        for text in texts:
            if text in clean:
                clean = clean.replace(text, marker(table[text]))
        if clean != value:
            receipt.add(path, "taint", "mask")
        return clean
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {_scrub(k, texts, table, receipt, path): _scrub(v, texts, table, receipt, path) for k, v in items}
    if isinstance(value, list):
        return [_scrub(item, texts, table, receipt, path) for item in cast("list[Any]", value)]
    return value


def _telling(text: str) -> bool:
    if not MIN_CHARS <= len(text) <= MAX_CHARS or len(set(text)) < 4 or "[REDACTED:" in text or is_digest(text):
        return False
    # A word would be found in ordinary text, and a part of a marker in every marker.
    return not (text.isalpha() and len(text) < 16) and text not in CLASSES and text not in ROLES
