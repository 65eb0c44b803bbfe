"""Taint: a value that a contract withheld in one place is withheld wherever else the run repeats it.

An agent passes values on: an `/email` that a tool was given stands in the answer of the next tool as text. A table for
each run remembers the values that contracts withheld. Views of later payloads and texts of errors are searched for
them, whatever the case of letters: texts of 8 characters and more that are no single word, numbers of 6 digits and more
as a whole, and the words of names, of 4 letters and more, as whole words. A name is a value under a key such as `name`,
`surname` or `author`, or personal data of two to four capitalised words. The table is bounded, and the receipt counts
the values it forgets. It knows only earlier values: a span that was recorded is not changed later.
"""

import contextlib
import re
import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, cast

import orjson
from ahocorasick_rs import AhoCorasick, Implementation

from runbundle.process import forks
from runbundle.process.regex import later
from runbundle.redaction.markers import CLASSES, ROLES, blanked, is_digest, is_marker, key_marker, marker
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
_BEGINNING = 8
"""Characters of a value that are in the automaton; the whole value would make it ten times as large."""
_SINGLY = 16
"""Values that are searched for one by one (0.3 µs each) before a new automaton is built (1 µs for each value in it)."""
_LISTS = (list, tuple)
_CONTAINERS = (Mapping, *_LISTS)
_LIKE_ASCII = {0x17F: "s", 0x131: "i"}
"""Lower-case letters that a pattern which ignores case takes for these: the long `s`, and the `i` without a dot."""
_WORD = later(r"[^\W\d_]{4,}")
_NAME = later(r"[A-Z][^\W\d_A-Z]+(?:[ '-]+[A-Z][^\W\d_]*\.?){1,3}")
_NAME_OF = (
    "first|last|full|given|family|middle|maiden|display|nick|sur|fore|customer|client|patient|contact|person|employee|user"
    "|account|holder|owner|recipient|sender|traveller|passenger|guest|member"
)
_NAME_KEY = later(
    rf"(?i)(?:^|[a-z_. -])(?:(?:{_NAME_OF})[_ -]?name|surname)s?$"
    r"|^(?:name|author|contact|person|customer|patient|recipient|employee|passenger|guest|owner|who)$"
)


class _Automaton(NamedTuple):
    """An automaton of the beginnings of values."""

    search: Any
    begun: list[list[str]]
    """By beginning: the values, as they are searched for."""
    values: int
    """How many they are."""


class _Needles:
    """Values as lower-case JSON writes them, and the quick answer that none of them is in such a text.

    They are taken from the table's own dictionaries whenever these have grown, whoever has added to them: the native
    core does, too.
    """

    __slots__ = ("_all", "_automaton", "_like", "_seen", "_sources")

    def __init__(self, *sources: dict[str, str], like: Mapping[int, str]) -> None:
        """`like`: letters of the values, and those for which a search takes them."""
        self._sources, self._like = sources, like
        self._seen = [0] * len(sources)
        self._all: list[str] = []
        self._automaton = _Automaton(None, [], 0)

    def any_in(self, text: str) -> bool:
        """Tell whether any of the values is in a text."""
        for number, source in enumerate(self._sources):
            if len(source) != self._seen[number]:
                self._take(number, list(source.copy()))  # other threads may add to it
        automaton = self._automaton
        if len(self._all) - automaton.values > max(_SINGLY, automaton.values // 8):
            automaton = self._automaton = _automaton(self._all.copy())
        for needle in self._all[automaton.values :]:
            if needle in text:
                return True
        if automaton.search is None:
            return False
        hits = cast("list[tuple[int, int, int]]", automaton.search.find_matches_as_indexes(text, overlapping=True))
        return any(text.startswith(needle, at) for index, at, _ in hits for needle in automaton.begun[index])

    def _take(self, number: int, values: list[str]) -> None:
        for value in values[self._seen[number] :]:
            with contextlib.suppress(TypeError):  # one with lone surrogates is in no text that JSON can hold
                self._all.append(orjson.dumps(value.translate(self._like).lower()).decode()[1:-1])
        self._seen[number] = len(values)


def _automaton(values: list[str]) -> _Automaton:
    begun: dict[str, list[str]] = {}
    for value in values:
        begun.setdefault(value[:_BEGINNING], []).append(value)
    search = AhoCorasick(list(begun), implementation=Implementation.ContiguousNFA, store_patterns=False)
    return _Automaton(search, list(begun.values()), len(values))


class TaintTable:
    """The values withheld in one run, each with the data class it was withheld for."""

    __slots__ = ("_longest_first", "_needles", "_words", "asked", "classes", "forgotten", "numbers", "words")

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
        self._needles: tuple[_Needles, _Needles] | None = None
        """The same values, to tell quickly where they are not: the texts; and the numbers and words. In most runs
        nothing is searched for, so they are made when they are needed."""

    def __len__(self) -> int:
        return len(self.classes) + len(self.numbers) + len(self.words)

    def add(self, into: dict[str, str], text: str, data_class: str) -> None:
        """Add a value to one of the three, unless it is there; count it as forgotten if the table is full."""
        if text in into:
            return
        if len(self) >= VALUES:
            self.forgotten += 1
            return
        into[text] = data_class

    def may_be_in(self, view: Any) -> bool:
        """Tell whether any of the values may be in a view, or in a text. "No" is certain.

        It is a search of the view's JSON for all values at once, 5 µs for 1 KB, instead of one for each of its texts
        and each value. The lower case of letters that are not ASCII may depend on what stands beside them, or be
        longer, and a word may be found in others; where it is so, the answer is yes.
        """
        try:
            text = orjson.dumps(view).decode()
        except TypeError:
            return True
        lower = text.lower()
        if not text.isascii() and (self.words or "Σ" in text or len(lower) != len(text)):
            return True
        needles = self._needles
        if needles is None:
            texts, whole = _Needles(self.classes, like={}), _Needles(self.numbers, self.words, like=_LIKE_ASCII)
            needles = self._needles = texts, whole
        return needles[0].any_in(lower) or needles[1].any_in(lower)

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

    def class_of(self, found: str) -> str:
        """Return the data class of what `word_pattern` has found."""
        known = found.lower()
        data_class = self.numbers.get(known) or self.words.get(known)
        if data_class is None:  # by a letter that only the pattern takes for another, as the long `s`
            words = self.words.copy().items()
            data_class = next(of_it for word, of_it in words if re.fullmatch(re.escape(word), found, re.IGNORECASE))
        return data_class


class TaintTables:
    """The tables of all runs. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a span may end where garbage is collected, in here too
        _taints.add(self)
        self._tables: OrderedDict[tuple[str, str], TaintTable] = OrderedDict()
        self._left: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._last: tuple[str, str, TaintTable] | None = None  # the one that the next span asks for, too

    def table(self, tenant_id: str, run_id: str) -> TaintTable:
        """Return the table of a run. Without a run id each call returns a new table."""
        if not run_id:
            return TaintTable()
        last = self._last
        if last is not None and last[1] == run_id and last[0] == tenant_id:
            return last[2]
        key = (tenant_id, run_id)
        with self._lock:
            table = self._tables.get(key)
            if table is None:
                table = self._tables[key] = TaintTable(self._left.pop(key, 0))
                if len(self._tables) > RUNS:
                    self._forget(*self._tables.popitem(last=False))
            else:
                self._tables.move_to_end(key)
            self._last = tenant_id, run_id, table
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
    if key and is_name_key(key):
        _remember_name(table, value, data_class)
    if value.__class__ is str:
        if MIN_DIGITS <= len(value) <= MAX_CHARS:
            _remember_text(table, value, data_class)
        return
    pending: list[Any] = [value]
    seen, opened = set[str](), set[int]()
    while pending and len(opened) < OPENED:
        item = pending.pop()
        kind = item.__class__
        if kind is str:
            if MIN_DIGITS <= len(item) <= MAX_CHARS and item not in seen:
                seen.add(item)
                _remember_text(table, item, data_class)
                if len(seen) >= VALUES:
                    break
        elif kind is int or kind is float:
            if item >= _SMALLEST or item <= -_SMALLEST:
                _add_number(table, str(abs(item)), data_class)
        elif (kind is dict or kind is list or isinstance(item, _CONTAINERS)) and id(cast("object", item)) not in opened:
            opened.add(id(cast("object", item)))  # a value may contain itself
            if kind is list or not isinstance(item, Mapping):
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


def _remember_text(table: TaintTable, text: str, data_class: str) -> None:
    if text.isdecimal():
        _add_number(table, text, data_class)
    elif data_class in ("personal", "special") and _NAME.fullmatch(text):
        _remember_name(table, text, data_class)
    if len(text) >= MIN_CHARS and text not in table.classes and _telling(text):
        table.add(table.classes, text, data_class)


def _remember_name(table: TaintTable, value: Any, data_class: str) -> None:
    texts = cast("list[Any]", value)[:VALUES] if isinstance(value, _LISTS) else [value]
    for text in texts:
        if text.__class__ is str and len(text) <= _NAME_CHARS and not any(map(str.isdigit, text)):
            for word in _WORD.findall(text):
                table.add(table.words, word.lower(), data_class)


def _add_number(table: TaintTable, digits: str, data_class: str) -> None:
    if len(set(digits)) > 2:
        table.add(table.numbers, digits, data_class)


def scrub(value: Any, table: TaintTable, receipt: Receipt, path: str) -> Any:
    """Return a view with markers in the place of the table's values, longest first. Each text that had any is noted
    once.

    The receipt also counts the values that the table has forgotten since the last receipt.
    """
    if table.forgotten:
        receipt.count_more("taint:forgotten", "drop", table.forgotten)
        table.forgotten = 0
    return _scrub(value, table, receipt, path) if len(table) and table.may_be_in(value) else value


def _scrub(value: Any, table: TaintTable, receipt: Receipt, path: str) -> Any:
    if isinstance(value, str):
        clean = _scrub_text(value, table) if table.may_be_in(value) else value
        if clean != value:
            receipt.add(path, "taint", "mask")
        return clean
    if isinstance(value, dict):
        made: dict[str, Any] = {}
        number = 0
        for key, item in cast("dict[str, Any]", value).items():
            shown = _scrub(key, table, receipt, path)
            if shown in made:  # two values of one class were keys: what is under them stays apart
                shown, number = key_marker(max(number, len(made)) + 1, {*cast("dict[str, Any]", value), *made})
            made[shown] = _scrub(item, table, receipt, path)
        return made
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
    spans = [(m.start(), m.end(), m[0]) for m in pattern.finditer(shown)]
    for start, end, word in reversed(spans):
        text = text[:start] + marker(table.class_of(word)) + text[end:]
    return text


def _telling(text: str) -> bool:
    if len(set(text[:16])) < 4 and len(set(text)) < 4:  # of most the beginning says it: 0.4 µs instead of 4
        return False
    if "[REDACTED:" in text or is_digest(text):
        return False
    # A word would be found in ordinary text, and a part of a marker in every marker.
    return not (text.isalpha() and len(text) < 16) and text not in CLASSES and text not in ROLES
