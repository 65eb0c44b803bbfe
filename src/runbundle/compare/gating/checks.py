"""The checks of a gate: each judges two sets of runs and returns what it found, before Holm's correction."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from runbundle.compare.gating.flips import Moved, moved_cases
from runbundle.compare.gating.policy import (
    Check,
    Invariant,
    Metric,
    NonInferiority,
    Policy,
    Ratio,
    Threshold,
    TrajectoryCheck,
)
from runbundle.compare.gating.sets import Cases, Member, Undecidable, by_case, means, paired, values
from runbundle.compare.scoring.builtin import MOST_EVIDENCE, expected_calls, forbidden_calls
from runbundle.compare.scoring.trajectory import Expected, Match, matches
from runbundle.compare.statistics.distributions import rate_bound
from runbundle.compare.statistics.paired import (
    FEWEST,
    Finding,
    binary_against,
    mean_against,
    rate_against,
    ratio_against,
)
from runbundle.format.evaluation import EventRef, FlakyCase, RunEvent, Verdict

_REFUSED = ("blocked", "denied")
_MOST_RATIO = 1e90
"""The largest ratio, and between the values of cases, that is judged: cubes of them are added up."""


class Judged(NamedTuple):
    """What a check found. Either the verdict is settled, or it follows from two p-values."""

    verdict: Verdict | None = None
    reason: str = ""
    finding: Finding | None = None
    p_pass: float = 1.0
    p_fail: float = 1.0
    limit: float | None = None
    n_cases: int | None = None
    n_runs: int = 0
    evidence: tuple[RunEvent, ...] = ()
    moved: tuple[Moved, ...] = ()
    flaky: tuple[FlakyCase, ...] = ()
    unit: str = ""
    """What the estimate is, in words."""


class Sides(NamedTuple):
    """The two sets of runs."""

    baseline: Sequence[Member]
    candidate: Sequence[Member]


def judge(check: Check, sides: Sides, policy: Policy) -> Judged:
    """Judge one check. Never raises for what the runs are."""
    try:
        return _JUDGES[type(check)](check, sides, policy)
    except Undecidable as found:
        return Judged(found.verdict, found.reason, n_runs=len(sides.baseline) + len(sides.candidate))


def _threshold(check: Threshold, sides: Sides, policy: Policy) -> Judged:
    of_runs = values(sides.candidate, check.metric, check.evaluator)
    cases = by_case(sides.candidate, "candidate")
    return _against(check.min, check.max, cases, of_runs, policy)


def _against(
    least: float | None, most: float | None, cases: Cases, of_runs: dict[str, float], policy: Policy
) -> Judged:
    """Judge the mean over cases against a least or a most."""
    limit = -most if most is not None else least if least is not None else 0.0
    sign = 1.0 if most is None else -1.0
    by_mean = means(cases, of_runs)
    one_each = all(len(members) == 1 for members in cases.values())
    equal = len(set(of_runs.values())) == 1
    if len(cases) >= FEWEST and _binary(of_runs) and (one_each or equal):
        passed, n = int(sum(of_runs.values())), len(of_runs)
        found = (
            rate_against(passed, n, limit, alpha=policy.alpha)
            if most is None
            else _negated(rate_against(n - passed, n, 1 - most, alpha=policy.alpha), 1.0)
        )
    else:
        found = mean_against(
            [sign * value for value in by_mean.values()],
            limit,
            expected=None,
            alpha=policy.alpha,
            seed=policy.seed,
            resamples=policy.resamples,
        )
        found = found if most is None else _negated(found, 0.0)
        if _binary(of_runs) and len(cases) < FEWEST and 0 < abs(limit) < 1:
            passed = sum(of_runs.values()) if most is None else len(of_runs) - sum(of_runs.values())
            edge = limit if most is None else 1 - abs(limit)
            found = _needing(found, rate_against(int(passed), len(of_runs), edge, alpha=policy.alpha))
    return Judged(
        finding=found, p_pass=found.p_above, p_fail=found.p_below, limit=least if most is None else most,
        n_cases=len(cases), n_runs=len(of_runs), unit="the mean over cases",
    )  # fmt: skip


def _negated(found: Finding, whole: float) -> Finding:
    """Return a finding about `whole - x` as one about x, whose claims keep their sides."""
    low = None if found.high is None else whole - found.high
    high = None if found.low is None else whole - found.low
    return found._replace(estimate=whole - found.estimate, low=low, high=high)


def _needing(found: Finding, other: Finding) -> Finding:
    """Return a finding with the number of cases that another way of judging needs, if that is more."""
    return found._replace(decides_at=max(found.decides_at or FEWEST, other.decides_at or FEWEST))


def _non_inferiority(check: NonInferiority, sides: Sides, policy: Policy) -> Judged:
    before, after, cases, of_runs, means_before, means_after = _both(check, sides)
    lower = check.direction == "lower" or (check.direction is None and check.lower_is_better)
    sign = -1.0 if lower else 1.0
    differences = {case: sign * (means_after[case] - means_before[case]) for case in cases}
    binary = _binary(of_runs)
    if binary and len(cases) >= FEWEST and _ones(before, after):
        worse = sum(d < 0 for d in differences.values())
        better = sum(d > 0 for d in differences.values())
        found = binary_against(worse, better, len(cases), check.margin, alpha=policy.alpha)
    elif binary and len(cases) >= FEWEST and not any(differences.values()) and len(set(of_runs.values())) == 1:
        # Nothing varies: what could have been missed is bounded by how often it was looked.
        looked = sum(min(len(before[case]), len(after[case])) for case in cases)
        found = binary_against(0, 0, looked, check.margin, alpha=policy.alpha)
    else:
        found = mean_against(
            list(differences.values()),
            -check.margin,
            expected=0.0,
            alpha=policy.alpha,
            seed=policy.seed,
            resamples=policy.resamples,
        )
    if binary and len(cases) < FEWEST:
        found = _needing(found, binary_against(0, 0, 1, check.margin, alpha=policy.alpha))
    moved = {case for case, d in differences.items() if abs(d) > (0.5 if binary else check.margin) - 1e-12 and d}
    return Judged(
        finding=found, p_pass=found.p_above, p_fail=found.p_below, limit=-check.margin, n_cases=len(cases),
        n_runs=len(sides.baseline) + len(sides.candidate),
        moved=tuple(moved_cases(moved, before, after, of_runs, (means_before, means_after))),
        flaky=tuple(_flaky(check.metric, before, of_runs)) if binary else (),
        unit="the difference (more is better)" if not lower else "the difference (turned: more is better)",
    )  # fmt: skip


def _ratio(check: Ratio, sides: Sides, policy: Policy) -> Judged:
    _, _, cases, _, means_before, means_after = _both(check, sides)
    pairs = [(means_after[case], means_before[case]) for case in cases]
    if any(a < 0 or b < 0 for a, b in pairs):
        raise Undecidable("error", f"{check.metric} is negative in a case, so there is no ratio")
    turned = check.max is None
    if turned:
        pairs = [(b, a) for a, b in pairs]
    if any(b <= 0 for _, b in pairs):
        raise Undecidable("inconclusive", f"{check.metric} is zero in a case, so there is no ratio")
    most, least = max(a for a, _ in pairs), min(b for _, b in pairs)
    if most > _MOST_RATIO * least or (turned and 0 < most * _MOST_RATIO < least):
        raise Undecidable("inconclusive", f"{check.metric} is nearly zero in a case, so there is no ratio")
    limit = 1 / check.min if check.min is not None else check.max
    assert limit is not None
    found = ratio_against(pairs, limit, alpha=policy.alpha, seed=policy.seed, resamples=policy.resamples)
    shown = found
    if turned:
        low, high = (None if x is None else 1 / x if x > 0 else None for x in (found.high, found.low))
        shown = found._replace(estimate=1 / found.estimate if found.estimate else 0.0, low=low, high=high)
    return Judged(
        finding=shown, p_pass=found.p_below, p_fail=found.p_above, limit=check.min if turned else check.max,
        n_cases=len(cases), n_runs=len(sides.baseline) + len(sides.candidate), unit="the ratio to the baseline",
    )  # fmt: skip


def _invariant(check: Invariant, sides: Sides, policy: Policy) -> Judged:
    broken: list[RunEvent] = []
    runs: set[str] = set()
    of_runs = values(sides.candidate, check.metric, check.evaluator) if check.metric else {}
    for member in sides.candidate:
        found = list(_broken(check, member, of_runs))
        broken += found
        if found:
            runs.add(member.name)
    n = len(sides.candidate)
    if broken:
        reason = f"broken in {len(runs)} of {n} runs: {broken[0].what}"
        return Judged("fail", reason, evidence=tuple(broken[:MOST_EVIDENCE]), n_runs=n)
    _require_complete(sides.candidate)
    return Judged("pass", _never(n, policy), n_runs=n)


def _never(n: int, policy: Policy) -> str:
    most, level = rate_bound(0, n, policy.alpha), 1 - policy.alpha
    return f"held in each of {n} runs, which leaves up to {most:.1%} that break it (at {level:.0%})"


def _broken(check: Invariant, member: Member, of_runs: dict[str, float]) -> Sequence[RunEvent]:
    facts, run = member.facts, member.name
    found = [
        _event(run, call.at, f"{call.tool} was called") for call in forbidden_calls(facts.calls, check.forbidden_tools)
    ]
    refused = [call for call in facts.calls if call.decision in _REFUSED]
    if check.most_policy_blocks is not None and len(refused) > check.most_policy_blocks:
        found += [_event(run, call.at, f"the policy refused {call.tool}") for call in refused]
    if check.most_errors is not None and facts.index.counts.errors > check.most_errors:
        found += [_event(run, at, "a span ended in an error") for at in facts.failed]
    if check.ended_ok and facts.index.status != "ok":
        found.append(RunEvent(run_id=run, what=f"the run ended as {facts.index.status}"))
    value = of_runs.get(member.key)
    if value is not None and not (
        (check.min is None or value >= check.min) and (check.max is None or value <= check.max)
    ):
        at = [ref for score in member.card.scores if score.name == check.metric for ref in score.evidence]
        what = f"{check.metric} is {value:g}"
        found += [_event(run, ref, what) for ref in at[:1]] or [RunEvent(run_id=run, what=what)]
    return found


def _trajectory(check: TrajectoryCheck, sides: Sides, policy: Policy) -> Judged:
    cases: Cases = {}
    if check.expected == "baseline" or check.min_rate < 1:
        cases = by_case(sides.candidate, "candidate")
    before: Cases = {}
    if check.expected == "baseline":
        _require_apart(sides)
        before = by_case(sides.baseline, "baseline")
        paired(before, cases)
    judged = [
        (member, _matched(check, member, before.get(member.subject.case_id or "", ()))) for member in sides.candidate
    ]
    missed = [(member, match) for member, match in judged if match.ok is False]
    doubtful = [member.name for member, match in judged if match.ok is None]
    evidence = tuple(
        _event(member.name, match.at.at, match.why) if match.at else RunEvent(run_id=member.name, what=match.why)
        for member, match in missed[:MOST_EVIDENCE]
    )
    n = len(sides.candidate)
    if missed and check.min_rate == 1:
        reason = f"not as expected in {len(missed)} of {n} runs: {missed[0][1].why}"
        return Judged("fail", reason, evidence=evidence, n_runs=n, n_cases=len(cases) or None)
    if doubtful:
        raise Undecidable(
            "inconclusive", f"arguments of the run {doubtful[0]} were withheld, so they cannot be compared"
        )
    _require_complete(sides.candidate)
    if check.min_rate == 1:
        return Judged("pass", _never(n, policy), n_runs=n, n_cases=len(cases) or None)
    of_runs = {member.key: float(bool(match.ok)) for member, match in judged}
    return _against(check.min_rate, None, cases, of_runs, policy)._replace(evidence=evidence, unit="the share of runs")


def _matched(check: TrajectoryCheck, member: Member, others: Sequence[Member]) -> Match:
    """Return the best match of a run: with the calls that are expected, or with any baseline run of the case."""
    if check.expected != "baseline":
        return matches(member.facts.calls, expected_calls(check.expected), check.mode, check.arguments)
    found: Match | None = None
    for other in others:
        expected = [Expected(call.tool, call.view, call) for call in other.facts.calls]
        same_key = other.facts.index.redaction.key_id == member.facts.index.redaction.key_id
        match = matches(member.facts.calls, expected, check.mode, check.arguments, same_key=same_key)
        if match.ok:
            return match
        if found is None or (match.ok is None and found.ok is False):
            found = match
    assert found is not None
    return found


class _Pairing(NamedTuple):
    """Both sides by case, with the value of each run and the mean of each case."""

    before: Cases
    after: Cases
    cases: list[str]
    of_runs: dict[str, float]
    means_before: dict[str, float]
    means_after: dict[str, float]


def _both(check: Metric, sides: Sides) -> _Pairing:
    """Pair the two sides. Raises `Undecidable`."""
    _require_apart(sides)
    before, after = by_case(sides.baseline, "baseline"), by_case(sides.candidate, "candidate")
    cases = paired(before, after)
    # Of both at once: evaluators of the two sides must have one configuration.
    of_runs = values([*sides.baseline, *sides.candidate], check.metric, check.evaluator)
    return _Pairing(before, after, cases, of_runs, means(before, of_runs), means(after, of_runs))


def _require_apart(sides: Sides) -> None:
    """Raise `Undecidable` if there is no baseline, or a run is compared with itself."""
    if not sides.baseline:
        raise Undecidable("error", "it compares with a baseline, and none was given")
    twice = {member.key for member in sides.baseline} & {member.key for member in sides.candidate}
    if twice:
        name = next(member.name for member in sides.baseline if member.key in twice)
        raise Undecidable("error", f"the run {name} is on both sides")


def _require_complete(members: Sequence[Member]) -> None:
    """Raise `Undecidable` if something is missing from a run: what was lost may have broken the rule."""
    lossy = [member.name for member in members if not member.complete]
    if lossy:
        raise Undecidable("inconclusive", f"something is missing from {len(lossy)} runs, such as {lossy[0]}")


def _binary(of_runs: dict[str, float]) -> bool:
    return set(of_runs.values()) <= {0.0, 1.0}


def _ones(*sides: Cases) -> bool:
    return all(len(members) == 1 for cases in sides for members in cases.values())


def _flaky(metric: str, before: Cases, of_runs: dict[str, float]) -> list[FlakyCase]:
    found: list[FlakyCase] = []
    for case, members in before.items():
        rate = sum(of_runs[member.key] for member in members) / len(members)
        if len(members) >= 3 and 0 < rate < 1:
            found.append(FlakyCase(case_id=case, metric=metric, rate=rate, runs=len(members)))
    return found


def _event(run: str, at: EventRef, what: str) -> RunEvent:
    return RunEvent(run_id=run, seq=at.seq, span_id=at.span_id, what=what)


_JUDGES: dict[type[Check], Callable[[Any, Sides, Policy], Judged]] = {
    Threshold: _threshold,
    NonInferiority: _non_inferiority,
    Ratio: _ratio,
    Invariant: _invariant,
    TrajectoryCheck: _trajectory,
}
