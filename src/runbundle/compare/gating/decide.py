"""The verdict of a gate: all checks judged, corrected for their number, waived where somebody has decided so."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from runbundle.compare.gating.checks import Judged, Sides, judge
from runbundle.compare.gating.flips import Comparisons
from runbundle.compare.gating.policy import AnyCheck, Metric, Policy
from runbundle.compare.gating.sets import identity_of
from runbundle.compare.statistics.paired import holm
from runbundle.format.evaluation import (
    BaselineRef,
    Criterion,
    FlakyCase,
    Gate,
    PolicyRef,
    Subject,
    Verdict,
    Waiver,
)

_SEVERITY: tuple[Verdict, ...] = ("error", "fail", "inconclusive", "pass")


def decide(
    policy: Policy, sides: Sides, *, ref: PolicyRef | None = None, baseline: BaselineRef | None = None,
    now: datetime | None = None,
) -> Gate:  # fmt: skip
    """Return the gate over two sets of verified runs. The same runs and policy give the same verdict.

    Of several statistical checks of one kind, blocking or not, a failure is claimed after Holm's correction: together
    they fail as seldom without a reason as one alone. To pass, each blocking check must pass by itself.
    """
    now = now or datetime.now(UTC)
    waivers = [
        Waiver(check=w.check, by=w.by, reason=w.reason, expires=w.expires.isoformat(), in_force=now.date() <= w.expires)
        for w in policy.waivers
    ]
    in_force = {waiver.check for waiver in waivers if waiver.in_force}
    judged = [(check, judge(check, sides, policy)) for check in policy.checks]
    adjusted, comparisons = _adjusted(judged), Comparisons()
    criteria = [
        _criterion(check, found, adjusted[check.id], policy, comparisons, waived=check.id in in_force)
        for check, found in judged
    ]
    lossy = [m.name for m in (*sides.baseline, *sides.candidate) if not m.complete]
    if lossy and policy.incomplete == "refuse":
        reason = f"something is missing from {len(lossy)} runs, such as {lossy[0]}; runbundle verify says what"
        criteria.insert(0, Criterion(name="completeness", verdict="inconclusive", reason=reason))
    subjects = [_subject(m.subject, "baseline") for m in sides.baseline]
    subjects += [_subject(m.subject, "candidate") for m in sides.candidate]
    return Gate(
        subjects=subjects,
        verdict=worst(criteria),
        criteria=criteria,
        policy=ref,
        baseline=baseline,
        candidate=identity_of(sides.candidate),
        flaky=_each_once(flaky for _, found in judged for flaky in found.flaky),
        waivers=waivers,
        notes=[
            *(f"the waiver of {w.check} by {w.by} has expired on {w.expires}" for w in waivers if not w.in_force),
            *filter(None, [comparisons.note()]),
        ],
        decided_at=now.isoformat(timespec="seconds").replace("+00:00", "Z"),
    )


def worst(criteria: Sequence[Criterion]) -> Verdict:
    """Return the worst verdict among the blocking criteria. A waiver covers a failure or a doubt, never an error."""
    found = {_weighed(criterion) for criterion in criteria if criterion.blocking}
    for verdict in _SEVERITY:
        if verdict in found:
            return verdict
    return "pass"


def _weighed(criterion: Criterion) -> Verdict:
    return "pass" if criterion.waived and criterion.verdict != "error" else criterion.verdict


def _adjusted(judged: Sequence[tuple[AnyCheck, Judged]]) -> dict[str, float | None]:
    adjusted: dict[str, float | None] = {check.id: None for check, _ in judged}
    for blocking in (True, False):
        family = [(check.id, found.p_fail) for check, found in judged if check.blocking is blocking and found.finding]
        adjusted.update(zip([name for name, _ in family], holm([p for _, p in family]), strict=True))
    return adjusted


def verdict_of(found: Judged, p_fail: float, alpha: float) -> Verdict:
    """Return the verdict of a statistical check, whose p-value of failing may have been corrected."""
    return "fail" if p_fail <= alpha else "pass" if found.p_pass <= alpha else "inconclusive"


def _criterion(
    check: AnyCheck, found: Judged, p_fail: float | None, policy: Policy, comparisons: Comparisons, *, waived: bool
) -> Criterion:
    verdict, reason, shown = found.verdict, found.reason, found.finding
    if shown is not None and p_fail is not None:
        verdict = verdict_of(found, p_fail, policy.alpha)
        reason = _reason(found, verdict)
    assert verdict is not None
    return Criterion(
        name=check.id,
        verdict=verdict,
        type=check.type,
        metric=check.metric if isinstance(check, Metric) else getattr(check, "metric", None),
        blocking=check.blocking,
        reason=reason,
        method=shown.method if shown else None,
        estimate=shown.estimate if shown else None,
        low=shown.low if shown else None,
        high=shown.high if shown else None,
        limit=found.limit,
        n_cases=found.n_cases,
        n_runs=found.n_runs,
        p_fail=p_fail,
        decides_at=shown.decides_at if shown and verdict == "inconclusive" else None,
        evidence=list(found.evidence) if verdict != "pass" else [],
        flips=[comparisons.flip(moved) for moved in found.moved],
        waived=waived and verdict in ("fail", "inconclusive"),
    )


def _reason(found: Judged, verdict: Verdict) -> str:
    shown = found.finding
    assert shown is not None
    if shown.low is None or shown.high is None:
        reason = f"{found.unit} is {shown.estimate:.4g}; {found.n_cases} cases are too few to say how sure that is"
    else:
        reason = f"{found.unit} is {shown.estimate:.4g}, between {shown.low:.4g} and {shown.high:.4g}"
        reason += f"; the limit is {found.limit:.4g}"
    if verdict == "inconclusive":
        reason += (
            f"; about {shown.decides_at} cases would decide" if shown.decides_at else "; more cases may not decide"
        )
    return reason


def _subject(subject: Subject, side: str) -> Subject:
    return subject.model_copy(update={"side": side})


def _each_once(flaky: Iterable[FlakyCase]) -> list[FlakyCase]:
    found: dict[tuple[str, str], FlakyCase] = {}
    for case in flaky:
        found[case.case_id, case.metric] = case
    return [found[name] for name in sorted(found)]
