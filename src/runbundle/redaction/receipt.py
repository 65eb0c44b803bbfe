"""The receipt of a redaction: what was done, at which place, by which rule. It never says what was there.

Markers and receipts that a record had before its first redactor saw it are counted as foreign: a tool may return text
that was redacted elsewhere, and anybody may write text that looks like a marker. The grammar of both is closed, so they
carry nothing; but no redactor here withheld the values they stand for.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, cast

import orjson

from runbundle.process.regex import later
from runbundle.redaction.markers import MARKER, marker
from runbundle.signals import own
from runbundle.signals.records import Attributes

NOTES_LIMIT = 100
"""Notes that are kept one by one. Further ones are only counted, by rule and action."""

_MOST_COUNTED = 2**31 - 1
_SHARED_CHARS = 1024

_SAFE_PATH = later(r"[A-Za-z0-9_.\[\]/*:~-]{0,256}|.{0,200}\[REDACTED:[a-z]+(:[0-9]+)?\].{0,100}")
_PATH_CHARS = 256
_PLAIN_PATH = later(r"[A-Za-z0-9_.\[\]/*:~-]*")
_UNSAFE = later(r"[^A-Za-z0-9_.\[\]/*:~-]")
_SAFE_RULE = later(r"[A-Za-z0-9_.:/*-]{1,160}")
_KEY_ID = later(r"[0-9a-f]{8}")
_AT_CAPTURE = later(r"\[REDACTED:(?:credential|unserialisable|oversize(?::bytes=[0-9<]+)?(?::roles=[a-z+]+)?)\]")
"""Markers that the capture of values writes, as whole values: a secret of pydantic, no data, too large."""
_ACTIONS = frozenset({"digest", "hash", "mask", "drop", "truncate", "floor", "shorten", "found"})
"""The actions that a receipt may name. `floor` is a word of the format: a credential was found in text that a rule
keeps, by a search that no rule switches off."""


@lru_cache(maxsize=4096)
def _written(path: str) -> str:
    """Return a path as a receipt holds it: keys come from data, and one that no reader takes would cost the receipt."""
    return path if len(path) <= _PATH_CHARS and _PLAIN_PATH.fullmatch(path) else _UNSAFE.sub("_", path)[:_PATH_CHARS]


class Note(NamedTuple):
    """One redaction: at `path`, because of `rule`, by `action`."""

    path: str
    rule: str
    action: str


class Receipt:
    """The notes of one record's redaction. Not for use by two threads."""

    __slots__ = ("_notes", "_totals", "by", "more")

    def __init__(self, by: str = "") -> None:
        self.by = by
        """The id of the key under which its redactor made digests, or ""."""
        # Plain tuples: orjson writes them as they are, and this runs for every span.
        self._notes: list[tuple[str, str, str]] = []
        self._totals: dict[tuple[str, str], int] | None = None
        self.more: dict[str, int] = {}

    def add(self, path: str, rule: str, action: str) -> None:
        """Note one redaction."""
        if len(self._notes) < NOTES_LIMIT:
            self._notes.append((_written(path), rule, action))
        else:
            key = f"{rule}|{action}"
            self.more[key] = self.more.get(key, 0) + 1

    @property
    def failed(self) -> bool:
        """Whether it is of a record whose redaction failed: in journals written earlier such a one names no key."""
        return len(self._notes) == 1 and self._notes[0][1:] == ("failed", "drop")

    @property
    def notes(self) -> list[Note]:
        """The notes, in the order in which they were made."""
        return [Note(*note) for note in self._notes]

    def each(self) -> list[tuple[str, str, str]]:
        """Return the notes as plain tuples (path, rule, action), without a copy."""
        return self._notes

    def count_more(self, rule: str, action: str, times: int) -> None:
        """Count `times` redactions by `rule` and `action`, without their paths."""
        key = f"{rule}|{action}"
        self.more[key] = min(self.more.get(key, 0) + times, _MOST_COUNTED)

    def totals(self) -> dict[tuple[str, str], int]:
        """Return how often each (rule, action) was applied. Computed once: call it when the receipt is complete."""
        if self._totals is None:
            counts = self._totals = dict[tuple[str, str], int]()
            for _, rule, action in self._notes:
                counts[rule, action] = counts.get((rule, action), 0) + 1
            for key, count in self.more.items():
                rule, _, action = key.partition("|")
                counts[rule, action] = counts.get((rule, action), 0) + count
        return self._totals

    def count(self) -> int:
        """Return how many redactions the receipt stands for."""
        return len(self._notes) + sum(self.more.values())

    def to_text(self) -> str:
        """Return the JSON text that travels as the span attribute `runbundle.redaction`."""
        body: dict[str, object] = {"n": self._notes}
        if self.more:
            body["more"] = self.more
        if self.by:
            body["by"] = self.by
        return orjson.dumps(body).decode()


def withhold(
    receipt: Receipt,
    path: str,
    rule: str,
    data_class: str,
    *,
    action: str = "mask",
    digest: str = "",
    size: int | None = None,
    roles: tuple[str, ...] = (),
) -> str:
    """Note that a value was withheld, at `path` and by `rule`; return the marker that stands for it."""
    receipt.add(path, rule, action)
    return marker(data_class, digest=digest, size=size, roles=roles)


def parse_receipt(text: object) -> Receipt | None:
    """Read a receipt. Return None unless the text has exactly the shape of one, so that nothing else can travel under
    its name.
    """
    if not isinstance(text, str) or len(text) > 65_536 or not text.startswith('{"n":['):
        return None
    try:
        body = orjson.loads(text)
        by = body.get("by", "")
        if by != "" and _KEY_ID.fullmatch(by) is None:
            return None
        receipt = Receipt(by)
        for path, rule, action in body["n"]:
            if not (_SAFE_PATH.fullmatch(path) and _SAFE_RULE.fullmatch(rule) and action in _ACTIONS):
                return None
            receipt._notes.append((path, rule, action))  # pyright: ignore[reportPrivateUsage]
        for key, count in body.get("more", {}).items():
            rule, _, action = key.partition("|")
            if not (_SAFE_RULE.fullmatch(rule) and action in _ACTIONS and _is_count(count)):
                return None
            receipt.more[key] = count
    except (orjson.JSONDecodeError, TypeError, ValueError, KeyError, AttributeError):
        return None
    if receipt.count() - sum(receipt.more.values()) > NOTES_LIMIT or set(body) - {"n", "more", "by"}:
        return None
    return receipt


def _is_count(value: object) -> bool:
    """Tell whether a count can be one, which bounds their sums too: JSON has no integers above 64 bits."""
    return type(value) is int and 0 < value <= _MOST_COUNTED


@lru_cache(maxsize=1024)
def _known(text: str) -> Receipt | None:
    return parse_receipt(text)


def read_receipt(text: object) -> Receipt | None:
    """Read a receipt as `parse_receipt` does, to be read only: equal texts share one receipt."""
    return _known(text) if isinstance(text, str) and len(text) <= _SHARED_CHARS else parse_receipt(text)


def receipt_of(text: object, key_id: str, scope: str = own.SCOPE) -> tuple[Receipt, bool]:
    """Return the receipt that a record came with, or a new one, and whether this redactor is the record's first.

    A receipt that was made under another key is counted as foreign. On a span of our own `scope` its notes are kept: it
    is from another process of ours. On any other the record counts as new, since anybody may have written the receipt.
    Not guaranteed: that who names our key is one of us; its name is no secret.
    """
    receipt = parse_receipt(text)
    if receipt is None:
        return Receipt(key_id), True
    if receipt.by == key_id:
        return receipt, False
    new = scope != own.SCOPE
    if new:
        receipt = Receipt(key_id)
    receipt.count_more("foreign:receipt", "found", 1)
    receipt.by = key_id
    return receipt, new


def unclaimed(attributes: Attributes, receipt: Receipt, path: str) -> Attributes:
    """Return attributes that others wrote without what only we may say; the same object if there is none of it.

    A receipt of the right form is not noted: it is counted already, or is on what has none.
    """
    if attributes.keys().isdisjoint(own.NOT_OF_OTHERS):
        return attributes
    for key in attributes:
        if key in own.NOT_OF_OTHERS and not (key == own.RECEIPT and parse_receipt(attributes[key])):
            receipt.add(f"{path}.{key}", "malformed", "drop")
    return {key: value for key, value in attributes.items() if key not in own.NOT_OF_OTHERS}


def count_markers(attributes: Mapping[str, Any], key_id: str, receipt: Receipt) -> None:
    """Count in `receipt` the foreign markers of attributes that no redactor has seen yet."""
    found = 0
    for value in attributes.values():
        if value.__class__ is str:
            if "[REDACTED:" in value:
                found += _foreign(value, key_id)
        elif value.__class__ is list or value.__class__ is tuple:
            found += sum(_foreign(v, key_id) for v in cast("list[Any]", value) if v.__class__ is str)
    if own.HIDDEN in "".join(attributes):
        found += sum(key.startswith(own.HIDDEN) for key in attributes)
    if found:
        receipt.count_more("foreign:marker", "found", found)


def _foreign(text: str, key_id: str) -> int:
    found = 0
    for match in MARKER.finditer(text):
        whole = match.start() == 0 or (text[match.start() - 1] == '"' and text[match.end() : match.end() + 1] == '"')
        ours = f":{key_id}:" in match[0] or (whole and _AT_CAPTURE.fullmatch(match[0]) is not None)
        found += not ours
    return found
