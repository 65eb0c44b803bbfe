"""What scorers and gates said of a run, for the page."""

from collections.abc import Iterator, Sequence
from typing import Any

from runbundle.bundle.custody.baselines import judgements_of
from runbundle.bundle.reader import Bundle
from runbundle.format.evaluation import Criterion, Gate, RunEvent, Scorecard
from runbundle.inspect.columns import SpanColumns
from runbundle.view.blocks import Block, code, heading, note, table

_MOST_GATES, _MOST_SHOWN, _MOST_SPANS = 10, 100, 5
_EVIDENCE = ("check", "run", "span", "event", "what")
_FLIPS = ("check", "case", "baseline", "candidate", "why", "run", "span", "event", "what")


def scores(bundle: Bundle, _columns: SpanColumns) -> list[Block]:
    """Return the scorecard of a run, and the gates that judged it: its own first, then those of named baselines."""
    card, gates, remarks = judgements_of(bundle)
    return [
        *({"warn": remark} for remark in remarks),
        *([_card(card)] if card is not None else
          [note(f"No scorecard: runbundle score {bundle.key} writes one.")]),
        *(block for gate in gates[:_MOST_GATES] for block in _gate(gate, bundle.index.run_id)),
        *([] if gates else [note("No gate judged this run.")]),
    ]  # fmt: skip


def _card(card: Scorecard) -> Block:
    rows = [
        (
            one.name, one.label if one.value is None else one.value, {"pill": one.status}, one.reason, one.evaluator,
            *(_span(at.span_id) for at in one.evidence[:_MOST_SPANS]),
        ) for one in card.scores
    ]  # fmt: skip
    widest = max((len(row) - 5 for row in rows), default=0)
    names = ("score", "value", "status", "why", "by", *(f"evidence {number}" for number in range(1, widest + 1)))
    return table("Scores", names, [(*row, *[None] * (5 + widest - len(row))) for row in rows])


def _gate(gate: Gate, run_id: str) -> Iterator[Block]:
    against = f" against {gate.baseline.name}, entry {gate.baseline.number}" if gate.baseline is not None else ""
    yield heading(f"Gate{against}", gate.verdict)
    yield table("Checks", ("check", "verdict", "why"), [
        (one.name + _weight(one), {"pill": one.verdict}, one.reason) for one in gate.criteria
    ])  # fmt: skip
    evidence = [(one.name, *_event(event, run_id)) for one in gate.criteria for event in one.evidence]
    flips = [
        (one.name, flip.case_id, flip.baseline, flip.candidate, event.code if event is not None else None,
         *(_event(event, run_id) if event is not None else (None, None, None, flip.note)))
        for one in gate.criteria for flip in one.flips for event in (flip.causes or [None])
    ]  # fmt: skip
    if evidence:
        yield from _some("Evidence", _EVIDENCE, evidence)
    if flips:
        yield from _some("Cases that came out differently", _FLIPS, flips)
    yield from (note(words) for words in gate.notes)


def _weight(check: Criterion) -> str:
    return " (waived)" if check.waived else "" if check.blocking else " (not blocking)"


def _event(event: RunEvent, run_id: str) -> tuple[Any, ...]:
    span = None
    if event.span_id is not None:
        span = _span(event.span_id) if event.run_id == run_id else code(event.span_id)
    return event.run_id, span, event.seq, event.what


def _span(span_id: str) -> dict[str, str]:
    return {"span": span_id, "text": span_id}


def _some(label: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[Block]:
    yield table(label, columns, rows[:_MOST_SHOWN])
    if len(rows) > _MOST_SHOWN:
        yield note(f"and {len(rows) - _MOST_SHOWN:,} more; runbundle show --scores lists them")
