"""The differences between the steps of two runs, in the order in which they happened."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import orjson

from runbundle.bundle.reader import Bundle
from runbundle.compare.pairs import Pairing, paired
from runbundle.compare.steps import NOT_HERE, OPS, Numbers, Steps, steps_of
from runbundle.format.layout import EVENTS

Verdict = Literal["changed", "added", "removed", "moved"]
Part = Literal["given", "gave", "status", "model"]
"""What of a step differs: what it was given, what came of it, how it ended, which model was asked."""
_LEAVES = frozenset({"model", "tool", "retrieval"})


@dataclass
class Change:
    """One difference between two runs."""

    verdict: Verdict
    op: str
    """Kind of work of the step."""
    name: str
    row_a: int
    """Row of the step in A, or -1."""
    row_b: int
    """Row of the step in B, or -1."""
    parts: tuple[Part, ...] = ()
    """Of a changed step: what of it differs."""
    beneath: int = 0
    """Of an added or removed step: how many steps beneath it came or went with it."""
    follows: bool = False
    """Whether it follows from an earlier difference: a prompt repeats what was said and found before; a step ends as
    what lies beneath it."""
    equal_before: int = 0
    """Number of pairs in which nothing differs between the difference before this one and this."""


@dataclass
class Compared:
    """The steps of two runs, what of them belongs together, and what differs."""

    a: Bundle
    b: Bundle
    steps_a: Steps
    steps_b: Steps
    numbers: Numbers
    pairing: Pairing
    changes: list[Change] = field(default_factory=list[Change])

    @property
    def same(self) -> int:
        """Number of pairs in which nothing differs."""
        differing = sum(change.verdict in ("changed", "moved") for change in self.changes)
        return sum(row >= 0 for row in self.pairing.of_a) - differing

    def lines(self, change: Change) -> "tuple[dict[str, Any], dict[str, Any]]":
        """Return the attributes of a change's step in A and in B; empty where the run does not have it."""
        return self.said(self.a, self.steps_a, change.row_a), self.said(self.b, self.steps_b, change.row_b)

    @classmethod
    def said(cls, bundle: Bundle, steps: Steps, row: int) -> dict[str, Any]:
        """Return the attributes of a step, read from its line; empty for -1."""
        return cls.event(bundle, steps, row).get("attributes", {})

    @staticmethod
    def event(bundle: Bundle, steps: Steps, row: int) -> dict[str, Any]:
        """Return the event in which a step ended, read from its line; empty for -1."""
        if row < 0:
            return {}
        path = f"{bundle.key}/{bundle.path(EVENTS)}"
        return cast("dict[str, Any]", orjson.loads(bundle.store.get_range(path, steps.at[row], steps.bytes[row])))


def compared(a: Bundle, b: Bundle) -> Compared:
    """Read two runs, pair their steps, and list what differs. Raises `MalformedBundle`."""
    numbers = Numbers()
    found = Compared(a, b, steps_of(a, numbers), steps_of(b, numbers), numbers, Pairing(0, 0))
    found.pairing = paired(found.steps_a, found.steps_b)
    found.changes = _changes(found)
    return found


def _changes(found: Compared) -> list[Change]:
    """Return the differences by place: of A, and what B has more behind the step of A that it came after."""
    steps_a, steps_b, pairing = found.steps_a, found.steps_b, found.pairing
    changes: list[tuple[int, int, Change]] = []
    equal, at = array("i", [0]), 0  # of how many pairs before each row of A nothing differs
    gone, come, last = _together(steps_a, pairing.of_a), _together(steps_b, pairing.of_b), NOT_HERE
    for row, other in enumerate(pairing.of_a):
        parts = _parts(steps_a, row, steps_b, other) if other >= 0 else ()
        at += other >= 0 and not parts and row not in pairing.moved
        equal.append(at)
        if other < 0:
            if row in gone:
                changes.append((row, 0, _change(found, "removed", row, NOT_HERE, beneath=gone[row])))
        elif parts:
            changes.append((row, 0, _change(found, "changed", row, other, parts)))
        elif row in pairing.moved:
            changes.append((row, 0, _change(found, "moved", row, other)))
    for row, other in enumerate(pairing.of_b):
        if other >= 0:
            last = other if other not in pairing.moved else last
        elif row in come:
            changes.append((last, row + 1, _change(found, "added", NOT_HERE, row, beneath=come[row])))
    changes.sort(key=lambda one: one[:2])
    ordered, passed = [change for _, _, change in changes], 0
    for place, _, change in changes:
        change.equal_before, passed = equal[place + 1] - passed, equal[place + 1]
    _mark_following(ordered)
    return ordered


def _change(
    found: Compared, verdict: Verdict, row_a: int, row_b: int, parts: tuple[Part, ...] = (), beneath: int = 0
) -> Change:
    steps, row = (found.steps_a, row_a) if row_a >= 0 else (found.steps_b, row_b)
    name = found.numbers.texts[steps.name[row]][0]
    return Change(verdict, OPS[steps.op[row]], name, row_a, row_b, parts, beneath)


def _parts(a: Steps, row_a: int, b: Steps, row_b: int) -> tuple[Part, ...]:
    parts: list[Part] = []
    if a.given[row_a] != b.given[row_b]:
        parts.append("given")
    if a.gave[row_a] != b.gave[row_b]:
        parts.append("gave")
    if a.status[row_a] != b.status[row_b]:
        parts.append("status")
    if a.model[row_a] != b.model[row_b]:
        parts.append("model")
    return tuple(parts)


def _together(steps: Steps, other: Sequence[int]) -> dict[int, int]:
    """Return the outermost of the steps that came or went, and how many without a partner lie beneath each."""
    outermost = array("i", range(len(steps)))
    beneath: dict[int, int] = {}
    for row in range(len(steps)):
        if other[row] >= 0:
            continue
        top = row
        while (above := steps.parent[top]) >= 0 and other[above] < 0:  # to the root of a tree: parents form no circle
            top = outermost[above] if above < row else above
        outermost[row] = top
        beneath[top] = beneath.get(top, 0) + (top != row)
    return beneath


def _mark_following(changes: list[Change]) -> None:
    """Mark what follows from an earlier difference, or from one beneath it."""
    is_first = True
    for change in changes:
        if change.op == "model" and change.verdict == "changed" and not is_first and "given" in change.parts:
            change.follows = "model" not in change.parts
        elif change.op not in _LEAVES and change.verdict == "changed":
            change.follows = any(other.op in _LEAVES or other.verdict != "changed" for other in changes)
            continue
        is_first = False
