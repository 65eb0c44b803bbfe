"""Gates over simulated agents: how often one fails without a reason, and how many cases it takes to decide."""

import math
from collections import Counter
from functools import lru_cache
from random import Random
from typing import NamedTuple

from runbundle.compare.gating.checks import Sides, judge
from runbundle.compare.gating.decide import verdict_of
from runbundle.compare.gating.policy import NonInferiority, Policy
from runbundle.compare.gating.sets import Member
from runbundle.compare.scoring.facts import Facts
from runbundle.format.evaluation import Evaluator, Score, Scorecard, Subject
from tests.support.members import INDEX

JUDGE = Evaluator(id="judge", kind="code")


class Cell(NamedTuple):
    """One kind of agent and test set."""

    n: int
    """Number of cases."""
    k: int
    """Repetitions of each."""
    p: float
    """Share of runs that pass, in the middle case."""
    sd: float
    """How much cases differ: standard deviation of the log odds."""


def outcomes(cell: Cell, margins: tuple[float, ...], simulations: int, *, resamples: int = 999) -> list[Counter[str]]:
    """Return, for each margin, how often each verdict came out of gates between two sets of one agent."""
    found: list[Counter[str]] = [Counter() for _ in margins]
    for number in range(simulations):
        random = Random(f"{cell} {number}")
        odds = [math.log(cell.p / (1 - cell.p)) + random.gauss(0, cell.sd) for _ in range(cell.n)]
        rates = [1 / (1 + math.exp(-x)) for x in odds]
        sides = Sides(_side("b", rates, cell.k, random), _side("a", rates, cell.k, random))
        for margin, counts in zip(margins, found, strict=True):
            counts[_judged(sides, margin, number, resamples)[0]] += 1
    return found


def decided(n: int, spread: float, margin: float, simulations: int, *, resamples: int = 999) -> float:
    """Return the share of gates that decide, over `n` cases whose differences have a standard deviation `spread`."""
    verdicts = [
        _judged(_normal(n, spread, Random(f"decided {n} {number}")), margin, number, resamples)[0]
        for number in range(simulations)
    ]
    return 1 - verdicts.count("inconclusive") / simulations


def stated(n: int, spread: float, margin: float, simulations: int, *, resamples: int = 199) -> int:
    """Return the median number of cases that inconclusive gates over `n` cases say would decide."""
    told: list[int] = []
    for number in range(simulations):
        verdict, needed = _judged(_normal(n, spread, Random(f"stated {n} {number}")), margin, number, resamples)
        if verdict == "inconclusive" and needed is not None:
            told.append(needed)
    return sorted(told)[len(told) // 2]


def _judged(sides: Sides, margin: float, seed: int, resamples: int) -> tuple[str, int | None]:
    """Return the verdict of a gate with one check, and the number of cases that would decide."""
    check = NonInferiority(id="x", type="non_inferiority", metric="good", margin=margin)
    found = judge(check, sides, Policy(checks=(check,), seed=seed, resamples=resamples))
    if found.finding is None:
        return str(found.verdict), None
    return verdict_of(found, found.p_fail, 0.05), found.finding.decides_at


def _normal(n: int, spread: float, random: Random) -> Sides:
    cases = [f"c{number}" for number in range(n)]
    after = [_run(f"a{case}", case, 0.5 + random.gauss(0, spread), 0) for case in cases]
    return Sides([_run(f"b{case}", case, 0.5, 0) for case in cases], after)


def _side(name: str, rates: list[float], k: int, random: Random) -> list[Member]:
    return [
        _run(f"{name}{case}-{repeat}", f"c{case}", float(random.random() < rate), repeat)
        for case, rate in enumerate(rates)
        for repeat in range(k)
    ]


@lru_cache(maxsize=100_000)
def _run(name: str, case: str, value: float, repeat: int) -> Member:
    """Return a run, made once: there are millions."""
    subject = Subject.model_construct(run_id=name, run_sha256=name, case_id=case, repeat=repeat)
    score = Score.model_construct(name="good", value=value, status="ok", evaluator="judge")
    card = Scorecard.model_construct(subject=subject, evaluators=[JUDGE], scores=[score])
    return Member(Facts(subject, INDEX), card)
