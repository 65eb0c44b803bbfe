"""What scorers and gates said of a run, as `runbundle show` prints it."""

from typing import TYPE_CHECKING

from runbundle.cli.printing import say

if TYPE_CHECKING:
    from runbundle.bundle.reader import Bundle
    from runbundle.format.evaluation import Gate, Scorecard

_NAMED = 6


def print_scores(bundle: "Bundle", *, as_json: bool) -> None:
    """Print the scorecard of a run, and the gates that judged it: its own, and those of named baselines."""
    from runbundle.bundle.custody.baselines import judgements_of
    from runbundle.bundle.evaluations import stamped
    from runbundle.cli.gate_text import print_gate
    from runbundle.cli.options import print_json

    card, gates, remarks = judgements_of(bundle)
    if as_json:
        said = stamped(card) if card is not None else None
        print_json({"scorecard": said, "gates": [stamped(gate) for gate in gates], "remarks": remarks})
        return
    for remark in remarks:
        say(f"WARNING   {remark}")
    if card is None:
        say("There is no scorecard: runbundle score writes one.")
    else:
        _print_card(card)
    if not gates:
        say("No gate judged this run.")
    for gate in gates:
        say()
        print_gate(gate)


def print_short(bundle: "Bundle", again: str) -> None:
    """Print a line about the scorecard and one about the gate, if they are there. `again`: the command for more."""
    from runbundle.format.layout import GATE, SCORECARD

    if not any(bundle.store.exists(f"{bundle.key}/{path}") for path in (SCORECARD, GATE)):
        return
    from runbundle.bundle.evaluations import evaluations_of

    found = evaluations_of(bundle)
    if found.scorecard is not None:
        say(f"scores    {_told(found.scorecard)}")
    if found.gate is not None:
        say(f"gate      {_judged(found.gate)}")
    for remark in found.remarks:
        say(f"WARNING   {remark}")
    say(f"          {again} --scores shows all")


def _print_card(card: "Scorecard") -> None:
    from runbundle.cli.commands.score import value_text
    from runbundle.cli.render import table

    rows = [
        [score.name, value_text(score), score.evaluator or "", ", ".join(ref.span_id for ref in score.evidence[:2]),
         score.reason or ""]
        for score in card.scores
    ]  # fmt: skip
    table(["SCORE", "VALUE", "BY", "SPANS", "WHY"], rows, right=(1,), whole=(0, 3), spare=(4,))


def _told(card: "Scorecard") -> str:
    from runbundle.cli.commands.score import value_text
    from runbundle.compare.scoring.facts import SIGNALS

    measured = [score for score in card.scores if score.status == "ok"]
    measured.sort(key=lambda score: score.evaluator != SIGNALS)  # those of the run itself first
    named = ", ".join(f"{score.name} {value_text(score)}" for score in measured[:_NAMED])
    more = f" and {len(measured) - _NAMED} more" if len(measured) > _NAMED else ""
    failed = sum(score.status == "error" for score in card.scores)
    return f"{named or 'none'}{more}{f'; {failed} could not be made' if failed else ''}"


def _judged(gate: "Gate") -> str:
    bad = [criterion.name for criterion in gate.criteria if criterion.verdict != "pass"]
    named = ", ".join(bad[:_NAMED])
    return f"{gate.verdict}: {named}" if bad else gate.verdict
