"""The steps of a run, and how those of two are paired."""

import random
from array import array

from hypothesis import given
from hypothesis import strategies as st

from runbundle.compare.pairs import paired
from runbundle.compare.steps import NOT_HERE, Steps, open_circles


def _steps(parents: list[int], given: list[int]) -> Steps:
    steps = Steps()
    for row, (parent, one) in enumerate(zip(parents, given, strict=True)):
        values = (row + 1, 4, 0, one, 0, 0, 0, 0, 0)
        for column, value in zip(steps.columns(), values, strict=True):
            column.append(value)
        steps.parent.append(parent)
        steps.together.append(0)
    return steps


@given(st.lists(st.integers(-1, 11), min_size=1, max_size=12))
def test_circles_are_opened(parents: list[int]) -> None:
    """Only a bundle that somebody made up has one: from each step the way up ends, whatever it says."""
    parent = array("i", (min(one, len(parents) - 1) for one in parents))
    open_circles(parent)
    for row in range(len(parent)):
        passed = 0
        while row >= 0:
            row, passed = parent[row], passed + 1
            assert passed <= len(parent)


@given(st.integers(0, 10**6))
def test_a_run_is_paired_with_itself_step_by_step(seed: int) -> None:
    """Whatever its tree, and however many of its steps were given the same."""
    drawn = random.Random(seed)
    parents = [drawn.randrange(-1, row) if row else NOT_HERE for row in range(30)]
    steps = _steps(parents, [drawn.randrange(3) for _ in parents])
    found = paired(steps, steps)
    assert list(found.of_a) == list(range(30))
    assert not found.moved


@given(st.integers(0, 10**6))
def test_pairs_stand_beneath_pairs(seed: int) -> None:
    """So what is reported of a step is of the same step of the run around it."""
    drawn = random.Random(seed)
    a, b = (
        _steps(
            [drawn.randrange(-1, row) if row else NOT_HERE for row in range(20)],
            [drawn.randrange(3) for _ in range(20)],
        )
        for _ in range(2)
    )
    found = paired(a, b)
    for row, other in enumerate(found.of_a):
        if other >= 0:
            assert found.of_b[other] == row
            above, other_above = a.parent[row], b.parent[other]
            assert (above, other_above) == (-1, -1) or found.of_a[above] == other_above
