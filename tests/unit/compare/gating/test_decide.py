"""A gate says pass, fail, inconclusive or error, for reasons that can be read, and the same for the same runs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from runbundle.compare.gating.checks import Sides
from runbundle.compare.gating.decide import decide
from runbundle.compare.gating.looks import counted
from runbundle.compare.gating.policy import Policy
from runbundle.compare.gating.sets import Member
from runbundle.format.evaluation import Criterion, Gate, PolicyRef, Score
from tests.support.members import call, member, side

NI = {"id": "x", "type": "non_inferiority", "metric": "good", "margin": 0.1}
NOW = datetime(2026, 11, 27, tzinfo=UTC)


def gate(before: Sequence[Member], after: Sequence[Member], *checks: dict[str, Any], **policy: Any) -> Gate:
    """Decide with a policy of these checks."""
    return decide(Policy.model_validate({"checks": checks, **policy}), Sides(before, after), now=NOW)


def one(before: Sequence[Member], after: Sequence[Member], check: dict[str, Any], **policy: Any) -> Criterion:
    """Return the outcome of one check."""
    return gate(before, after, check, **policy).criteria[-1]


def odd(status: Any, reason: str) -> Score:
    """Return a score without a value."""
    return Score(name="good", status=status, reason=reason, evaluator="judge")


def noisy(seed: int, n: int, shift: float = 0.0, sd: float = 0.1) -> list[float]:
    """Return values that vary."""
    random = Random(seed)
    return [0.7 + shift + random.gauss(0, sd) for _ in range(n)]


def test_the_same_passes_a_drop_fails_and_noise_is_inconclusive() -> None:
    """By the bounds of the difference; with the number of cases that would decide."""
    before = side("b", noisy(1, 40))
    assert one(before, side("a", noisy(2, 40)), NI).verdict == "pass"
    dropped = one(before, side("a", noisy(2, 40, -0.3)), NI)
    assert dropped.verdict == "fail"
    assert dropped.high is not None
    assert dropped.high < -0.1
    assert len(dropped.flips) > 30
    wide = one(side("b", noisy(1, 12, sd=0.5)), side("a", noisy(2, 12, sd=0.5)), NI)
    assert wide.verdict == "inconclusive"
    assert wide.decides_at is not None
    assert wide.decides_at > 12
    assert "about" in (wide.reason or "")


def test_the_same_runs_give_the_same_gate() -> None:
    """To the last digit, at the same moment."""
    before, after = side("b", noisy(1, 20)), side("a", noisy(2, 20))
    assert gate(before, after, NI) == gate(before, after, NI)
    assert gate(before, after, NI, seed=1) != gate(before, after, NI)


def test_less_is_better_where_the_score_or_the_policy_says_so() -> None:
    """A score that rises is then a drop."""
    before, after = side("b", noisy(1, 30)), side("a", noisy(1, 30, 0.5, sd=0.1))
    assert one(before, after, NI).verdict == "pass"
    assert one(before, after, {**NI, "direction": "lower"}).verdict == "fail"


def test_three_samples_are_inconclusive() -> None:
    """Whatever they say."""
    found = one(side("b", [1.0, 1.0, 1.0]), side("a", [0.0, 0.0, 0.0]), NI)
    assert found.verdict == "inconclusive"
    assert "3 cases are too few" in (found.reason or "")


def test_repetitions_of_a_case_are_one_case() -> None:
    """20 runs of one case are no 20 cases; nor are they of two repetitions with one number."""
    before = [member(f"b{i}", "c1", 1.0, repeat=i) for i in range(20)]
    after = [member(f"a{i}", "c1", 0.0, repeat=i) for i in range(20)]
    found = one(before, after, NI)
    assert (found.verdict, found.n_cases, found.n_runs) == ("inconclusive", 1, 40)
    twice = [*after, member("again", "c1", 0.0, repeat=3)]
    assert "repetition 3 of case c1 (candidate) is there twice: a3 and again" in (one(before, twice, NI).reason or "")


def test_cases_weigh_the_same_however_often_they_were_repeated() -> None:
    """One case of 10 runs does not outvote nine of one."""
    after = [member(f"r{i}", "c000", 0.0, repeat=i) for i in range(10)] + side("a", [1.0] * 10)[1:]
    found = one([], after, {"id": "x", "type": "threshold", "metric": "good", "min": 0.5})
    assert found.estimate == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("after", "verdict", "reason"),
    [
        (side("a", [1.0] * 6), "error", "cases without a counterpart: c005 only in the candidate"),
        ([member("a", None, 1.0)], "error", "the run a (candidate) has no case id"),
        ([*side("a", [1.0] * 4), member("z", "c004")], "error", "the run z has no score good"),
        ([*side("a", [1.0] * 4), member("z", "c004", score=odd("error", "raised E"))],
         "error", "good has no value for the run z: raised E"),
        ([*side("a", [1.0] * 4), member("z", "c004", score=odd("skipped", "withheld"))],
         "inconclusive", "good was skipped for the run z: withheld"),
        ([*side("a", [1.0] * 4), member("z", "c004", score=Score(name="good", label="yes", evaluator="judge"))],
         "error", "has a label (yes) and no value"),
        ([*side("a", [1.0] * 4), member("z", "c004", score=Score(name="good", value=1, evaluator="other"))],
         "inconclusive", "different evaluators: judge"),
        ([*side("a", [1.0] * 4), member("z", "c004", 1.0, score=Score(name="good", value=1, evaluator="other"))],
         "error", "several evaluators give good (judge, other)"),
        (side("a", [1.0] * 5, judge="f" * 64), "inconclusive", "two configurations of judge"),
        (side("b", [1.0] * 5), "error", "the run b-0 is on both sides"),
    ],
    ids=["unpaired", "no case", "no score", "scorer failed", "skipped", "label", "other evaluator", "two evaluators",
         "other judge", "both sides"],
)  # fmt: skip
def test_what_cannot_be_compared_is_said(after: list[Member], verdict: str, reason: str) -> None:
    """With the run, and never as a pass or a fail."""
    found = one(side("b", [1.0] * 5), after, NI)
    assert found.verdict == verdict
    assert reason in (found.reason or "")


def test_a_comparison_without_a_baseline_is_an_error_and_a_threshold_needs_none() -> None:
    """One says what is missing."""
    assert "none was given" in (one([], side("a", [1.0] * 5), NI).reason or "")
    check = {"id": "x", "type": "threshold", "metric": "good"}
    assert one([], side("a", [1.0] * 20), {**check, "min": 0.85}).verdict == "pass"
    assert one([], side("a", [1.0] * 20), {**check, "min": 0.9}).verdict == "inconclusive"
    assert one([], side("a", [0.0] * 20), {**check, "min": 0.9}).verdict == "fail"
    assert one([], side("a", [0.0] * 20), {**check, "max": 0.2}).verdict == "pass"
    assert one([], side("a", [1.0] * 20), {**check, "max": 0.2}).verdict == "fail"
    assert one([], side("a", noisy(1, 20)), {**check, "max": 0.9}).verdict == "pass"
    assert one([], side("a", noisy(1, 20)), {**check, "max": 0.5}).verdict == "fail"


def test_one_binary_repetition_is_judged_exactly() -> None:
    """Equal pairs pass as far as their number goes; a drop needs five pairs that all went one way."""
    same = one(side("b", [1.0] * 20), side("a", [1.0] * 20), {**NI, "margin": 0.15})
    assert (same.verdict, same.method) == ("pass", "score interval and exact McNemar test")
    few = one(side("b", [1.0] * 20), side("a", [1.0] * 20), {**NI, "margin": 0.05})
    assert (few.verdict, few.decides_at) == ("inconclusive", 52)
    fell = one(side("b", [1.0] * 20), side("a", [0.0] * 12 + [1.0] * 8), NI)
    assert fell.verdict == "fail"
    assert len(fell.flips) == 12


def test_a_binary_score_that_never_varies_is_bounded_by_the_number_of_runs() -> None:
    """4 repetitions of 5 cases are 20 looks."""
    before = [member(f"b{i}", f"c{i % 5}", 1.0, repeat=i // 5) for i in range(20)]
    after = [member(f"a{i}", f"c{i % 5}", 1.0, repeat=i // 5) for i in range(20)]
    found = one(before, after, {**NI, "margin": 0.15})
    assert (found.verdict, found.n_cases) == ("pass", 5)
    assert one(before, after, {**NI, "margin": 0.05}).verdict == "inconclusive"


def test_a_flaky_baseline_is_shown_apart_and_counted_all_the_same() -> None:
    """A case that passes sometimes, in three repetitions or more."""
    before = [member(f"b{i}", f"c{i % 5}", float(i != 2), repeat=i // 5) for i in range(20)]
    after = [member(f"a{i}", f"c{i % 5}", 1.0, repeat=i // 5) for i in range(20)]
    found = gate(before, after, NI)
    assert [(f.case_id, f.rate, f.runs) for f in found.flaky] == [("c2", 0.75, 4)]
    assert found.criteria[0].n_cases == 5


def test_a_ratio_holds_or_does_not() -> None:
    """With max or min; a zero in the baseline has no ratio, a negative number is an error."""
    check = {"id": "x", "type": "ratio", "metric": "good"}
    before = side("b", [10.0 + i for i in range(10)])
    assert one(before, side("a", [11.0 + i for i in range(10)]), {**check, "max": 1.2}).verdict == "pass"
    assert one(before, side("a", [20.0 + i for i in range(10)]), {**check, "max": 1.2}).verdict == "fail"
    assert one(before, side("a", [20.0 + i for i in range(10)]), {**check, "min": 1.2}).verdict == "pass"
    low = one(before, side("a", [5.0 + i for i in range(10)]), {**check, "min": 0.9})
    assert low.verdict == "fail"
    assert low.low is not None
    assert low.low < (low.estimate or 0) < (low.high or 0) < 0.9
    assert one(side("b", [0.0] * 6), side("a", [1.0] * 6), {**check, "max": 2}).verdict == "inconclusive"
    assert one(side("b", [-1.0] * 6), side("a", [1.0] * 6), {**check, "max": 2}).verdict == "error"


def test_an_invariant_fails_by_one_run_and_names_its_event() -> None:
    """A forbidden tool, a refusal, an error, a bad end, a score out of bounds; a pass says what it leaves open."""
    after = side("a", [1.0] * 20, calls=[call("find", 3)])
    rogue = [*after[:-1], member("rogue", "c019", 0.2, calls=[call("find", 3), call("delete", 7, decision="blocked")],
                                 status="error")]  # fmt: skip
    for settings, what in (
        ({"forbidden_tools": ["delete"]}, "delete was called"),
        ({"most_policy_blocks": 0}, "the policy refused delete"),
        ({"ended_ok": True}, "the run ended as error"),
        ({"metric": "good", "min": 0.5}, "good is 0.2"),
    ):
        check = {"id": "x", "type": "invariant", **settings}
        found = one([], rogue, check)
        assert (found.verdict, found.evidence[0].run_id, found.evidence[0].what) == ("fail", "rogue", what)
        kept = one([], after, check)
        assert kept.verdict == "pass"
        assert "up to 13.9% that break it" in (kept.reason or "")
    at = one([], rogue, {"id": "x", "type": "invariant", "forbidden_tools": ["delete"]}).evidence[0]
    assert (at.seq, at.span_id) == (7, f"{7:016x}")


def test_what_was_lost_may_have_broken_an_invariant() -> None:
    """So it is not said to hold, even where incomplete runs are allowed; a violation that is there counts."""
    check = {"id": "x", "type": "invariant", "forbidden_tools": ["delete"]}
    lossy = [member("a", "c1", complete=False)]
    assert one([], lossy, check, incomplete="allow").verdict == "inconclusive"
    refused = gate([], lossy, {"id": "t", "type": "threshold", "metric": "good", "min": 0})
    assert refused.criteria[0].name == "completeness"
    rogue = [member("a", "c1", complete=False, calls=[call("delete")])]
    assert gate([], rogue, check).verdict == "fail"


def test_a_trajectory_is_that_of_a_list_or_of_a_run_of_the_same_case() -> None:
    """Any run of the case will do; the first call that differs is named; a share of runs may be enough."""
    calls = [call("find", 3), call("pay", 5)]
    before = side("b", [1.0] * 6, calls=calls)
    check = {"id": "x", "type": "trajectory"}
    assert one(before, side("a", [1.0] * 6, calls=calls), check).verdict == "pass"
    odd = [*side("a", [1.0] * 5, calls=calls), member("odd", "c005", 1.0, calls=[call("pay", 2), call("find", 4)])]
    found = one(before, odd, check)
    assert (found.verdict, found.evidence[0].run_id, found.evidence[0].seq) == ("fail", "odd", 2)
    assert one(before, odd, {**check, "mode": "unordered"}).verdict == "pass"
    assert one([], odd, {**check, "expected": ["find", "pay"], "mode": "superset"}).verdict == "pass"
    assert one([], odd, {**check, "expected": ["find", "pay"]}).verdict == "fail"
    assert one(before, odd, {**check, "min_rate": 0.5}).verdict == "inconclusive"
    many = side("b", [1.0] * 30, calls=calls)
    share = one(many, side("a", [1.0] * 30, calls=calls), {**check, "min_rate": 0.8})
    assert (share.verdict, share.method) == ("pass", "exact binomial")


def test_arguments_under_another_key_cannot_be_compared() -> None:
    """Digests of two keys say nothing of one another; then the check is inconclusive, not failed."""
    before = side("b", [1.0] * 5, calls=[call("find", view={"q": "[REDACTED:personal]"})])
    check = {"id": "x", "type": "trajectory", "arguments": "exact"}
    after = side("a", [1.0] * 5, calls=[call("find", view={"q": "[REDACTED:personal]"}, digest="h2:x")])
    assert one(before, after, check).verdict == "fail"
    other = before[0].facts.index.redaction.model_copy(update={"key_id": "other"})
    after = side(
        "a", [1.0] * 5, calls=[call("find", view={"q": "[REDACTED:personal]"}, digest="h2:x")], redaction=other
    )
    assert one(before, after, check).verdict == "inconclusive"


def test_many_checks_fail_together_as_seldom_as_one() -> None:
    """Holm: of ten checks, one with p = 0.02 claims nothing; those that do not block are a family of their own."""
    before = side("b", [1.0] * 12)
    after = side("a", [0.0] * 6 + [1.0] * 6)  # p = 1/64
    ten = [{**NI, "id": f"x{i}", "margin": 0.0} for i in range(10)]
    assert one(before, after, ten[0]).verdict == "fail"
    assert {c.verdict for c in gate(before, after, *ten).criteria} == {"inconclusive"}
    apart = gate(before, after, ten[0], *({**check, "blocking": False} for check in ten[1:]))
    assert [c.verdict for c in apart.criteria[:2]] == ["fail", "inconclusive"]


def test_only_blocking_checks_decide_and_the_worst_of_them() -> None:
    """error, fail, inconclusive, pass."""
    before, after = side("b", noisy(1, 20)), side("a", noisy(1, 20, -0.5))
    failing, missing = {**NI, "id": "f"}, {**NI, "id": "e", "metric": "none"}
    assert gate(before, after, failing).verdict == "fail"
    assert gate(before, after, {**failing, "blocking": False}).verdict == "pass"
    assert gate(before, after, failing, missing).verdict == "error"


def test_a_waiver_covers_a_failure_until_its_day_is_over() -> None:
    """The failure is shown; an error cannot be waived."""
    before, after = side("b", noisy(1, 20)), side("a", noisy(1, 20, -0.5))
    waiver = {"check": "x", "by": "ada", "reason": "known", "expires": "2026-11-27"}
    found = gate(before, after, NI, waivers=[waiver])
    assert (found.verdict, found.criteria[0].verdict, found.criteria[0].waived) == ("pass", "fail", True)
    late = gate(before, after, NI, waivers=[{**waiver, "expires": "2026-11-26"}])
    assert (late.verdict, late.criteria[0].waived) == ("fail", False)
    assert "has expired on 2026-11-26" in late.notes[0]
    assert gate(before, after, {**NI, "metric": "none"}, waivers=[waiver]).verdict == "error"


def test_each_look_at_one_candidate_is_counted() -> None:
    """Other runs or another policy are a further look; the same again is none; another candidate begins anew."""
    before, policy = side("b", [1.0] * 5), PolicyRef(name="p", sha256="0" * 64)

    def made(prefix: str, ref: PolicyRef = policy, **of_index: Any) -> Gate:
        sides = Sides(before, side(prefix, [1.0] * 5, **of_index))
        return decide(Policy.model_validate({"checks": [NI]}), sides, ref=ref, now=NOW)

    first = made("a")
    assert counted(first, []) == (first.model_copy(update={"looks": 1}), False)
    assert counted(made("a"), [first])[0].looks == 1
    assert counted(made("a"), [first])[1] is True
    assert counted(made("fresh"), [first])[0].looks == 2
    assert counted(made("a", PolicyRef(name="p", sha256="1" * 64)), [first, made("fresh")])[0].looks == 3
    assert counted(made("new", name="other"), [first, made("fresh")])[0].looks == 1


@pytest.mark.parametrize(
    "check",
    [
        {"id": "x", "type": "threshold", "metric": "good", "min": 0.5},
        {"id": "x", "type": "ratio", "metric": "good", "max": 2},
        {"id": "x", "type": "ratio", "metric": "good", "min": 0.5},
        {"id": "x", "type": "invariant", "metric": "good", "min": 0.5},
        NI,
    ],
)
def test_a_score_too_large_to_calculate_with_is_an_error_of_its_check(check: dict[str, Any]) -> None:
    """Alone among others, on either side, and where several of one run cancel out; nothing is raised."""
    usual = [0.7 + i / 100 for i in range(20)]
    for huge in (1e308, 1e120):
        found = one(side("b", usual), side("a", [huge, *usual[1:]]), check)
        assert found.verdict == "error"
        assert found.reason == f"good of the run a-0 is {huge:g}, which is too large to calculate with"
    several = [member("z", "c000", 1e308, 1e308, -1e308, -1e308), *side("a", usual)[1:]]
    assert one(side("b", usual), several, check).verdict == "error"


def test_a_ratio_too_large_to_calculate_with_is_inconclusive() -> None:
    """As one to zero is: of a baseline that is nearly zero."""
    nearly, usual = side("b", [1e-319 * (i + 1) for i in range(20)]), side("a", [0.7 + i / 100 for i in range(20)])
    for before, after, limit in (
        (nearly, usual, {"max": 2}),
        (nearly, usual, {"min": 0.5}),
        (usual, nearly, {"min": 0.5}),
    ):
        found = one(before, after, {"id": "x", "type": "ratio", "metric": "good", **limit})
        assert found.verdict == "inconclusive"
        assert "nearly zero in a case" in (found.reason or "")


def test_a_run_is_not_compared_with_its_own_calls() -> None:
    """A trajectory that is expected of the baseline is that of other runs, as a score of its is."""
    runs = [member("r", "c1", 1.0, calls=[call("delete_account")])]
    found = one(runs, runs, {"id": "x", "type": "trajectory"})
    assert (found.verdict, found.reason) == ("error", "the run r is on both sides")
