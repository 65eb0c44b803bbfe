"""Distribution functions that the standard library lacks: Student's t and the binomial."""

import math
from statistics import NormalDist

NORMAL = NormalDist()
_TINY = 1e-300
_STEPS = 300


def t_cdf(x: float, df: float) -> float:
    """Return P(T <= x) of Student's t with `df` degrees of freedom."""
    tail = 0.5 * _beta(df / (df + x * x), df / 2, 0.5)
    return 1 - tail if x > 0 else tail


def t_quantile(p: float, df: float) -> float:
    """Return the `p`-quantile of Student's t, 0 < p < 1, to nine digits."""
    low, high = -1.0, 1.0
    while t_cdf(low, df) > p:
        low *= 2
    while t_cdf(high, df) < p:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        if t_cdf(middle, df) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def binomial_tail(k: int, n: int, p: float = 0.5) -> float:
    """Return P(X >= k) of n trials that each succeed with probability `p`, exactly up to rounding."""
    if k <= 0:
        return 1.0
    if p in (0.0, 1.0):
        return float(p == 1.0 and k <= n)
    logs = [_log_choose(n, i) + i * math.log(p) + (n - i) * math.log1p(-p) for i in range(k, n + 1)]
    return min(1.0, math.fsum(map(math.exp, logs)))


def rate_bound(events: int, n: int, alpha: float) -> float:
    """Return the exact upper bound, at confidence 1 - alpha, of a rate of which `events` in `n` were seen.

    For none in n it is 1 - alpha^(1/n), about 3/n at 95 %.
    """
    if events >= n:
        return 1.0
    low, high = events / n, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if 1 - binomial_tail(events + 1, n, middle) > alpha:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _beta(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), by its continued fraction (Lentz)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    ) / a  # fmt: skip
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, _STEPS):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away(1 + numerator * d)
            c = _away(1 + numerator / c)
            result *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * result


def _away(x: float) -> float:
    return x if abs(x) > _TINY else _TINY
