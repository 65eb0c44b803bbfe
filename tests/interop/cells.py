"""The cells of the coverage table: what a store should say of a combination, and whether it does."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.interop import dumps
from tests.interop.combinations import Combination
from tests.interop.reading import Reading

MOST_UNDECLARED = 0.05


@dataclass(frozen=True)
class Cell:
    """One fact: what is there, and what is wrong with it, if anything is."""

    shown: str
    wrong: str = ""


def _same(what: str, expected: object, seen: object) -> Cell:
    return Cell(str(seen), "" if seen == expected else f"{what}: {seen}, expected {expected}")


def spans_of(combination: Combination, dump: dumps.Dump) -> int:
    """Return how many spans of a dump are part of runs."""
    return len(dump["spans"]) - combination.outside


def _bundles(combination: Combination, reading: Reading, spans: int) -> Cell:
    return _same("bundles", combination.bundles, reading.bundles)


def _spans(combination: Combination, reading: Reading, spans: int) -> Cell:
    cell = _same("spans", spans, reading.spans)
    if combination.varies and abs(spans - reading.spans) <= combination.varies:
        return Cell(cell.shown)
    return cell


def _tools(combination: Combination, reading: Reading, spans: int) -> Cell:
    return _same("tool calls", combination.tools, reading.tools)


def _models(combination: Combination, reading: Reading, spans: int) -> Cell:
    return _same("model calls", combination.models, reading.models)


def _contract(combination: Combination, reading: Reading, spans: int) -> Cell:
    if "contract" in combination.lacks:
        return Cell(f"not emitted ({combination.lacks['contract']})")
    if reading.lookups == combination.lookups and not reading.wrong:
        return Cell("right")
    said = f"{reading.lookups} of {combination.lookups} right"
    return Cell(f"**{said}**", f"contract: {said}; wrong: {reading.wrong[:2]}")


def _agents(combination: Combination, reading: Reading, spans: int) -> Cell:
    if "agents" in combination.lacks:
        return Cell(f"not emitted ({combination.lacks['agents']})")
    expected = Counter(combination.agents)
    seen = Counter({name: count for name, count in reading.agents.items() if name != "librarian"})
    found = (expected & seen).total()
    if seen == expected:
        return Cell(f"{found} of {found}")
    said = f"{found} of {expected.total()}"
    return Cell(f"**{said}**, {(seen - expected).total()} others", f"agents: {said}: {dict(seen)}")


def _usage(combination: Combination, reading: Reading, spans: int) -> Cell:
    lacks = combination.lacks.get("usage", "")
    cell = _same("usage", combination.usage, reading.tokens)
    if cell.wrong:
        return Cell(f"**{reading.tokens[0]} and {reading.tokens[1]}** for {combination.usage}", cell.wrong)
    if combination.usage == (0, 0):
        return Cell(f"not emitted ({lacks})")
    return Cell(f"right ({lacks})" if lacks else "right")


def _masked(combination: Combination, reading: Reading, spans: int) -> Cell:
    count = reading.masked.total()
    return Cell(f"{count}/{reading.spans}", f"names masked: {dict(reading.masked)}" if count else "")


def _undeclared(combination: Combination, reading: Reading, spans: int) -> Cell:
    shown = f"{reading.share_undeclared:.1%} of {reading.attributes}"
    over = reading.share_undeclared >= MOST_UNDECLARED
    return Cell(shown, f"undeclared {shown}: {dict(reading.undeclared.most_common(8))}" if over else "")


def _documents(combination: Combination, reading: Reading, spans: int) -> Cell:
    return _same("documents", combination.documents, reading.documents)


def _verified(combination: Combination, reading: Reading, spans: int) -> Cell:
    if reading.exported:
        return Cell("not asked: nobody saw the spans start")
    right = set(reading.verified) <= {0}
    shown = "all" if right else f"{reading.verified[0]} of {reading.bundles}"
    return Cell(shown, "" if right else f"verify: {dict(reading.verified)} {dict(reading.findings)}")


def _canaries(combination: Combination, reading: Reading, spans: int) -> Cell:
    return Cell(str(reading.leaks.total()), f"canaries: {dict(reading.leaks)}" if reading.leaks else "")


CELLS: dict[str, Callable[[Combination, Reading, int], Cell]] = {
    "bundles": _bundles,
    "spans": _spans,
    "tools": _tools,
    "models": _models,
    "contract": _contract,
    "agents": _agents,
    "usage": _usage,
    "names": _masked,
    "undeclared": _undeclared,
    "documents": _documents,
    "verify": _verified,
    "canaries": _canaries,
}
