"""Decisions about cases: the same with the same seed, by rule where resampling says nothing, exact where it can be."""

import math
from random import Random

import pytest

from runbundle.compare.statistics.bootstrap import of_mean, of_ratio, resamples_for
from runbundle.compare.statistics.paired import (
    binary_against,
    cases_needed,
    holm,
    mean_against,
    rate_against,
    ratio_against,
)

VALUES = [Random(3).gauss(0.1, 1) for _ in range(1)] + [Random(i).gauss(0.1, 1) for i in range(59)]


def test_the_same_seed_gives_the_same_bounds_and_another_nearly() -> None:
    """To the last digit; and the bounds hold the mean between them."""
    first, again = (mean_against(VALUES, -0.5, expected=0.0, alpha=0.05, seed=1) for _ in range(2))
    other = mean_against(VALUES, -0.5, expected=0.0, alpha=0.05, seed=2)
    assert first == again
    assert first.low is not None
    assert other.low is not None
    assert first.low == pytest.approx(other.low, abs=0.03)
    assert first.low < first.estimate < (first.high or 0)


def test_bounds_are_near_those_of_t_for_a_symmetric_sample() -> None:
    """BCa corrects for skew, of which there is little."""
    n = len(VALUES)
    mean = math.fsum(VALUES) / n
    error = math.sqrt(sum((v - mean) ** 2 for v in VALUES) / (n - 1) / n)
    found = mean_against(VALUES, 0.0, expected=None, alpha=0.05, seed=1)
    assert found.low == pytest.approx(mean - 1.671 * error, abs=0.25 * error)
    assert found.high == pytest.approx(mean + 1.671 * error, abs=0.25 * error)


def test_a_bound_at_a_level_and_the_p_value_at_that_bound_agree() -> None:
    """The p-value is the level at which the bound is the limit."""
    found = of_mean(VALUES, 1)
    for level in (0.05, 0.5, 0.95):
        assert found.p_above(found.bound(level)) == pytest.approx(level, abs=0.005)
        assert found.p_below(found.bound(level)) == pytest.approx(1 - level, abs=0.005)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_fewer_than_five_cases_decide_nothing(n: int) -> None:
    """However far the values are from the limit; one sample raises nothing."""
    found = mean_against([5.0] * n, 0.0, expected=None, alpha=0.05, seed=0)
    assert (found.low, found.high, found.p_above, found.p_below) == (None, None, 1.0, 1.0)
    assert found.decides_at == 5
    assert ratio_against([(1.0, 2.0)] * n, 1.2, alpha=0.05, seed=0).low is None


@pytest.mark.parametrize(
    ("value", "limit", "claim"), [(0.0, -0.05, "above"), (0.0, 0.0, "above"), (-0.1, -0.05, "below")]
)
def test_equal_values_are_their_own_bound(value: float, limit: float, claim: str) -> None:
    """No variance gives no NaN; to reach the limit exactly is enough."""
    found = mean_against([value] * 5, limit, expected=0.0, alpha=0.05, seed=0)
    assert (found.low, found.high) == (value, value)
    assert (found.p_above, found.p_below) == ((0.0, 1.0) if claim == "above" else (1.0, 0.0))


def test_a_ratio_is_that_of_the_means() -> None:
    """Equal ratios are their own bound; others have bounds around it."""
    equal = ratio_against([(1.2 * b, b) for b in (1.0, 2.0, 5.0, 7.0, 9.0)], 1.2, alpha=0.05, seed=0)
    assert (equal.low, equal.p_below, equal.p_above) == (equal.estimate, 0.0, 1.0)
    pairs = [(b * (1 + 0.1 * (i % 3)), b) for i, b in enumerate((1.0, 2.0, 5.0, 7.0, 9.0, 4.0, 3.0, 8.0))]
    found = ratio_against(pairs, 2.0, alpha=0.05, seed=0)
    assert found.estimate == pytest.approx(sum(a for a, _ in pairs) / sum(b for _, b in pairs))
    assert found.low is not None
    assert found.low < found.estimate < (found.high or 0) < 2.0
    assert found.p_below < 0.05
    assert of_ratio(pairs, 0).estimates == of_ratio(pairs, 0).estimates


def test_pairs_that_do_not_differ_still_leave_room_for_what_was_not_seen() -> None:
    """z²/(n + z²) below zero, as Tango has it; so few pairs do not pass a narrow margin."""
    z = 1.6448536
    found = binary_against(0, 0, 20, 0.05, alpha=0.05)
    assert found.low == pytest.approx(-z * z / (20 + z * z), abs=1e-6)
    assert found.p_above > 0.05
    assert found.decides_at == 52
    assert binary_against(0, 0, 52, 0.05, alpha=0.05).p_above <= 0.05


def test_a_drop_is_claimed_only_with_the_exact_test_of_mcnemar() -> None:
    """Five of five discordant pairs are 1 in 32; four are 1 in 16, and no claim."""
    assert binary_against(5, 0, 10, 0.0, alpha=0.05).p_below == pytest.approx(1 / 32)
    assert binary_against(4, 0, 10, 0.0, alpha=0.05).p_below == pytest.approx(1 / 16)
    assert binary_against(1, 6, 30, 0.1, alpha=0.05).p_below > 0.9


def test_a_rate_is_judged_by_the_exact_binomial() -> None:
    """20 of 20 pass 0.85, which needs 19, and not 0.9, which needs 29."""
    assert rate_against(20, 20, 0.85, alpha=0.05).p_above == pytest.approx(0.85**20)
    found = rate_against(20, 20, 0.9, alpha=0.05)
    assert found.p_above > 0.05
    assert found.decides_at == 29
    assert rate_against(29, 29, 0.9, alpha=0.05).p_above <= 0.05
    assert rate_against(0, 20, 0.5, alpha=0.05).p_below <= 0.05


def test_holm_is_strict_with_the_smallest_and_keeps_the_order() -> None:
    """As in the paper: times n, n - 1, …, and never less than one before."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_number_of_cases_grows_with_the_square_of_the_spread() -> None:
    """None where the limit is the value itself."""
    assert cases_needed(1.0, 0.1, 0.05) == 619
    assert cases_needed(2.0, 0.1, 0.05) == 2474
    assert cases_needed(1.0, 0.0, 0.05) is None
    assert cases_needed(1e9, 0.1, 0.05) is None
    assert cases_needed(0.01, 10.0, 0.05) == 5


def test_many_cases_are_resampled_less_often() -> None:
    """So that the cost stays in bounds."""
    assert resamples_for(10) == 9_999
    assert resamples_for(1_000) == 1_999
    assert 1_999 < resamples_for(200) < 9_999
