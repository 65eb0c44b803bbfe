"""A scorecard keeps what others gave, and takes what a run recorded from its events alone."""

from runbundle.compare.scoring.scorecard import SIGNAL_EVALUATOR, scorecard
from runbundle.format.evaluation import Evaluator, Score, Scorecard
from tests.support.members import member


def test_a_scorecard_adds_nothing_to_what_a_run_recorded() -> None:
    """A file beside the seal says that a run recorded a score, and no event of it does; a judge's score is kept."""
    facts = member("r", "c1").facts
    judge = Evaluator(id="judge:good", kind="llm_judge")
    kept = Score(name="good", value=0.5, evaluator=judge.id)
    forged = Score(name="honest", value=1.0, evaluator=SIGNAL_EVALUATOR.id)
    before = Scorecard(subject=facts.subject, evaluators=[judge, SIGNAL_EVALUATOR], scores=[kept, forged])
    found = scorecard(facts, before=before, builtin=())
    assert (found.evaluators, found.scores) == ([judge], [kept])
