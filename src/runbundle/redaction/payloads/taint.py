"""Taint: a value that a contract withheld in one place is withheld wherever else the run repeats it.

An agent passes values on: an `/email` that a tool was given stands in the answer of the next tool as text. A table for
each run remembers the values that contracts withheld. Views of later payloads and texts of errors are searched for
them, whatever the case of letters: texts of 8 characters and more that are no single word, numbers of 6 digits and more
as a whole, and the words of names, of 4 letters and more, as whole words. A name is a value under a key such as `name`,
`surname` or `author`, or personal data of two to four capitalised words. The table is bounded, and the receipt counts
the values it forgets. It knows only earlier values: a span that was recorded is not changed later.
"""

import re
import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

from runbundle.process import forks
from runbundle.redaction.markers import CLASSES, ROLES, blanked, is_digest, is_marker, marker
from runbundle.redaction.receipt import Receipt

RUNS = 256
"""Runs that are remembered. One more, and the run that was silent longest is forgotten."""
VALUES = 512
"""Values that are remembered of one run. Further ones are counted and not remembered."""
MIN_CHARS, MAX_CHARS = 8, 512
MIN_DIGITS = 6
_SMALLEST = 10 ** (MIN_DIGITS - 1)
_NAME_CHARS = 128
OPENED = 4096
_LEFT = 4096
_WORD = re.compile(r"[^\W\d_]{4,}")
_NAME = re.compile(r"[A-Z][^\W\d_A-Z]+(?:[ '-]+[A-Z][^\W\d_]*\.?){1,3}")
_NAME_OF = (
    "first|last|full|given|family|middle|maiden|display|nick|sur|fore|customer|client|patient|contact|person|employee|user"
    "|account|holder|owner|recipient|sender|traveller|passenger|guest|member"
)
_NAME_KEY = re.compile(
    rf"(?i)(?:^|[a-z_. -])(?:(?:{_NAME_OF})[_ -]?name|surname)s?$"
    r"|^(?:name|author|contact|person|customer|patient|recipient|employee|passenger|guest|owner|who)$"
)


class TaintTable:
    """The values withheld in one run, each with the data class it was withheld for."""

    __slots__ = ("_longest_first", "_words", "asked", "classes", "forgotten", "numbers", "words")

    def __init__(self, forgotten: int = 0) -> None:
        self.classes: dict[str, str] = {}
        """By text."""
        self.numbers: dict[str, str] = {}
        """By the digits of a number."""
        self.words: dict[str, str] = {}
        """By word of a name, in lower case."""
        self.forgotten = forgotten
        """How many values were not remembered and are not yet counted in a receipt."""
        self.asked: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()
        """The arguments of calls that a model asked for, by tool and only value (see `bare_arguments`)."""
        self._longest_first: list[tuple[str, str]] = []
        self._words: tuple[int, re.Pattern[str]] | None = None

    def __len__(self) -> int:
        return len(self.classes) + len(self.numbers) + len(self.words)

    def texts_longest_first(self) -> list[tuple[str, str]]:
        """Return the texts in lower case with their classes, longest first."""
        if len(self._longest_first) != len(self.classes):
            lower = {text.lower(): data_class for text, data_class in self.classes.copy().items()}
            self._longest_first = sorted(lower.items(), key=lambda pair: len(pair[0]), reverse=True)
        return self._longest_first

    def word_pattern(self) -> "re.Pattern[str] | None":
        """Return a pattern that matches the numbers and words, none of them within a longer one; None if there are
        none.
        """
        count = len(self.numbers) + len(self.words)
        if not count:
            return None
        if self._words is None or self._words[0] != count:
            texts = sorted([*self.numbers.copy(), *self.words.copy()], key=len, reverse=True)
            pattern = re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, texts))})(?![^\W_])", re.IGNORECASE)
            self._words = count, pattern
        return self._words[1]


class TaintTables:
    """The tables of all runs. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a span may end where garbage is collected, in here too
        _taints.add(self)
        self._tables: OrderedDict[tuple[str, str], TaintTable] = OrderedDict()
        self._left: OrderedDict[tuple[str, str], int] = OrderedDict()

    def table(self, tenant_id: str, run_id: str) -> TaintTable:
        """Return the table of a run. Without a run id each call returns a new table."""
        if not run_id:
            return TaintTable()
        key = (tenant_id, run_id)
        with self._lock:
            table = self._tables.get(key)
            if table is None:
                table = self._tables[key] = TaintTable(self._left.pop(key, 0))
                if len(self._tables) > RUNS:
                    self._forget(*self._tables.popitem(last=False))
            else:
                self._tables.move_to_end(key)
            return table

    def _forget(self, key: tuple[str, str], table: TaintTable) -> None:
        if len(table) + table.forgotten:
            self._left[key] = len(table) + table.forgotten
            if len(self._left) > _LEFT:
                self._left.popitem(last=False)


_taints: "weakref.WeakSet[TaintTables]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for taint in list(_taints):
        taint._lock = threading.RLock()  # pyright: ignore[reportPrivateUsage] - its holder is not in the child


forks.in_child(forks.Stage.LEAVES, _after_fork_in_child)


def remember(table: TaintTable, value: Any, data_class: str, key: str = "") -> None:
    """Add the parts of a value that was withheld under `key` to the table: long texts, long numbers, words of names."""
    known = table.classes
    pending: list[Any] = [value]
    seen, opened = set[str](), set[int]()
    if key and is_name_key(key):
        _remember_name(table, value, data_class)
    personal = data_class in ("personal", "special")
    while pending and len(seen) < VALUES and len(opened) < OPENED:
        item = pending.pop()
        if item.__class__ is str:
            if item in seen or not MIN_DIGITS <= len(item) <= MAX_CHARS:
                continue
            seen.add(item)
            if item.isdecimal():
                _add_number(table, item, data_class)
            elif personal and _NAME.fullmatch(item):
                _remember_name(table, item, data_class)
            if len(item) >= MIN_CHARS and item not in known and _telling(item):
                _add(table, known, item, data_class)
        elif item.__class__ is int or item.__class__ is float:
            if item >= _SMALLEST or item <= -_SMALLEST:
                _add_number(table, str(abs(item)), data_class)
        elif isinstance(item, Mapping | list | tuple) and id(cast("object", item)) not in opened:
            opened.add(id(cast("object", item)))  # a value may contain itself
            if not isinstance(item, Mapping):
                pending += cast("list[Any]", item)
                continue
            fields = cast("Mapping[Any, Any]", item)
            pending += fields.values()
            for name, inner in fields.items():
                if name.__class__ is str and is_name_key(name):
                    _remember_name(table, inner, data_class)
    table.forgotten += len(pending)


@lru_cache(maxsize=4096)
def is_name_key(key: str) -> bool:
    """Tell whether what is under a key is a person's name."""
    return len(key) <= 64 and _NAME_KEY.search(key) is not None


def _remember_name(table: TaintTable, value: Any, data_class: str) -> None:
    texts = cast("list[Any]", value)[:VALUES] if isinstance(value, list | tuple) else [value]
    for text in texts:
        if text.__class__ is str and len(text) <= _NAME_CHARS and not any(map(str.isdigit, text)):
            for word in _WORD.findall(text):
                _add(table, table.words, word.lower(), data_class)


def _add_number(table: TaintTable, digits: str, data_class: str) -> None:
    if len(set(digits)) > 2:
        _add(table, table.numbers, digits, data_class)


def _add(table: TaintTable, into: dict[str, str], text: str, data_class: str) -> None:
    if text in into:
        return
    if len(table) < VALUES:
        into[text] = data_class
    else:
        table.forgotten += 1


def scrub(value: Any, table: TaintTable, receipt: Receipt, path: str) -> Any:
    """Return a view with markers in the place of the table's values, longest first. Each text that had any is noted
    once.

    The receipt also counts the values that the table has forgotten since the last receipt.
    """
    if table.forgotten:
        receipt.count_more("taint:forgotten", "drop", table.forgotten)
        table.forgotten = 0
    return _scrub(value, table, receipt, path) if len(table) else value


def _scrub(value: Any, table: TaintTable, receipt: Receipt, path: str) -> Any:
    if isinstance(value, str):
        clean = _scrub_text(value, table)
        if clean != value:
            receipt.add(path, "taint", "mask")
        return clean
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {_scrub(k, table, receipt, path): _scrub(v, table, receipt, path) for k, v in items}
    if isinstance(value, list):
        return [_scrub(item, table, receipt, path) for item in cast("list[Any]", value)]
    if table.numbers and value.__class__ in (int, float) and (known := table.numbers.get(str(abs(value)))):
        receipt.add(path, "taint", "mask")
        return marker(known)
    return value


def _scrub_text(text: str, table: TaintTable) -> str:
    lower = text.lower()
    if len(lower) == len(text):
        for known, data_class in table.texts_longest_first():
            at = lower.find(known)
            while at >= 0:
                mask = marker(data_class)
                text, lower = text[:at] + mask + text[at + len(known) :], lower[:at] + mask + lower[at + len(known) :]
                at = lower.find(known, at + len(mask))
    else:  # letters whose lower case is longer: places do not agree
        for known, data_class in table.classes.copy().items():
            text = text.replace(known, marker(data_class))
    pattern = table.word_pattern()
    if pattern is None or is_marker(text):
        return text
    shown = blanked(text, "\0")
    spans = [(m.start(), m.end(), m[0].lower()) for m in pattern.finditer(shown)]
    for start, end, word in reversed(spans):
        text = text[:start] + marker(table.numbers.get(word) or table.words[word]) + text[end:]
    return text


def _telling(text: str) -> bool:
    if len(set(text)) < 4 or "[REDACTED:" in text or is_digest(text):
        return False
    # A word would be found in ordinary text, and a part of a marker in every marker.
    return not (text.isalpha() and len(text) < 16) and text not in CLASSES and text not in ROLES
