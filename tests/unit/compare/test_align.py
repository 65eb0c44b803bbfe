"""Aligning sequences of keys."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runbundle.compare.align import Alignment, aligned

_KEYS = st.lists(st.integers(0, 3), max_size=9)


def _pairs(found: Alignment) -> list[tuple[int, int]]:
    return [(place, other) for place, other in enumerate(found.of_a) if other >= 0]


def _longest_common(a: list[int], b: list[int]) -> int:
    """Return the length of the longest common subsequence, by the table."""
    before = [0] * (len(b) + 1)
    for one in a:
        row = [0]
        for place, other in enumerate(b):
            row.append(before[place] + 1 if one == other else max(before[place + 1], row[place]))
        before = row
    return before[-1]


@given(_KEYS, _KEYS)
def test_as_many_as_can_be_are_paired(a: list[int], b: list[int]) -> None:
    """Of short sequences: what the table of all subsequences gives."""
    found = aligned(a, b)
    assert len(_pairs(found)) == _longest_common(a, b)
    assert found.is_fewest


@given(st.lists(st.integers(0, 2), max_size=400), st.lists(st.integers(0, 2), max_size=400))
def test_pairs_are_equal_and_never_cross(a: list[int], b: list[int]) -> None:
    """Of sequences that are over the budget, too."""
    found = aligned(a, b)
    pairs = _pairs(found)
    assert all(a[place] == b[other] and found.of_b[other] == place for place, other in pairs)
    assert all(one[1] < other[1] for one, other in pairwise(pairs))
    assert sum(place >= 0 for place in found.of_b) == len(pairs)


@given(st.lists(st.integers(0, 4), max_size=60))
def test_a_sequence_is_aligned_with_itself_place_by_place(a: list[int]) -> None:
    """No pair is left out, and none is of another place."""
    assert list(aligned(a, a).of_a) == list(range(len(a)))


def _edited(keys: list[int], edits: int, seed: int) -> list[int]:
    drawn, other = random.Random(seed), list(keys)
    for number in range(edits):
        place, kind = drawn.randrange(len(other)), drawn.randrange(3)
        if kind == 0:
            other.insert(place, -1 - number)
        elif kind == 1:
            del other[place]
        else:
            other[place] = -1 - number
    return other


def test_an_edit_costs_itself_alone() -> None:
    """Of 200 among 10,000 steps, whose keys repeat or do not, hardly more is unpaired than was edited."""
    for different in (10**9, 30, 1):
        drawn = random.Random(different)
        keys = [drawn.randrange(different) for _ in range(10_000)]
        other = _edited(keys, 200, different)
        unpaired = sum(place < 0 for place in aligned(keys, other).of_a)
        assert unpaired <= 150, (different, unpaired)  # two of three edits take a step away; 133 are to be expected


def test_two_sequences_with_nothing_in_common_end() -> None:
    """There is no key that divides them: it is said that there were too many edits to look for the fewest."""
    found = aligned([1] * 5_000, [2] * 5_000)
    assert not _pairs(found)
    assert not found.is_fewest
