"""Known secrets: exact values that must not appear anywhere, in whatever encoding.

This is the most precise detector. The values come from environment variables whose names call them credentials, from
`SecretStr` in configurations and arguments, from the headers of the OTLP exporter, and from `register_secret()`.

Registering happens on the agent's path and is cheap: new values are searched for one by one, and go into an automaton
when there are more. The automaton holds only the beginnings of their forms, which keeps it small.
"""

import logging
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, NamedTuple, cast

from runbundle.process import forks
from runbundle.redaction.detectors.known_values import MIN_CHARS, forms, leaves, refusal

LIMIT = 4096
"""The most values that are known."""
_RECENT = 16
"""Values that are searched for one by one."""
_BEGINNING = 5
_FEW = 128
"""Beginnings for which the faster, larger kind of automaton is built, twice as fast, and a pattern for short text."""
_GATE_CHARS, _GATE_MOST = 8, 64
"""Beginnings by which text is passed over at ten times the speed (25 µs for 100 KB): a search for one of so few uses
vector instructions, which a search for all that overlap cannot."""
_SHORT_CHARS = 64
"""Text up to this length is looked at by `re` first, which keeps the interpreter lock: an automaton lets go of it, and
beside a busy thread an id of 20 characters then waits 100 µs for it."""
_QUIET = 256
"""So many searches after the last new value, all values are in one automaton."""

_log = logging.getLogger("runbundle")


class _Part(NamedTuple):
    """The forms of some values, and the automaton of their beginnings."""

    gate: Any
    """Finds something in all text that holds a form, and in little other; None for too many forms."""
    short: "re.Pattern[str] | None"
    """Finds something in all text that holds a form; None for too many forms."""
    automaton: Any
    begun: list[list[str]]
    """By beginning: the forms, longest first."""
    forms: list[str]


class KnownSecrets:
    """A set of secret values. Thread-safe. The values are held in memory, and never written or shown.

    They are given to nobody but a process of ours that searches bundles for them, if there is one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed: list[Callable[[], None]] = []
        self.changes = 0
        """A count that grows when values were added or removed: before the functions of `on_change`, and after them."""
        self._forget()

    def _forget(self) -> None:
        self._values: dict[str, bool] = {}  # with whether it is looked for as it is only
        self._pending: list[Iterable[str]] = []
        self._recent: tuple[str, ...] = ()
        self._parts: tuple[_Part, ...] = ()
        self._quiet = 0
        self.refused: Counter[str] = Counter()
        """How many values were not registered, by reason: `short`, `word`, `format`, `limit`."""

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<KnownSecrets: {len(self)}>"

    def register(self, *values: object, as_is: bool = False) -> int:
        """Add values, and return how many were new.

        Of JSON the leaves are added, of a text of several lines each line too, of a number its digits. A value that
        `known_values.refusal` names, and any after the 4,096th, is counted and not added. With `as_is` a value is
        looked for as it is, and not in its encodings.
        """
        new = 0
        full = False
        with self._lock:
            for value in values:
                for text in leaves(value):
                    if text in self._values:
                        continue
                    why = refusal(text) or ("limit" if len(self._values) >= LIMIT else "")
                    if why:
                        full = full or (why == "limit" and not self.refused["limit"])
                        self.refused[why] += bool(text)
                        continue
                    self._values[text] = as_is
                    self._pending.append((text,) if as_is else forms(text))
                    new += 1
            if new:
                self._tell()
        if full:
            _log.error("%d secrets are known; further ones are not, and are not masked where they turn up", LIMIT)
        return new

    def after(self, count: int) -> list[tuple[str, bool]]:
        """Return the values that were added after the first `count`, each with its `as_is`, for a process of ours."""
        with self._lock:
            return list(islice(self._values.items(), count, None))

    def find(self, text: str, data: bytes | None = None) -> list[tuple[int, int]]:
        """Return the spans of known secrets in `text`, in order and apart from each other.

        `data`: the text in ASCII, with one byte in the place of each other character, if the caller has that already.
        """
        if not self._values:
            return []
        if self._pending or (self._quiet > _QUIET and (self._recent or len(self._parts) > 1)):
            self._build()
        self._quiet += 1
        if not text.isascii():
            text = _writable(text)
        found: list[tuple[int, int]] = []
        for form in self._recent:
            at = text.find(form)
            while at >= 0:
                found.append((at, at + len(form)))
                at = text.find(form, at + 1)
        is_short = len(text) <= _SHORT_CHARS
        for part in self._parts:
            if is_short and part.short is not None and part.short.search(text) is None:
                continue
            if data is None:
                data = text.encode("ascii", "replace")
            if part.gate is not None and not part.gate.find_matches_as_indexes(data):
                continue
            hits = cast("list[tuple[int, int, int]]", part.automaton.find_matches_as_indexes(data, overlapping=True))
            for index, at, _ in hits:
                for form in part.begun[index]:
                    if text.startswith(form, at):
                        found.append((at, at + len(form)))
                        break
        return _united(found) if len(found) > 1 else found

    def _build(self) -> None:
        with self._lock:
            if not self._pending:
                every = [form for part in self._parts for form in part.forms]
                self._parts, self._recent = (_part([*every, *self._recent]),), ()
            pending = list(dict.fromkeys(form for value in self._pending for form in value))
            if len(self._pending) + len(self._recent) // 6 <= _RECENT:
                self._recent = (*self._recent, *pending)
            else:
                batch, parts = [*self._recent, *pending], list(self._parts)
                while parts and len(parts[-1].forms) <= 2 * len(batch):
                    batch += parts.pop().forms
                # The new part stands before what it replaces is gone: no search misses a value in between.
                self._parts = (*parts, _part(batch))
                self._recent = ()
            self._pending.clear()
            self._quiet = 0

    def on_change(self, function: Callable[[], None]) -> None:
        """Call `function` whenever values are added or removed, so that caches of judgements can be emptied."""
        self._changed.append(function)

    def _tell(self) -> None:
        self.changes += 1
        for function in self._changed:
            function()
        self.changes += 1  # a judgement made in between may rest on a cache that was not empty yet

    def clear(self) -> None:
        """Remove all values. For tests."""
        with self._lock:
            self._forget()
            self._tell()

    def after_fork(self) -> None:
        """Replace the lock in a forked child: the thread that may hold it is not there."""
        self._lock = threading.Lock()


def _part(texts: list[str]) -> _Part:
    from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind  # not needed to read a bundle

    # Of bytes, which is nearly twice as fast. What is not ASCII is one byte for each character, as in what is searched,
    # so that places in both are the same; of what begins alike then, the text itself decides.
    by_beginning: dict[bytes, list[str]] = {}
    for form in texts:
        by_beginning.setdefault(form[:_BEGINNING].encode("ascii", "replace"), []).append(form)
    for same in by_beginning.values():
        same.sort(key=len, reverse=True)
    kind = Implementation.DFA if len(by_beginning) <= _FEW else Implementation.ContiguousNFA
    automaton = BytesAhoCorasick(list(by_beginning), implementation=kind)
    longer = {form[:_GATE_CHARS].encode("ascii", "replace") for form in texts}
    gate = None
    if len(longer) <= _GATE_MOST:
        leftmost = MatchKind.LeftmostFirst  # with the other kind there are no vector instructions
        gate = BytesAhoCorasick(sorted(longer), matchkind=leftmost, implementation=Implementation.DFA)
    begun = {form[:_BEGINNING] for form in texts}
    short = re.compile("|".join(map(re.escape, sorted(begun)))) if len(begun) <= _FEW else None
    return _Part(gate, short, automaton, list(by_beginning.values()), texts)


def _writable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate; what stands in its place is one character, too
        return text.encode("utf-8", "replace").decode()
    return text


def _united(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    united: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if united and start < united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        else:
            united.append((start, end))
    return united


KNOWN = KnownSecrets()
"""The known secrets of this process."""


forks.in_child(forks.Stage.LEAVES, KNOWN.after_fork)

_said: set[str] = set()
WHY = {"short": f"shorter than {MIN_CHARS} characters", "word": "a word", "format": "a word of the bundle's format"}


def register_secret(*values: object) -> None:
    """Keep these exact values, texts or numbers, out of everything that this process records from now on.

    Not registered, and logged once for each reason: values that cannot be told from ordinary text (shorter than 8
    characters, words, dates, media types, words of the bundle's format), and values after the 4,096th.
    """
    before = KNOWN.refused.copy()
    KNOWN.register(*values)
    for why in KNOWN.refused - before:
        if why in WHY and why not in _said:
            _said.add(why)
            _log.warning("a value was not registered as a secret: it is %s", WHY[why])
