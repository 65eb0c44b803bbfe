"""The first pass: which rules can match a text at all. Two filters give the same rules, or more; never fewer."""

import contextlib
import hashlib
import threading
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

from ahocorasick_rs import AhoCorasick

from runbundle.process import forks
from runbundle.process.regex import later
from runbundle.redaction.detectors import cache
from runbundle.redaction.detectors.rule import Rule

_SHORT = 3
_LONG_REPEAT = later(r"\{(\d+),\d{2,}\}")
_BEFORE = later(r"^(\(\?[a-z]+\))?\(\?:\^\|\[(?:\\.|[^\]\\])+\]\)")
_END = later(r"(?<!\\)\\[Az]")


class Prefilter(Protocol):
    """Names the rules that may match a text, or a part of it between line ends. It may name too many, never too few."""

    def candidates(self, data: bytes) -> Iterable[int]:
        """Return the indexes of rules that may match ASCII `data`, or such a part, in no order, each once."""
        ...


class KeywordFilter:
    """Filters by the keywords of the rules, all in one pass (Aho and Corasick). 20 MB/s with RE2 behind it."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        by_keyword: dict[str, set[int]] = {}
        for index, rule in enumerate(rules):
            for keyword in rule.keywords:
                by_keyword.setdefault(keyword, set()).add(index)
        # Short keywords are everywhere: one search each is cheaper than a hit for every place they stand at.
        self._short = [(k.encode(), found) for k, found in by_keyword.items() if len(k) < _SHORT]
        long = {k: found for k, found in by_keyword.items() if len(k) >= _SHORT}
        self._by_keyword = list(long.values())
        self._always = frozenset(index for index, rule in enumerate(rules) if not rule.keywords)
        self._keywords = AhoCorasick(list(long))

    def candidates(self, data: bytes) -> Iterable[int]:
        """Return the rules that have a keyword in `data`, in any case, and those without keywords."""
        found = set(self._always)
        lower = data.lower()
        for keyword, rules in self._short:
            if keyword in lower:
                found |= rules
        for hit in {hit[0] for hit in self._keywords.find_matches_as_indexes(lower.decode("ascii"), overlapping=True)}:
            found |= self._by_keyword[hit]
        return found


class HyperscanFilter:
    """Filters by the patterns themselves, all in one pass, with Hyperscan (`runbundle[fast]`).

    The compiled database is kept in the user's cache folder, under the digest of its rules: compiling takes seconds,
    loading some milliseconds.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        with forks.loading():
            import hyperscan  # pyright: ignore[reportMissingImports, reportMissingTypeStubs]

        self._hyperscan: Any = hyperscan
        self._all = range(len(rules))
        self._database = self._load([broader(rule.pattern).encode() for rule in rules])
        self._local = threading.local()

    def candidates(self, data: bytes) -> Iterable[int]:
        """Return the rules whose pattern is in `data`, or all rules if the scan fails."""
        found: list[int] = []

        def matched(index: int, _start: int, _end: int, _flags: int, _context: Any) -> None:
            found.append(index)

        try:
            # Scratch space is for one scan at a time: one for each thread.
            scratch = getattr(self._local, "scratch", None)
            if scratch is None:
                scratch = self._local.scratch = self._hyperscan.Scratch(self._database)
            self._database.scan(data, match_event_handler=matched, scratch=scratch)
        except Exception:  # noqa: BLE001 - fail closed: what cannot be ruled out is looked for
            return self._all
        return found

    def _load(self, patterns: list[bytes]) -> Any:
        hyperscan = self._hyperscan
        digest = hashlib.sha256(b"\0".join([hyperscan.__version__.encode(), b"lines", *patterns])).hexdigest()
        name = f"rules-{digest[:32]}.hs"
        kept = cache.read(name)
        if kept is not None:
            with contextlib.suppress(hyperscan.error):  # of another version, or damaged: compile
                return hyperscan.loadb(kept, mode=hyperscan.HS_MODE_BLOCK)
        database = hyperscan.Database()
        # With many lines a rule's end of text is the end of each line: so it names the rules of every part, too.
        each = hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_ALLOWEMPTY | hyperscan.HS_FLAG_MULTILINE
        flags = [each] * len(patterns)
        database.compile(patterns, ids=list(self._all), elements=len(patterns), flags=flags)
        cache.write(name, hyperscan.dumpb(database))
        return database


def prefilter(rules: Sequence[Rule]) -> Prefilter:
    """Return the faster filter that is installed and takes the rules."""
    if find_spec("hyperscan") is not None:
        try:
            return HyperscanFilter(rules)
        except Exception:  # noqa: BLE001 - a processor it was not built for, a rule it does not take
            return KeywordFilter(rules)
    return KeywordFilter(rules)


def broader(pattern: str) -> str:
    """Let long bounded repeats be unbounded, leave out what has to stand before a match, begin and end a text at any
    line.

    The first pass may say too much, and Hyperscan unrolls such repeats. With them and with a choice at the beginning,
    its version 5.4.12 was seen to pass over matches: of the rule `command-line` one in five, behind longer text.
    """
    return _END.sub(lambda at: "^" if at[0] == r"\A" else "$", _LONG_REPEAT.sub(r"{\1,}", _BEFORE.sub(r"\1", pattern)))
