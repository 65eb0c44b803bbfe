"""Distribution functions agree with tables, and with each other."""

import math

import pytest

from runbundle.compare.statistics.distributions import binomial_tail, rate_bound, t_cdf, t_quantile


@pytest.mark.parametrize(
    ("p", "df", "expected"),
    [(0.95, 4, 2.131847), (0.975, 9, 2.262157), (0.95, 28, 1.701131), (0.05, 4, -2.131847), (0.5, 7, 0.0)],
)
def test_quantiles_of_t_are_those_of_the_tables(p: float, df: int, expected: float) -> None:
    """To six digits; and the distribution function leads back."""
    assert t_quantile(p, df) == pytest.approx(expected, abs=1e-6)
    assert t_cdf(t_quantile(p, df), df) == pytest.approx(p, abs=1e-9)


@pytest.mark.parametrize(("k", "n", "p"), [(0, 5, 0.5), (3, 5, 0.5), (7, 8, 0.5), (2, 20, 0.1), (20, 20, 0.9)])
def test_a_binomial_tail_is_the_sum_of_its_terms(k: int, n: int, p: float) -> None:
    """Exactly, up to rounding."""
    expected = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
    assert binomial_tail(k, n, p) == pytest.approx(expected, rel=1e-9)


def test_none_in_n_leaves_about_three_in_n() -> None:
    """The rule of three, exactly: 1 - 0.05^(1/n); all in n leaves everything open."""
    for n in (5, 20, 300):
        assert rate_bound(0, n, 0.05) == pytest.approx(1 - 0.05 ** (1 / n), abs=1e-9)
    assert rate_bound(300, 300, 0.05) == 1.0
    assert rate_bound(0, 300, 0.05) == pytest.approx(0.01, abs=1e-4)
    assert binomial_tail(1, 3, 0.0) == 0.0
    assert binomial_tail(1, 3, 1.0) == 1.0
