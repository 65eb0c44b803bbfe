"""Runs as a gate sees them, made without a bundle."""

from collections.abc import Sequence
from typing import Any

from runbundle.compare.gating.sets import Member
from runbundle.compare.scoring.facts import Call, Facts
from runbundle.format.canonical import sha256_hex
from runbundle.format.evaluation import Evaluator, EventRef, Score, Scorecard, Subject
from runbundle.format.run import RunIndex
from tests.support.handmade import files, index

INDEX = RunIndex.model_validate(index(files()))


def call(tool: str, seq: int = 1, **more: Any) -> Call:
    """Return a tool call."""
    said = {"status": "unset", "decision": "allowed", "digest": f"h2:{tool}", "comparable": True, **more}
    return Call(tool, EventRef(seq=seq, span_id=f"{seq:016x}"), **said)


def member(
    run: str,
    case: str | None,
    *values: float | None,
    repeat: int | None = None,
    calls: Sequence[Call] = (),
    score: Score | None = None,
    complete: bool = True,
    judge: str | None = None,
    **of_index: Any,
) -> Member:
    """Return a run with a score `good`, or several of them."""
    subject = Subject(run_id=run, run_sha256=sha256_hex(run.encode()), case_id=case, repeat=repeat)
    scores = [Score(name="good", value=value, evaluator="judge") for value in values]
    scores += [score] if score else []
    card = Scorecard(
        subject=subject, evaluators=[Evaluator(id="judge", kind="llm_judge", config_sha256=judge)], scores=scores
    )
    facts = Facts(subject, INDEX.model_copy(update={"run_id": run, "case_id": case, **of_index}), tuple(calls))
    return Member(facts, card, complete)


def side(prefix: str, values: Sequence[float], **more: Any) -> list[Member]:
    """Return one run a case."""
    return [member(f"{prefix}-{i}", f"c{i:03}", value, **more) for i, value in enumerate(values)]
