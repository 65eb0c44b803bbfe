"""A case that flipped is said with the runs that show it, and with what `diff` says of them; few are compared."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.compare.gating import flips
from runbundle.compare.gating.checks import Sides
from runbundle.compare.gating.decide import decide
from runbundle.compare.gating.policy import Policy
from runbundle.compare.gating.sets import Member
from runbundle.compare.scoring.facts import facts_of
from runbundle.compare.scoring.scorecard import scorecard
from runbundle.format.evaluation import Flip, Gate
from tests.support.members import member
from tests.support.planted import Planted, run

Recorded = Callable[..., Member]
POLICY = Policy.model_validate({"checks": [{"id": "x", "type": "non_inferiority", "metric": "good", "margin": 0.1}]})


@pytest.fixture
def recorded(configured: Callable[..., runbundle.Handle]) -> Iterator[Recorded]:
    """Record a run, and return it as a gate sees it, with a score."""
    handle = configured()

    def record(name: str, case: str, good: float, planted: Planted | None = None, repeat: int = 0) -> Member:
        run(name, planted or Planted())
        assert not handle.flush().failed
        bundle = Bundle.open(handle.store, name)
        facts = facts_of(bundle)
        subject = facts.subject.model_copy(update={"case_id": case, "repeat": repeat})
        made = member(name, case, good, repeat=repeat)
        card = scorecard(facts, [], before=made.card.model_copy(update={"subject": facts.subject}))
        return Member(replace(facts, subject=subject), card, bundle=bundle)

    yield record
    handle.shutdown()


def gate(before: list[Member], after: list[Member]) -> Gate:
    """Decide by the one check."""
    return decide(POLICY, Sides(before, after))


def only(before: list[Member], after: list[Member]) -> Flip:
    """Return the one case that flipped."""
    [flip] = gate(before, after).criteria[-1].flips
    return flip


def test_a_flip_names_the_step_that_diff_names(recorded: Recorded) -> None:
    """The coded cause at its span and event; upstream causes before it."""
    base = recorded("a", "c", 1.0)
    changed = recorded("b", "c", 0.0, Planted(temperature=1, order="B-2002"))
    found = only([base], [changed])
    assert (found.case_id, found.baseline, found.candidate) == ("c", 1.0, 0.0)
    assert [cause.code for cause in found.causes] == ["RB601", "RB608"]
    step = found.causes[1]
    assert step.run_id == "b"
    assert step.what.startswith("the agent chose otherwise: it gave tool find_order other arguments")
    event = next(event for event in changed.bundle.events() if event["seq"] == step.seq) if changed.bundle else {}
    assert (event["span_id"], event["name"]) == (step.span_id, "execute_tool find_order")
    assert found.note is None
    gone = only([base], [recorded("d", "c", 0.0, Planted(without=(1,)))]).causes
    assert [(cause.code, cause.run_id) for cause in gone] == [("RB608", "a")]


def test_the_runs_that_show_a_flip_best_are_compared(recorded: Recorded) -> None:
    """Of a case that got worse a good one and a bad one, of one repetition if there are such."""
    before = [recorded(f"a{n}", "c", 0.9 - 0.5 * (n == 0), repeat=n) for n in range(3)]
    after = [recorded(f"b{n}", "c", 0.1 + 0.5 * (n == 0), repeat=n) for n in range(3)]
    found = only(before, after)
    assert (found.baseline_run, found.candidate_run) == ("a1", "b1")
    up = only(after[1:], before[1:])
    assert (up.baseline_run, up.candidate_run) == ("b1", "a1")
    assert up.causes == []
    assert up.note == "no step of the two runs differs"


def test_few_pairs_are_compared_and_the_rest_is_counted(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pair once, whichever checks it flips; over the number or the bytes it is said."""
    before = [recorded(f"a{n}", f"c{n}", 1.0) for n in range(3)]
    after = [recorded(f"b{n}", f"c{n}", 0.0, Planted(order="B-1")) for n in range(3)]
    monkeypatch.setattr(flips, "_MOST_COMPARED", 2)
    found = gate(before, after)
    assert [bool(flip.causes) for flip in found.criteria[0].flips] == [True, True, False]
    assert found.criteria[0].flips[2].note == "not compared: there are too many"
    assert found.notes == ["cases flipped in 1 more pair of runs, which were not compared; runbundle diff does it"]
    monkeypatch.setattr(flips, "_MOST_BYTES", 1000)
    assert not any(flip.causes for flip in gate(before, after).criteria[0].flips)


def test_runs_that_cannot_be_compared_are_not(recorded: Recorded) -> None:
    """Lossy ones, or without their bundle: the reason stands in the place of a cause."""
    base, bad = recorded("a", "c", 1.0), recorded("b", "c", 0.0)
    lossy = only([base], [bad._replace(complete=False)])
    assert lossy.note == "not compared: steps that are missing would look like a difference"
    assert only([base], [bad._replace(bundle=None)]).note == "not compared: there are no bundles"
