"""A scorer of the user runs apart: it may raise, hang, write, print or lie, and harms only its own score."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runbundle
from runbundle.bundle.evaluations import scorecard_of, write_evaluation
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.compare.scoring.builtin import PLAIN
from runbundle.compare.scoring.facts import facts_of
from runbundle.compare.scoring.running import ScorerProcess
from runbundle.compare.scoring.scorecard import scorecard
from runbundle.errors import ConfigError
from runbundle.format.evaluation import Scorecard
from tests.conftest import sealed
from tests.support.stores import contents

SCORERS = """
import os, sys, time
from pathlib import Path
from runbundle.format.evaluation import EventRef, Score

def number(bundle):
    return 0.5

def good(bundle):
    print("hello", flush=True)
    os.write(1, b"raw\\n")
    for event in bundle.events():
        if event["type"] == "score":
            yield Score(name="good", value=1, evidence=[EventRef(seq=event["seq"], span_id=event["span_id"])])
            yield {"name": "also", "label": "fine", "evidence": [event]}

good.version, good.kind, good.config, good.judge_model = "3", "llm_judge", {"t": 0}, "judge-1"

def raises(bundle):
    raise RuntimeError("sk-not-shown")

def hangs(bundle):
    time.sleep(60)

def dies(bundle):
    os._exit(3)

def nan(bundle):
    return float("nan")

def nothing(bundle):
    return []

def odd(bundle):
    return [object(), {"value": 1}, {"name": "x", "value": "many"}, {"name": "y"}]

def lies(bundle):
    return [{"name": "lies", "value": 1, "evidence": [{"seq": 99999, "span_id": "f" * 16}]}]

def puts(bundle):
    bundle.store.put(bundle.key + "/eval/gate.json", b"{}")

def deletes(bundle):
    bundle.store.delete(bundle.key + "/run.json")

def reaches(bundle):
    path = Path(bundle.store._store.root) / bundle.key / "events.jsonl"
    path.chmod(0o600)
    path.write_text("")
    return 1.0

def floods(bundle):
    return [{"name": "x" * 400, "label": "y" * 100000} for _ in range(2000)]

something = 5
"""


@pytest.fixture
def bundle(configured: Callable[..., runbundle.Handle], tmp_path: Path) -> Bundle:
    """Return a sealed run with a score, beside a module of scorers."""
    (tmp_path / "own_scorers.py").write_text(SCORERS)
    handle = configured()
    with runbundle.start_run("r", run_id="r-1", case_id="c") as run:
        run.score("helpful", 0.5, label="good")
        run.score("odd", float("nan"))
    return sealed(handle)


def by(name: str, bundle: Bundle, timeout_s: float = 30.0) -> list[tuple[str, Any, str, str]]:
    """Return name, value, status and reason of the scores that a scorer gives."""
    with ScorerProcess(f"own_scorers:{name}", timeout_s=timeout_s) as scorer:
        return [(score.name, score.value, score.status, score.reason or "") for score in scorer.scores(bundle)]


def test_each_fault_is_the_error_of_its_score(bundle: Bundle) -> None:
    """And the bundle is what it was; no message of the scorer's is repeated."""
    before = contents(bundle.store)
    expected = {
        "number": [("number", 0.5, "ok", "")],
        "good": [("good", 1.0, "ok", ""), ("also", None, "ok", "")] * 2,
        "raises": [("raises", None, "error", "raised RuntimeError")],
        "dies": [("dies", None, "error", "ended its process")],
        "nan": [("nan", None, "error", "its value is nan, which is no number")],
        "nothing": [("nothing", None, "error", "returned no score")],
        "lies": [("lies", None, "error", "names an event as evidence that the bundle does not have")],
        "puts": [("puts", None, "error", "raised StoreUnavailable")],
        "deletes": [("deletes", None, "error", "raised StoreUnavailable")],
        "reaches": [("reaches", None, "error", "changed its copy of the bundle, so its scores are not believed")],
    }
    assert {name: by(name, bundle) for name in expected} == expected
    assert [status for _, _, status, _ in by("odd", bundle)] == ["error"] * 4
    flood = by("floods", bundle)
    assert flood[-1][2:] == ("error", "returned more than 1000 scores")
    assert contents(bundle.store) == before
    assert verify(bundle.store, bundle.key).verdict == "verified"


def test_one_that_hangs_is_ended_and_serves_the_next_bundle_anew(bundle: Bundle) -> None:
    """Within its time."""
    assert by("hangs", bundle, 3.0) == [("hangs", None, "error", "gave no answer within 3 s")]
    with ScorerProcess("own_scorers:number") as scorer:
        scorer.close()
        assert [score.value for score in scorer.scores(bundle)] == [0.5]


@pytest.mark.parametrize(
    "name", ["own_scorers", "own_scorers:", "own_scorers:none", "no_module:x", "own_scorers:something"]
)
def test_one_that_cannot_be_loaded_is_a_mistake_of_the_command(bundle: Bundle, name: str) -> None:
    """With the reason."""
    with pytest.raises(ConfigError):
        ScorerProcess(name)


def test_a_scorecard_has_the_runs_own_scores_the_built_in_ones_and_those_of_others(bundle: Bundle) -> None:
    """It keeps what another scorer gave before, and verifies with its evidence."""
    with ScorerProcess("own_scorers:good") as scorer:
        others = [(scorer.evaluator, scorer.scores(bundle))]
    assert (others[0][0].version, others[0][0].kind, others[0][0].judge_model) == ("3", "llm_judge", "judge-1")
    facts = facts_of(bundle)

    def made(before: Scorecard | None) -> Scorecard:
        return scorecard(facts, PLAIN, others if before is None else (), before)

    write_evaluation(bundle.store, bundle.key, Scorecard, made)
    write_evaluation(bundle.store, bundle.key, Scorecard, made)
    card = scorecard_of(bundle.store, bundle.key)
    assert card is not None
    assert card.supersedes is None  # the same content
    named = {(score.evaluator, score.name): score for score in card.scores}
    assert named["signals", "helpful"].value == 0.5
    assert named["signals", "helpful"].evidence
    assert (named["signals", "odd"].status, named["signals", "odd"].value) == ("error", None)
    assert named["own_scorers:good", "good"].value == 1.0
    assert ("latency_s", "latency_s") in named
    assert verify(bundle.store, bundle.key).verdict == "verified"
