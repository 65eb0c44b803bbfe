"""Detectors search text for credentials, also behind escapes, percent and base64 encoding, invisible characters."""

import binascii
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from runbundle.process import forks
from runbundle.process.regex import later
from runbundle.redaction.detectors.context_rules import GENERIC_RULES
from runbundle.redaction.detectors.kingfisher import kingfisher_rules
from runbundle.redaction.detectors.known_secrets import KNOWN, KnownSecrets
from runbundle.redaction.detectors.matcher import TOKEN_BYTES, Match, Matcher
from runbundle.redaction.detectors.patterns import compiled
from runbundle.redaction.detectors.rewritten_text import RewrittenText
from runbundle.redaction.detectors.vendor_rules import VENDOR_RULES
from runbundle.redaction.markers import MARKER, blanked, marker

MASK = marker("credential")
DECODING_DEPTH = 3
"""How often a text is decoded to search it: escapes, percent and base64 encoding, JSON in text. Text that can be
decoded once more after that is masked unseen.
"""
_BASE64_CHARS = 5_600
"""Longer runs are content (a picture, a sound) and not looked into: 4 KB of bytes are 5,462 characters."""
TOO_DEEP = "encoded-too-deep"
_CONTEXT = (
    "url-userinfo", "url-login", "curl-user", "url-query", "header", "xml-element", "command-line",
    "key-value-quoted", "key-phrase-quoted", "key-value-unquoted", "camel-case-key", "authorization",
    "prefixed-token", "labelled-line", "key-near-random",
)  # fmt: skip
"""The rules of context, the more telling ones first."""
_RANKS: dict[str, int] = {
    "known-secret": 0,
    **{rule.id: 99 - min(98, max(map(len, rule.keywords))) for rule in VENDOR_RULES},
    "prefix": 150,
    **{rule: 200 + place for place, rule in enumerate(_CONTEXT)},
    TOO_DEEP: 300,
}
"""By rule, 0 is the most specific. A format with a longer word of its own is the more particular one."""
_STANDARD = bytes.maketrans(b"-_", b"+/")
_LINE_ENDS = str.maketrans("\t\r\n", "   ")
_PASSES = 4
_AROUND = 160
"""Characters on either side of an escape that are looked at again, unescaped: a key and what leads to its value."""
_AROUND_MASK = 600
"""The same around a mask: as much as the longest rule of context reaches."""

_BASE64 = bytes(65 if chr(c).isascii() and (chr(c).isalnum() or chr(c) in "+/_-") else 32 for c in range(256))
_BASE64_RUN = b"A" * 24
_LINE_CHARS, _LINE_END_CHARS = 60, 2
_HAS_ESCAPES: Any = compiled(
    r"%[0-9A-Fa-f]{2}|\\(?:u00[2-7]|x[2-7]|/)|&(?:#(?:[xX]?0{0,6}[2-7]|[0-9]{2})|amp;|lt;|gt;|quot;|apos;)"
    r"|\x1b\[|(?:1b|33)\[[0-9;]{0,12}m"
)
_ESCAPES = later(
    r"%([0-9A-Fa-f]{2})|\\{1,4}(?:u00|x)([2-7][0-9A-Fa-f])|\\{1,4}(/)"
    r"|&(?:#(?:[xX]0{0,6}([2-7][0-9A-Fa-f])|0{0,6}([0-9]{2,3}))|(amp|lt|gt|quot|apos));"
    r"|(?:\x1b|\\{1,4}(?:u001b|x1b|033))\[[0-9;]{0,12}m"  # colours of terminals
)
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_BROKEN_BASE64 = later(
    r"\n(?<=[A-Za-z0-9+/]{60}\n)(?=[A-Za-z0-9+/]{4})|\r\n(?<=[A-Za-z0-9+/]{60}\r\n)(?=[A-Za-z0-9+/]{4})"
)
"""The line ends within base64 that was written in lines of 60 to 76 characters, as `base64` and MIME do."""
_INVISIBLE_CLASS = (
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
_INVISIBLE = later(_INVISIBLE_CLASS)
_WIDE = later("[\uff01-\uff5e]+")
_HAS_INVISIBLE: Any = compiled(_INVISIBLE_CLASS.removesuffix("+") + "|[\uff01-\uff5e]")


class CredentialSpan(NamedTuple):
    """One credential in a text: `text[start:end]`, in characters, and the rule that found it."""

    start: int
    end: int
    rule: str


class Detector:
    """Finds and masks credentials in text. Thread-safe.

    Linear in the length of the text. The result is a union over rules and over views of the text, so another rule can
    only add to it. Not found: a password that reads like a word and has no name beside it.
    """

    def __init__(self, matcher: Matcher, known: KnownSecrets = KNOWN) -> None:
        self._matcher = matcher
        self._known = known

    def find(self, text: str) -> list[CredentialSpan]:
        """Return the spans to be masked, in order and apart from each other."""
        spans = _merged(self._look(text))
        for _ in range(_PASSES if spans else 0):
            # Masking may uncover: look again around the masks, until nothing more is found.
            shown = RewrittenText(text, [(s.start, s.end, MASK) for s in spans])
            more = [
                CredentialSpan(*shown.original(found.start, found.end), found.rule)
                for start, end in _windows(MARKER, shown.text, _AROUND_MASK)
                for found in _shifted(self._look(shown.text[start:end]), start)
                if shown.untouched(found.start, found.end)
            ]
            if not more:
                break
            spans = _merged([*spans, *more])
        return spans

    def is_clear(self, text: str) -> bool:
        """Tell whether `find` surely finds nothing, neither in the text nor in any part of it between line ends.

        False for what has to be looked at: for what is not ASCII, holds a marker or a digest, or may be encoded, too.
        """
        if not text.isascii() or blanked(text, "\0") is not text:
            return False
        data = text.encode()
        return not (
            self._matcher.may_match(data) or self._known.find(text, data) or _base64_runs(data) or _has_escapes(data)
        )

    def hits(self, text: str) -> list[CredentialSpan]:
        """Return the credentials in `text` as it stands, without decoding it. For text that was redacted already."""
        if next(self._plain(text, text.encode("ascii", "replace")), None) is None:
            return []  # nearly always, so what is written by ourselves is blanked out after
        text = blanked(text, "\0")
        return _merged(_anything(text, self._plain(text, text.encode("ascii", "replace"))))

    def redact(self, text: str) -> str:
        """Return `text` with a marker in the place of every credential. Idempotent."""
        return masked(text, self.find(text))

    def _look(self, text: str) -> Iterator[CredentialSpan]:
        # Markers and digests are blanked out, so that no word in them stands for a key: a class is called "credential".
        shown = blanked(text, "\0")
        found = self._views(shown, 0)
        return found if shown is text else _anything(shown, found)

    def _views(self, text: str, depth: int) -> Iterator[CredentialSpan]:
        # Every character that is not ASCII becomes one byte, so places in both are the same.
        data = text.encode("ascii", "replace")
        yield from self._plain(text, data)
        runs = _base64_runs(data)
        if depth >= DECODING_DEPTH:
            yield from _still_encoded(data, runs)
        else:
            yield from self._encoded(data, runs, depth)
            for pattern, new in _rewritings(text, data, broken=_broken(data, runs)):
                for start, end in _windows(pattern, text, _AROUND):
                    part = text[start:end]
                    other = RewrittenText(part, ((m.start(), m.end(), new(m)) for m in pattern.finditer(part)))
                    for found in self._views(other.text, depth + 1):
                        begin, stop = other.original(found.start, found.end)
                        begin, stop = begin + start, stop + start
                        # What reaches the edge of the window goes on behind it.
                        while stop >= end and stop < len(text) and data[stop] in TOKEN_BYTES:
                            stop += 1
                        while begin <= start and begin > 0 and data[begin - 1] in TOKEN_BYTES:
                            begin -= 1
                        yield CredentialSpan(begin, stop, found.rule)

    def _plain(self, text: str, data: bytes) -> Iterator[CredentialSpan]:
        for match in self._matcher.matches(data):
            yield CredentialSpan(*match)
        for start, end in self._known.find(text, data):
            yield CredentialSpan(start, end, "known-secret")

    def _encoded(self, data: bytes, runs: list[tuple[int, int]], depth: int) -> Iterator[CredentialSpan]:
        for start, end in runs:
            inner = _decoded(data, start, end)
            rules = [found.rule for found in self._views(inner, depth + 1)] if inner else []
            if rules:
                padding = len(data[end : end + 2]) - len(data[end : end + 2].lstrip(b"="))
                yield CredentialSpan(start, end + padding, min(rules, key=_specificity))


def default_detector() -> Detector:
    """Return the detector with all installed rules. The first call takes 10 ms, or seconds if nothing is cached yet."""
    with _building:
        return _all_rules()


def format_detector() -> Detector:
    """Return the detector of vendors' formats and known values only, which needs no context and errs least."""
    with _building:
        return _formats()


_building = threading.Lock()
"""If two threads need the rules first, one builds them and the other waits."""


def _after_fork_in_child() -> None:
    global _building
    _building = threading.Lock()  # the thread that may have held it is not in the child


forks.in_child(forks.Stage.LEAVES, _after_fork_in_child)


@cache
def _all_rules() -> Detector:
    return Detector(Matcher((*VENDOR_RULES, *GENERIC_RULES, *kingfisher_rules())))


@cache
def _formats() -> Detector:
    return Detector(Matcher(VENDOR_RULES))


def _rewritings(
    text: str, data: bytes, *, broken: bool
) -> Iterable[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]]:
    if _has_escapes(data):
        yield _ESCAPES, _unescaped
    if broken:
        yield _BROKEN_BASE64, lambda _: ""
    if not text.isascii() and _HAS_INVISIBLE.search(text.encode("utf-8", "replace")):
        yield _INVISIBLE, lambda _: ""
        yield _WIDE, lambda m: "".join(chr(ord(c) - 0xFEE0) for c in m[0])


def _has_escapes(data: bytes) -> bool:
    # One character each is looked for first: most text has none of them.
    if b"%" in data or b"\\" in data or b"&" in data or b"\x1b" in data:
        return _HAS_ESCAPES.search(data) is not None
    return False


def _windows(pattern: re.Pattern[str], text: str, around: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of `text` around what `pattern` finds, apart from each other: the rest was looked at as it is."""
    start = end = -1
    for match in pattern.finditer(text):
        if end < 0 or match.start() - around > end:
            if end >= 0:
                yield start, end
            start = max(0, match.start() - around)
        end = min(len(text), match.end() + around)
    if end >= 0:
        yield start, end


def _shifted(spans: Iterable[CredentialSpan], by: int) -> Iterator[CredentialSpan]:
    return (CredentialSpan(start + by, end + by, rule) for start, end, rule in spans)


def _anything(text: str, spans: Iterable[CredentialSpan]) -> Iterator[CredentialSpan]:
    """Yield what is found but where all of it was blanked out: a rule may take what a marker stands for once more."""
    return (found for found in spans if text[found.start : found.end].strip("\0"))


def _unescaped(match: re.Match[str]) -> str:
    percent, unicode, slash, hexadecimal, decimal, named = match.groups()
    if slash or named:
        return slash or _NAMED[named]
    if not (percent or unicode or hexadecimal or decimal):
        return " "
    code = int(decimal) if decimal else int(percent or unicode or hexadecimal, 16)
    return chr(code) if 32 <= code < 127 else " "


def _base64_runs(data: bytes) -> list[tuple[int, int]]:
    """Return where 24 or more characters of base64 stand together."""
    # Two searches a run, in a copy where every character of base64 is an A: a regular expression takes five times it.
    shape = data.translate(_BASE64)
    runs: list[tuple[int, int]] = []
    start = shape.find(_BASE64_RUN)
    while start >= 0:
        end = shape.find(b" ", start)
        end = len(shape) if end < 0 else end
        runs.append((start, end))
        start = shape.find(_BASE64_RUN, end)
    return runs


def _broken(data: bytes, runs: list[tuple[int, int]]) -> bool:
    """Tell whether base64 goes on from one line to the next."""
    return any(
        end - start >= _LINE_CHARS and 1 <= following - end <= _LINE_END_CHARS and data[end] in b"\r\n"
        for (start, end), (following, _) in pairwise(runs)
    )


def _decoded(data: bytes, start: int, end: int) -> str:
    """Return the text that a run of base64 stands for; "" if that is not printable ASCII, or long.

    A PowerShell takes commands in base64 of UTF-16: of its two bytes a character one is zero then.
    """
    # The beginning of nearly all that is not text says so: 12 bytes are looked at before the whole is decoded.
    if end - start > _BASE64_CHARS or not binascii.a2b_base64(data[start : start + 16].translate(_STANDARD)).isascii():
        return ""
    run = data[start:end].translate(_STANDARD)
    inner = binascii.a2b_base64(run[: len(run) - (len(run) % 4 == 1)] + b"==")
    if b"\0" in inner:
        inner = inner[::2] if not inner[1::2].strip(b"\0") else inner[1::2] if not inner[::2].strip(b"\0") else inner
    text = inner.decode("latin-1")
    return text if text.isascii() and text.translate(_LINE_ENDS).isprintable() else ""


def _still_encoded(data: bytes, runs: list[tuple[int, int]]) -> Iterator[CredentialSpan]:
    """Find what would be decoded once more, where nobody looks any further: it goes unseen."""
    for start, end in runs:
        if _decoded(data, start, end):
            yield CredentialSpan(start, end, TOO_DEEP)
    if (b"%" in data or b"\\" in data or b"&" in data) and _HAS_ESCAPES.search(data):
        for match in _ESCAPES.finditer(data.decode("ascii")):
            yield CredentialSpan(match.start(), match.end(), TOO_DEEP)


def _specificity(rule: str) -> int:
    """Return how little else a rule would match; lower is more specific."""
    return _RANKS.get(rule, 100)


def _merged(spans: Iterable[CredentialSpan | Match]) -> list[CredentialSpan]:
    """Unite what overlaps; the rule is the most specific of them."""
    merged: list[CredentialSpan] = []
    for start, end, rule in sorted(spans, key=lambda s: (s[0], -s[1], s[2])):
        if merged and start < merged[-1].end:
            last = merged[-1]
            named = rule if _specificity(rule) < _specificity(last.rule) else last.rule
            merged[-1] = CredentialSpan(last.start, max(last.end, end), named)
        else:
            merged.append(CredentialSpan(start, end, rule))
    return merged


def masked(text: str, spans: list[CredentialSpan]) -> str:
    """Return `text` with a marker in the place of each of `spans`."""
    return RewrittenText(text, [(s.start, s.end, MASK) for s in spans]).text if spans else text
