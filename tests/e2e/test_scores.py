"""What a run says of itself is in its scorecard, whoever said it, with the event that said it."""

from typing import Any

import orjson

import runbundle
from runbundle.bundle.verify import verify
from runbundle.compare.scoring.facts import facts_of
from tests.conftest import sealed


def test_scores_by_handle_event_log_and_openinference_are_one_kind(configured: Any) -> None:
    """Each with its value or label, and the event that it comes from."""
    handle = configured()
    with runbundle.start_run("r"):
        runbundle.current_run().score("helpful", 0.5, label="good")
        handle.logger_provider.get_logger("judge").emit(
            event_name="gen_ai.evaluation.result",
            attributes={"gen_ai.evaluation.name": "relevant", "gen_ai.evaluation.score.value": 0.75},
        )
        tracer = handle.tracer_provider.get_tracer("openinference.instrumentation.x")
        said = {
            "openinference.span.kind": "CHAIN",
            "evaluations.0.evaluation.name": "correct", "evaluations.0.evaluation.score": 1.0,
        }  # fmt: skip
        with tracer.start_as_current_span("chain", attributes=said):
            pass
    bundle = sealed(handle)
    assert verify(bundle.store, bundle.key).verdict == "verified"
    scores = {score.name: score for score in facts_of(bundle).signals}
    assert {name: score.value for name, score in scores.items()} == {"helpful": 0.5, "relevant": 0.75, "correct": 1.0}
    assert scores["helpful"].label == "good"
    lines = bundle.read("events.jsonl").splitlines()
    for name, score in scores.items():
        [ref] = score.evidence
        event = orjson.loads(lines[ref.seq])
        assert event["span_id"] == ref.span_id
        assert event["attributes"]["gen_ai.evaluation.name"] == name
