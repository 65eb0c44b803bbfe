"""Decisions about paired cases: how sure it is that a difference, a mean or a ratio lies above or below a limit.

Each function returns a `Finding` with one-sided bounds and two p-values. The claim "above the limit" is made at
p <= alpha, and so is "below the limit"; neither is made without evidence.
"""

import math
from collections.abc import Sequence
from statistics import stdev
from typing import NamedTuple

from runbundle.compare.statistics.bootstrap import Pair, of_mean, of_ratio
from runbundle.compare.statistics.distributions import NORMAL, binomial_tail, rate_bound, t_cdf, t_quantile

FEWEST = 5
"""Cases below which nothing is decided by resampling."""
_T_BELOW = 100
"""Below so many cases a claim needs Student's t too: at 30, BCa alone errs in 7 of 100 instead of 5."""
POWER = 0.8


class Finding(NamedTuple):
    """An estimate, its one-sided bounds, and the p-values of the two claims."""

    estimate: float
    low: float | None
    high: float | None
    p_above: float
    """p-value of the claim that the true value is above the limit."""
    p_below: float
    """p-value of the claim that it is below the limit."""
    method: str
    decides_at: int | None = None
    """Number of cases with which one of the claims would be made in four of five gates, if that can be told."""


def mean_against(
    values: Sequence[float], limit: float, *, expected: float | None, alpha: float, seed: int, resamples: int = 0
) -> Finding:
    """Judge the mean of case values against a limit; to reach it exactly is enough.

    `expected`: the true mean for which the needed number of cases is told; None takes the estimate. Fewer than 5 cases
    decide nothing. If all values are equal, that value is the bound. Below 100 cases a claim needs Student's t too.
    """
    n = len(values)
    estimate = math.fsum(values) / n
    if n < FEWEST:
        return Finding(
            estimate,
            None,
            None,
            1.0,
            1.0,
            f"none: fewer than {FEWEST} cases",
            _needed_few(values, limit, expected, alpha),
        )
    if max(values) - min(values) <= 1e-12 * max(1.0, abs(estimate)):
        reached = estimate >= limit - 1e-12
        return Finding(
            estimate, estimate, estimate, float(not reached), float(reached), "all cases equal: the bound is the value"
        )
    found = of_mean(values, seed, resamples=resamples)
    low, high = found.bound(alpha), found.bound(1 - alpha)
    p_above, p_below = found.p_above(limit), found.p_below(limit)
    method = "BCa by case"
    if n < _T_BELOW:
        error = stdev(values) / math.sqrt(n)
        t = (estimate - limit) / error
        reach = t_quantile(1 - alpha, n - 1) * error
        low, high = min(low, estimate - reach), max(high, estimate + reach)
        p_above, p_below = max(p_above, 1 - t_cdf(t, n - 1)), max(p_below, t_cdf(t, n - 1))
        method = "BCa and t by case"
    return Finding(
        estimate,
        low,
        high,
        p_above,
        p_below,
        method,
        cases_needed(stdev(values), _distance(estimate if expected is None else expected, limit), alpha),
    )


def ratio_against(pairs: Sequence[Pair], limit: float, *, alpha: float, seed: int, resamples: int = 0) -> Finding:
    """Judge the ratio of the means, first over second, against a limit; to stay at it is enough. All are positive."""
    n = len(pairs)
    below = math.fsum(b for _, b in pairs)
    estimate = math.fsum(a for a, _ in pairs) / below
    if n < FEWEST:
        return Finding(estimate, None, None, 1.0, 1.0, f"none: fewer than {FEWEST} cases", FEWEST)
    # A ratio is above the limit where the mean of these is above zero; they give its spread, and Student's t.
    residuals = [(a - limit * b) * n / below for a, b in pairs]
    if max(a / b for a, b in pairs) - min(a / b for a, b in pairs) <= 1e-12 * max(1.0, abs(estimate)):
        kept = estimate <= limit + 1e-12
        return Finding(estimate, estimate, estimate, float(kept), float(not kept),
                       "all ratios equal: the bound is the value")  # fmt: skip
    found = of_ratio(pairs, seed, resamples=resamples)
    low, high = found.bound(alpha), found.bound(1 - alpha)
    p_above, p_below = found.p_above(limit), found.p_below(limit)
    method = "BCa of the ratio by case"
    spread = stdev([(a - estimate * b) * n / below for a, b in pairs])
    if n < _T_BELOW and spread > 0:
        reach = t_quantile(1 - alpha, n - 1) * spread / math.sqrt(n)
        low, high = min(low, estimate - reach), max(high, estimate + reach)
        deviation = stdev(residuals)
        if deviation > 0:
            p = t_cdf(math.fsum(residuals) / n / (deviation / math.sqrt(n)), n - 1)
            p_above, p_below = max(p_above, 1 - p), max(p_below, p)
        method = "BCa and t of the ratio by case"
    return Finding(estimate, low, high, p_above, p_below, method, cases_needed(spread, _distance(1.0, limit), alpha))


def binary_against(worse: int, better: int, n: int, margin: float, *, alpha: float) -> Finding:
    """Judge one pass or fail a case and side: of `n` pairs, `worse` passed before only and `better` now only.

    "Not worse by more than the margin" follows Tango's score interval, which is sound where no pair differs. "Worse by
    more than the margin" needs that too, and the exact test of McNemar.
    """
    estimate = (better - worse) / n
    z = NORMAL.inv_cdf(1 - alpha)
    low, high = _tango(worse, better, n, z, lower=True), _tango(worse, better, n, z, lower=False)
    p_above = 1 - NORMAL.cdf(_score(worse, better, n, -margin))
    mcnemar = binomial_tail(worse, worse + better)
    p_below = max(NORMAL.cdf(_score(worse, better, n, -margin)), mcnemar)
    share = (worse + better) / n
    needed = cases_needed(math.sqrt(share), margin, alpha) if share else None
    unseen = math.ceil(z * z * (1 - margin) / margin) if margin > 0 else None
    counts = [count for count in (needed, unseen) if count is not None]
    return Finding(estimate, low, high, p_above, p_below, "score interval and exact McNemar test",
                   max(counts) if counts else None)  # fmt: skip


def rate_against(passed: int, n: int, limit: float, *, alpha: float) -> Finding:
    """Judge the rate at which `passed` of `n` independent outcomes are 1 against a limit, by the exact binomial."""
    rate = passed / n
    low, high = 1 - rate_bound(n - passed, n, alpha), rate_bound(passed, n, alpha)
    p_above, p_below = binomial_tail(passed, n, limit), 1 - binomial_tail(passed + 1, n, limit)
    needed = cases_needed(math.sqrt(rate * (1 - rate)), abs(rate - limit), alpha)
    if rate == 1.0 and 0 < limit < 1:
        needed = math.ceil(math.log(alpha) / math.log(limit))
    elif rate == 0.0 and 0 < limit < 1:
        needed = math.ceil(math.log(alpha) / math.log1p(-limit))
    return Finding(rate, low, high, p_above, max(0.0, p_below), "exact binomial", needed)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given: claimed together, they err as seldom as one alone."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = highest
    return adjusted


def cases_needed(spread: float, distance: float, alpha: float) -> int | None:
    """Return with how many cases a mean that lies `distance` from the limit is told from it in four of five gates.

    `spread`: standard deviation between cases. None if the distance is zero, or if it takes more than a million.
    """
    if distance <= 0 or not math.isfinite(spread):
        return None
    z = NORMAL.inv_cdf(1 - alpha) + NORMAL.inv_cdf(POWER)
    n = max(FEWEST, math.ceil((z * spread / distance) ** 2))
    for _ in range(20):  # Student's t needs a few more where they are few
        if n >= _T_BELOW:
            break
        more = max(n, math.ceil(((t_quantile(1 - alpha, n - 1) + NORMAL.inv_cdf(POWER)) * spread / distance) ** 2))
        if more == n:
            break
        n += 1
    return n if n <= 1_000_000 else None


def _needed_few(values: Sequence[float], limit: float, expected: float | None, alpha: float) -> int | None:
    """Return how many cases are needed, judged by fewer than five: five at the least."""
    if len(values) < 2 or max(values) == min(values):
        return FEWEST
    estimate = math.fsum(values) / len(values)
    return cases_needed(stdev(values), _distance(estimate if expected is None else expected, limit), alpha)


def _distance(expected: float, limit: float) -> float:
    return abs(expected - limit)


def _score(worse: int, better: int, n: int, difference: float) -> float:
    """Return Tango's score statistic for a true difference, better minus worse."""
    if difference <= -1 or difference >= 1:
        return math.inf if difference <= -1 else -math.inf
    a = 2 * n
    b = -better - worse + (2 * n - better + worse) * difference
    c = -worse * difference * (1 - difference)
    expected_worse = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = n * (2 * expected_worse + difference * (1 - difference))
    gap = better - worse - n * difference
    if variance <= 0:
        return 0.0 if gap == 0 else math.copysign(math.inf, gap)
    return gap / math.sqrt(variance)


def _tango(worse: int, better: int, n: int, z: float, *, lower: bool) -> float:
    estimate = (better - worse) / n
    low, high = (-1.0, estimate) if lower else (estimate, 1.0)
    for _ in range(60):
        middle = (low + high) / 2
        beyond = _score(worse, better, n, middle) > z if lower else _score(worse, better, n, middle) > -z
        if beyond:
            low = middle
        else:
            high = middle
    return (low + high) / 2
