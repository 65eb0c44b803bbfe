"""Pairing the steps of two runs: the tree of one is laid over the tree of the other, from the runs downwards.

Steps beneath a pair are paired by what they are and what they were given, and what lies beneath them; so a step that
was inserted or left out moves no other. What is left is paired, if it was given the same, though it stands elsewhere
(moved), and else, between the same neighbours, if it is of the same name (changed). Steps that ran side by side, in
both runs, have no order: to find them in another one is no difference.
"""

from array import array
from collections import defaultdict, deque
from collections.abc import Sequence
from operator import lt
from typing import NamedTuple

from runbundle.compare.align import Alignment, aligned
from runbundle.compare.steps import NOT_HERE, OPS, Steps

_MODEL = OPS.index("model")


class Pairing:
    """The steps of A and B that belong together. 4 bytes a step of each."""

    def __init__(self, length_a: int, length_b: int) -> None:
        self.of_a = array("i", [NOT_HERE]) * length_a
        """For each row of A that of B, or -1."""
        self.of_b = array("i", [NOT_HERE]) * length_b
        """For each row of B that of A, or -1."""
        self.moved: set[int] = set()
        """Rows of A whose step stands elsewhere in B."""
        self.is_fewest = True
        """Whether the pairs leave the fewest differences; if not, there were too many to look for that."""

    def pair(self, row_a: int, row_b: int) -> None:
        """Pair two steps."""
        self.of_a[row_a], self.of_b[row_b] = row_b, row_a


class _Tree(NamedTuple):
    steps: Steps
    beneath: dict[int, list[int]]
    """Rows of the steps directly beneath a row, in the order in which they began; beneath -1 those of no step."""
    key: "array[int]"
    """What a step is and was given, and the same of all beneath it, in any order."""
    name: "array[int]"
    """What a step is."""


def paired(a: Steps, b: Steps) -> Pairing:
    """Pair the steps of two runs, which were read with the same `Numbers`."""
    left, right = _tree(a), _tree(b)
    found = Pairing(len(a), len(b))
    pending = [(NOT_HERE, NOT_HERE)]
    while pending:
        above_a, above_b = pending.pop()
        rows_a, rows_b = left.beneath.get(above_a, []), right.beneath.get(above_b, [])
        for row_a, row_b in _beneath(left, right, rows_a, rows_b, found):
            found.pair(row_a, row_b)
            if row_a in left.beneath and row_b in right.beneath:
                pending.append((row_a, row_b))
    return found


def _tree(steps: Steps) -> _Tree:
    beneath: dict[int, list[int]] = defaultdict(list)
    for row, above in enumerate(steps.parent):
        beneath[above].append(row)
    name = array("q", map(hash, zip(steps.op, steps.name, strict=True)))
    key = array("q", map(hash, zip(name, steps.given, strict=True)))
    in_time = all(map(lt, steps.parent, range(len(steps))))
    for row in sorted(beneath, reverse=True) if in_time else _from_below(beneath):
        if row >= 0 and (rows := beneath.get(row)):
            key[row] = hash((key[row], *sorted([key[one] for one in rows])))
    return _Tree(steps, beneath, key, name)


def _from_below(beneath: dict[int, list[int]]) -> list[int]:
    """Return each row behind all that lie beneath it."""
    order: list[int] = []
    pending = list(beneath.get(NOT_HERE, ()))
    while pending:
        row = pending.pop()
        order.append(row)
        pending += beneath.get(row, ())
    order.reverse()
    return order


def _beneath(
    left: _Tree, right: _Tree, rows_a: Sequence[int], rows_b: Sequence[int], found: Pairing
) -> list[tuple[int, int]]:
    """Return pairs of the steps beneath two steps that are paired."""
    alignment = aligned([left.key[row] for row in rows_a], [right.key[row] for row in rows_b])
    found.is_fewest &= alignment.is_fewest
    of_a, of_b = alignment.of_a, alignment.of_b
    in_order = [(place, other) for place, other in enumerate(of_a) if other >= 0]
    if len(in_order) < min(len(rows_a), len(rows_b)):
        for place, other in _elsewhere(left, right, rows_a, rows_b, alignment):
            alignment.pair(place, other)
            if not (left.steps.together[rows_a[place]] and right.steps.together[rows_b[other]]):
                found.moved.add(rows_a[place])
        # Between neighbours that stayed: what is of one name there is one step, which was given something else.
        begun_a = begun_b = 0
        for place_a, place_b in [*in_order, (len(rows_a), len(rows_b))]:
            gap_a = [place for place in range(begun_a, place_a) if of_a[place] < 0]
            gap_b = [place for place in range(begun_b, place_b) if of_b[place] < 0]
            if gap_a and gap_b:
                by_name = aligned([left.name[rows_a[p]] for p in gap_a], [right.name[rows_b[p]] for p in gap_b])
                for number, other in enumerate(by_name.of_a):
                    if other >= 0:
                        alignment.pair(gap_a[number], gap_b[other])
            begun_a, begun_b = place_a + 1, place_b + 1
        _pair_unordered(left, right, rows_a, rows_b, alignment)
    return [(rows_a[place], rows_b[other]) for place, other in enumerate(of_a) if other >= 0]


def _pair_unordered(
    left: _Tree, right: _Tree, rows_a: Sequence[int], rows_b: Sequence[int], alignment: Alignment
) -> None:
    """Pair what is left and has no place of its own: steps that ran side by side, and model calls.

    The prompt of a model call repeats what went before it, so it differs wherever something earlier does.
    """
    others: dict[tuple[int, bool], deque[int]] = defaultdict(deque)
    for place, row in enumerate(rows_b):
        if alignment.of_b[place] < 0:
            others[right.name[row], bool(right.steps.together[row])].append(place)
    for place, row in enumerate(rows_a):
        beside = bool(left.steps.together[row])
        is_alone = alignment.of_a[place] < 0 and (beside or left.steps.op[row] == _MODEL)
        if is_alone and (same := others.get((left.name[row], beside))):
            alignment.pair(place, same.popleft())


def _elsewhere(
    left: _Tree, right: _Tree, rows_a: Sequence[int], rows_b: Sequence[int], alignment: Alignment
) -> list[tuple[int, int]]:
    """Return pairs of places whose steps were given the same, and stand elsewhere."""
    others: dict[int, deque[int]] = defaultdict(deque)
    for place, row in enumerate(rows_b):
        if alignment.of_b[place] < 0:
            others[right.key[row]].append(place)
    found: list[tuple[int, int]] = []
    for place, row in enumerate(rows_a):
        if alignment.of_a[place] < 0 and others.get(left.key[row]):
            found.append((place, others[left.key[row]].popleft()))
    return found
