"""What a contract withheld in one place, it withholds wherever else the run repeats it.

An agent passes values on: what a tool was given as `/email` stands in the answer of the next one as text. A table for
each run remembers the texts that contracts withheld; views of later payloads, results and messages are searched for
them. It is bounded, and knows only what came before: a span that has been recorded is not recorded again.
"""

import os
import threading
import weakref
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
_OPENED = 4096


class Table:
    """The texts that were withheld in one run, each with the class it was withheld for."""

    __slots__ = ("_longest_first", "classes")

    def __init__(self) -> None:
        self.classes: dict[str, str] = {}
        self._longest_first: list[str] = []

    def texts(self) -> list[str]:
        """Return the texts, longest first."""
        if len(self._longest_first) != len(self.classes):
            self._longest_first = sorted(self.classes.copy(), key=len, reverse=True)
        return self._longest_first


class Taint:
    """The tables of all runs. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a span may end where garbage is collected, in here too
        _taints.add(self)
        self._tables: OrderedDict[str, Table] = OrderedDict()

    def table(self, run_id: str) -> Table:
        """Return the table of a run; outside of runs each call has a table of its own."""
        if not run_id:
            return Table()
        with self._lock:
            table = self._tables.get(run_id)
            if table is None:
                table = self._tables[run_id] = Table()
                if len(self._tables) > RUNS:
                    self._tables.popitem(last=False)
            else:
                self._tables.move_to_end(run_id)
            return table


_taints: "weakref.WeakSet[Taint]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for taint in list(_taints):
        taint._lock = threading.RLock()  # pyright: ignore[reportPrivateUsage] - its holder is not in the child


os.register_at_fork(after_in_child=_after_fork_in_child)


def remember(table: Table, value: Any, data_class: str) -> None:
    """Note the texts in a value that was withheld: those that are long enough, and no mere word."""
    known = table.classes
    pending: list[Any] = [value]
    seen, opened = set[str](), set[int]()
    while pending and len(known) < VALUES and len(seen) < VALUES and len(opened) < _OPENED:
        item = pending.pop()
        if item.__class__ is str:
            if MIN_CHARS <= len(item) <= MAX_CHARS and item not in seen:
                seen.add(item)
                if item not in known and _telling(item):
                    known[item] = data_class
        elif isinstance(item, Mapping | list | tuple) and id(cast("object", item)) not in opened:
            opened.add(id(cast("object", item)))  # a value may contain itself
            pending += (
                cast("Mapping[Any, Any]", item).values() if isinstance(item, Mapping) else cast("list[Any]", item)
            )


def scrub(value: Any, table: Table, receipt: Receipt, path: str) -> Any:
    """Return a view without the texts of the table, longest first; each text that had any is noted once."""
    return _scrub(value, table.texts(), table.classes, receipt, path) if table.classes else value


def _scrub(value: Any, texts: list[str], classes: dict[str, str], receipt: Receipt, path: str) -> Any:
    if isinstance(value, str):
        clean = value
        for text in texts:
            if text in clean:
                clean = clean.replace(text, marker(classes[text]))
        if clean != value:
            receipt.add(path, "taint", "mask")
        return clean
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {_scrub(k, texts, classes, receipt, path): _scrub(v, texts, classes, receipt, path) for k, v in items}
    if isinstance(value, list):
        return [_scrub(item, texts, classes, receipt, path) for item in cast("list[Any]", value)]
    return value


def _telling(text: str) -> bool:
    if len(set(text)) < 4 or "[REDACTED:" in text or is_digest(text):
        return False
    # A word would be found in ordinary text, and a part of a marker in every marker.
    return not (text.isalpha() and len(text) < 16) and text not in CLASSES and text not in ROLES
