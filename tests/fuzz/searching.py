"""Looks for a difference between the two cores, by cases that hypothesis makes, until a time is over."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import hypothesis


def search(cases: Any, compared: Callable[[Any], Iterable[str]], what: str, minutes: float) -> int:
    """Compare cases; print how many the native core took, and why not others. Raises what `compared` raises.

    `compared`: returns for each that a case holds why it was left to Python, or "". `what`: how these are called.
    """
    until, seed = time.monotonic() + 60 * minutes, time.time_ns()
    found: dict[str, int] = {}

    def each(case: Any) -> None:
        for reason in compared(case):
            found[reason] = found.get(reason, 0) + 1

    settings = hypothesis.settings(
        max_examples=500, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    while time.monotonic() < until:
        seed += 1
        hypothesis.seed(seed)(settings(hypothesis.given(cases)(each)))()
        print(f"{sum(found.values())} {what}, {found.get('', 0)} of them native, no difference", flush=True)
    for reason, number in sorted(found.items(), key=lambda pair: -pair[1]):
        print(f"{number:8} {reason or 'native'}")
    return 0
