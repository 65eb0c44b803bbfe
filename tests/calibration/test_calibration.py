"""A gate fails without a reason no more often than it says, and the number of cases that it asks for is the right one.

These are few simulations; `make calibrate` makes all of them.
"""

import pytest

from tests.calibration.simulate import Cell, decided, outcomes, stated

CELLS = [Cell(10, 1, 0.8, 1.5), Cell(10, 5, 0.8, 1.5), Cell(30, 5, 0.95, 0.0), Cell(30, 1, 0.5, 0.0)]


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_two_sets_of_one_agent_seldom_fail(cell: Cell) -> None:
    """At a margin of zero, where nothing helps: 5 % and 2 points."""
    [found] = outcomes(cell, (0.0,), 400, resamples=199)
    assert found["error"] == 0
    assert found["fail"] <= 28


def test_the_number_of_cases_that_a_gate_asks_for_is_the_one_that_decides() -> None:
    """Within a factor of 1.3: fewer decide less than four of five gates, more decide more."""
    n = stated(30, 0.2, 0.05, 21)
    assert (
        decided(round(n / 1.3), 0.2, 0.05, 100, resamples=199)
        < 0.8
        < decided(round(n * 1.3), 0.2, 0.05, 100, resamples=199)
    )
