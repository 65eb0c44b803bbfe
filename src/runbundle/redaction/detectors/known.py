"""Known secrets: exact values that must not appear anywhere, in whatever encoding they come.

The most precise detector there is. Values come from environment variables whose names say so, from `SecretStr` seen
in configurations and arguments, from the headers of the OTLP exporter, and from `register_secret()`.
"""

import base64
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast
from urllib.parse import quote, quote_plus

import orjson

MIN_CHARS = 8
"""Shorter values are not registered: they would be found in ordinary text."""
_LIMIT = 4096


class KnownSecrets:
    """A set of values. Thread-safe; values are held in memory and never written or shown."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, None] = {}
        self._forms: dict[str, None] = {}
        self._automaton: Any = None
        self._changed: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<KnownSecrets: {len(self)}>"

    def register(self, *values: object, as_is: bool = False) -> int:
        """Add values; of JSON its leaves, of several lines each line too. Return how many were new.

        Values below 8 characters and plain words are passed over, and so are those beyond the 4,096th. `as_is`: look
        for them as they are, and not in the encodings that there are of them.
        """
        with self._lock:
            new = [v for value in values for v in _leaves(value) if v not in self._values]
            new = [v for v in dict.fromkeys(new) if _worth_hiding(v)][: _LIMIT - len(self._values)]
            for value in new:
                self._forms.update(dict.fromkeys((value,) if as_is else _forms(value)))
                self._values[value] = None
            if new:
                from ahocorasick_rs import AhoCorasick, MatchKind  # not needed to read a bundle

                self._automaton = AhoCorasick(list(self._forms), matchkind=MatchKind.LeftmostLongest)
                self._tell()
        return len(new)

    def find(self, text: str) -> list[tuple[int, int]]:
        """Return where known secrets are in `text`, the longest where several begin at one place."""
        automaton = self._automaton
        if automaton is None:
            return []
        try:
            found = automaton.find_matches_as_indexes(text)
        except UnicodeEncodeError:  # a lone surrogate; what stands in its place is one character, too
            found = automaton.find_matches_as_indexes(text.encode("utf-8", "replace").decode())
        return [(match[1], match[2]) for match in found]

    def on_change(self, function: Callable[[], None]) -> None:
        """Call `function` whenever values were added or forgotten: what was judged without them is out of date."""
        self._changed.append(function)

    def _tell(self) -> None:
        for function in self._changed:
            function()

    def clear(self) -> None:
        """Forget all values, for tests."""
        with self._lock:
            self._values, self._forms, self._automaton = {}, {}, None
            self._tell()

    def after_fork(self) -> None:
        """Take a new lock in a forked child: whoever may have held the old one is not there."""
        self._lock = threading.Lock()


KNOWN = KnownSecrets()
"""The process's known secrets."""


os.register_at_fork(after_in_child=KNOWN.after_fork)


def register_secret(*values: object) -> None:
    """Keep these exact values out of everything that is recorded from now on, in this process."""
    KNOWN.register(*values)


def _leaves(value: object) -> Iterable[str]:
    pending: list[object] = [value]
    opened: set[int] = set()
    while pending and len(opened) < _LIMIT:
        item = pending.pop()
        if type(item) is not str:
            if id(item) in opened:  # a value may contain itself
                continue
            opened.add(id(item))
        try:
            inner, texts = _parts(item)
        except Exception:  # noqa: BLE001, S112 - a mapping that raises, a class that lies: what is beside it is registered
            continue
        pending += inner
        yield from texts


def _parts(item: Any) -> tuple[list[object], list[str]]:
    """Return what is in a value, and the texts that it is; by its type, since what it says of itself may raise."""
    kind = cast("Any", type(item))
    if issubclass(kind, bytes | bytearray):
        return [bytes(item).decode("utf-8", "replace")], []
    if issubclass(kind, Mapping):
        return list(item.values()), []
    for base in (list, tuple, set, frozenset):
        if issubclass(kind, base):
            return list(cast("Any", base).__iter__(item)), []
    if not issubclass(kind, str):
        return [], []
    text = str.__str__(item).encode("utf-8", "replace").decode().strip()  # the environment may hold any bytes
    if text[:1] in ("{", "["):
        try:
            # Of JSON the leaves: the text as a whole would have masked map keys and brackets.
            return [orjson.loads(text)], []
        except orjson.JSONDecodeError:
            pass
    return [], [text, *([line.strip() for line in text.splitlines()] if "\n" in text else [])]


def _worth_hiding(value: str) -> bool:
    return len(value) >= MIN_CHARS and len(set(value)) > 3 and not (value.isalpha() and len(value) < 16)


def _forms(value: str) -> Iterable[str]:
    data = value.encode("utf-8", "replace")
    escaped = orjson.dumps(value.encode("utf-8", "replace").decode()).decode()[1:-1]
    yield from (
        value,
        escaped,
        escaped.replace("\\", "\\\\").replace('"', '\\"'),
        quote(value, safe=""),
        quote(value),
        quote_plus(value),
    )
    yield from (data.hex(), data.hex().upper())
    for shift in range(3):
        # What base64 makes of the value depends on where in a group of three bytes it begins; the characters at
        # either end that also depend on its neighbours are left out.
        padded = bytes(shift) + data
        whole = len(padded) // 3 * 3
        start = -(-shift * 8 // 6)
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            core = encode(padded[:whole]).decode()[start:]
            if len(core) >= MIN_CHARS:
                yield core
