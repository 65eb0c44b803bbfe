"""Rules applied to text: a first pass over all rules at once, then RE2 for those rules that can match at all.

Everything here is linear in the length of the text. Python's `re` is not used on it: over rules like these it was
measured 1,750 times slower, and quadratic on one.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from runbundle.redaction.detectors.patterns import compiled
from runbundle.redaction.detectors.prefilter import Prefilter, broader, prefilter
from runbundle.redaction.detectors.rule import Rule


class Match(NamedTuple):
    """One credential: `data[start:end]`, in bytes, and the rule that found it."""

    start: int
    end: int
    rule: str


class Matcher:
    """Compiled rules. Thread-safe."""

    def __init__(self, rules: Iterable[Rule], first_pass: Prefilter | None = None) -> None:
        self.rules = tuple(rules)
        # Compiled when first needed: of some 550 patterns a process meets a few dozen.
        self._patterns: list[Any] = [None] * len(self.rules)
        self._broader: list[Any] = [None] * len(self.rules)
        self._prefilter = prefilter(self.rules) if first_pass is None else first_pass

    def may_match(self, data: bytes) -> bool:
        """Tell whether a rule may match ASCII `data`, or a part of it between line ends."""
        for index in self._prefilter.candidates(data):
            pattern = self._broader[index]
            if pattern is None:
                pattern = self._broader[index] = compiled(f"(?m){broader(self.rules[index].pattern)}")
            if pattern.search(data) is not None:
                return True
        return False

    def matches(self, data: bytes) -> Iterator[Match]:
        """Yield the matches of the rules in ASCII `data`, in no order. Matches of different rules may overlap."""
        for index in self._prefilter.candidates(data):
            rule = self.rules[index]
            pattern = self._patterns[index]
            if pattern is None:
                pattern = self._patterns[index] = compiled(rule.pattern)
            covered = 0
            for found in pattern.finditer(data):
                start, end = _secret(found)
                if rule.ends is not None:
                    end = rule.ends(data, start, end)
                start, end = _trimmed(data, start, end)
                # What the rule has covered by widening is not widened again, or a long token would cost its square.
                if end <= max(start, covered) or (rule.accept is not None and not rule.accept(data, start, end)):
                    continue
                if rule.widen:
                    start, end = _token(data, start, end, covered)
                covered = end
                yield Match(start, end, rule.id)


def _secret(found: Any) -> tuple[int, int]:
    for group in range(1, (found.lastindex or 0) + 1):
        if found.start(group) >= 0:
            return found.start(group), found.end(group)
    return found.span()


def _trimmed(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Leave quotes and blanks at either end where they are: JSON with a masked value should be JSON still."""
    while start < end and data[start] in _QUOTES:
        start += 1
    while start < end and data[end - 1] in _QUOTES:
        end -= 1
    return start, end


_QUOTES = frozenset(b"\"'`\\ \t\r\n,;")
_INSIDE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
TOKEN_BYTES = _INSIDE | frozenset(b"+/=.~%")
"""Bytes that a token may go on with."""


def _token(data: bytes, start: int, end: int, least: int) -> tuple[int, int]:
    """Widen a match to the token around it, but not below `least`, so that no tail of a longer format stays."""
    while start > least and data[start - 1] in _INSIDE:
        start -= 1
    while end < len(data) and data[end] in TOKEN_BYTES:
        end += 1
    return start, end
