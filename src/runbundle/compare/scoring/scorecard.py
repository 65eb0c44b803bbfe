"""Putting a scorecard together: what the run recorded, what built-in scorers give, and what others gave before."""

from collections.abc import Iterable, Sequence

from runbundle.compare.scoring.builtin import PLAIN, Builtin, evaluator_of, score_of
from runbundle.compare.scoring.facts import SIGNALS, Facts
from runbundle.format.evaluation import Evaluator, Score, Scorecard

SIGNAL_EVALUATOR = Evaluator(id=SIGNALS, kind="signal")


def scorecard(
    facts: Facts,
    builtin: Sequence[Builtin] = PLAIN,
    others: Iterable[tuple[Evaluator, Sequence[Score]]] = (),
    before: Scorecard | None = None,
) -> Scorecard:
    """Return the scorecard of a run.

    `before`: the scorecard that is there. Its scores by other evaluators are kept if it is about the same run.json.
    """
    found: dict[str, tuple[Evaluator, list[Score]]] = {}
    if before is not None and before.subject.run_sha256 == facts.subject.run_sha256:
        for evaluator in before.evaluators:
            if evaluator.id == SIGNALS:
                continue  # the events say what was recorded; this file, which no seal covers, could say anything
            found[evaluator.id] = (evaluator, [score for score in before.scores if score.evaluator == evaluator.id])
    if facts.signals:
        found[SIGNALS] = (SIGNAL_EVALUATOR, list(facts.signals))
    for scorer in builtin:
        evaluator = evaluator_of(scorer)
        found[evaluator.id] = (evaluator, [score_of(scorer, facts)])
    for evaluator, scores in others:
        found[evaluator.id] = (evaluator, list(scores))
    ordered = [found[name] for name in sorted(found)]
    return Scorecard(
        subject=facts.subject,
        evaluators=[evaluator for evaluator, _ in ordered],
        scores=[score for _, scores in ordered for score in sorted(scores, key=lambda one: one.name)],
    )
