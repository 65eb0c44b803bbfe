"""`runbundle score`: score sealed runs."""

import contextlib
from functools import partial
from typing import TYPE_CHECKING

import click

from runbundle.cli.options import format_option, print_json, read_store, reports_errors, store_option
from runbundle.cli.printing import say
from runbundle.cli.run_sets import checked_runs, find_runs

if TYPE_CHECKING:
    from runbundle.format.evaluation import Score, Scorecard


@click.command("score", epilog="Example: runbundle score @last --scorers mypackage.scorers:helpful")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--scorers", "names", metavar="MODULE:NAME", multiple=True,
    help="A scorer of your own: a function of a bundle that returns scores. May be given again.",
)  # fmt: skip
@click.option("--policy", "policy_path", metavar="FILE", help="Also run the built-in scorers that this policy sets up.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0.1), default=60.0, metavar="SECONDS",
              show_default=True, help="For each scorer and run.")  # fmt: skip
@store_option
@format_option()
@reports_errors
def command(
    runs: tuple[str, ...], names: tuple[str, ...], policy_path: str | None, timeout_s: float, store_url: str,
    format_: str,
) -> None:  # fmt: skip
    """Score runs, and write eval/scorecard.json beside their sealed files.

    A scorecard has the scores that the run recorded itself, those of the built-in scorers, and those of the scorers
    that are named. Scores that other scorers gave the same run before are kept. The earlier scorecard is kept under
    eval/earlier/. RUN is a path, a run id, the beginning of a run id, @last, a pattern such as 'nightly-*', or the
    folder or URL of a store.

    A scorer of your own runs in a process of its own, on a copy of the bundle. One that raises, or gives no answer in
    time, is an error of that score, and the others are made. The process is no sandbox: run only code that you trust.

    Exit codes: 0 scored; 1 a scorer failed; 2 no such run or scorer; 3 a run is not sealed; 4 a run does not verify.
    """
    from runbundle.bundle.evaluations import write_evaluation
    from runbundle.compare.gating.loading import load_policy
    from runbundle.compare.gating.made import Unsound
    from runbundle.compare.scoring.builtin import PLAIN
    from runbundle.compare.scoring.facts import facts_of
    from runbundle.compare.scoring.running import ScorerProcess
    from runbundle.compare.scoring.scorecard import scorecard
    from runbundle.format.evaluation import Scorecard

    builtin = list(load_policy(policy_path).policy.each_scorer()) if policy_path else list(PLAIN)
    cards: list[tuple[str, Scorecard]] = []
    try:
        checked = checked_runs(find_runs(read_store(store_url), runs))
        with contextlib.ExitStack() as held:
            own: list[ScorerProcess] = [held.enter_context(ScorerProcess(n, timeout_s=timeout_s)) for n in names]
            for bundle, _ in checked:
                facts = facts_of(bundle)
                others = [(scorer.evaluator, scorer.scores(bundle)) for scorer in own]
                checked_runs([(bundle.store, bundle.key)])  # no scorer has reached it some other way
                make = partial(scorecard, facts, builtin, others)
                cards.append((bundle.key, write_evaluation(bundle.store, bundle.key, Scorecard, make)))
    except Unsound as error:
        for key, text in error.problems:
            say(f"error: {key} does not verify: {text}", err=True)
        raise click.exceptions.Exit(4) from None
    if format_ == "json":
        print_json(
            {"scorecards": [card.model_dump(mode="json", by_alias=True, exclude_none=True) for _, card in cards]}
        )
    else:
        for key, card in cards:
            _print(key, card)
    failed = any(score.status == "error" for _, card in cards for score in card.scores)
    raise click.exceptions.Exit(1 if failed else 0)


def _print(key: str, card: "Scorecard") -> None:
    from runbundle.cli.render import table

    say(key)
    rows = [[score.name, value_text(score), score.evaluator or "", score.reason or ""] for score in card.scores]
    if rows:
        table(["  SCORE", "VALUE", "BY", ""], [[f"  {row[0]}", *row[1:]] for row in rows], right=(1,))


def value_text(score: "Score") -> str:
    """Return the value of a score for people: the number, the label, or why there is none."""
    if score.status != "ok":
        return score.status
    shown = "" if score.value is None else f"{score.value:.4g}"
    return f"{shown} {score.label}".strip() if score.label else shown
