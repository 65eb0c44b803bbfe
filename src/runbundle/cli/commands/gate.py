"""`runbundle gate`: decide whether a candidate may pass."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runbundle.cli.options import format_option, print_json, read_store, reports_errors, store_option
from runbundle.cli.printing import say
from runbundle.cli.run_sets import find_runs
from runbundle.errors import MalformedBundle, NotSealed

if TYPE_CHECKING:
    from runbundle.compare.gating.loading import Loaded
    from runbundle.compare.gating.made import Runs
    from runbundle.format.evaluation import Gate

_EXITS = {"pass": 0, "fail": 1, "inconclusive": 3, "error": 5}


@click.command("gate", epilog="Example: runbundle gate --policy gate.yaml --baseline main --candidate 'pr-17-*'")
@click.option("--policy", "policy_path", metavar="FILE", required=True, help="The policy, in YAML or JSON.")
@click.option("--baseline", "before", metavar="NAME|RUN", multiple=True,
              help="A baseline (see runbundle baseline), or runs. May be given again.")  # fmt: skip
@click.option("--candidate", "after", metavar="RUN", multiple=True, required=True,
              help="Runs of the candidate. May be given again.")  # fmt: skip
@click.option("--no-write", is_flag=True, help="Store no gate, and count no look.")
@store_option
@format_option("junit", "github", "markdown")
@reports_errors
def command(
    policy_path: str, before: tuple[str, ...], after: tuple[str, ...], no_write: bool, store_url: str, format_: str
) -> None:
    """Decide whether a candidate may pass: by its own runs, and against the runs of a baseline.

    A run is named as for runbundle score. All runs are verified first. Runs are paired by the id of their case
    (start_run(case_id=...)), and repetitions of a case count as one case, by their mean. The page docs/gates.md
    explains the policy and the verdicts.

    The gate over one run is written beside its sealed files, as eval/gate.json. Gates against a named baseline are kept
    beside that, and count how often the same candidate was looked at. Other gates are only printed.

    Exit codes: 0 pass; 1 fail; 2 usage, or a mistake in the policy; 3 inconclusive, or a run is not sealed; 4 a run or
    the baseline does not verify; 5 a check could not be made, as with unpaired cases.
    """
    from runbundle.compare.gating.loading import load_policy
    from runbundle.compare.gating.made import is_unsound, make_gate, named_baseline, unsound_gate

    loaded = load_policy(policy_path)
    store = read_store(store_url)
    new = find_runs(store, after)
    try:
        kept = named_baseline(store, before[0]) if len(before) == 1 else None
        old = [] if kept else find_runs(store, before)
        gate = make_gate(loaded, store, kept or old, new, write=not no_write)
    except NotSealed as error:
        say(f"error: {error.message}", err=True)
        raise click.exceptions.Exit(3) from None
    except MalformedBundle as error:
        gate, old = unsound_gate(error, loaded), []
    _print(gate, format_, policy_path, loaded, (_place(old, store_url), _place(new, store_url)))
    raise click.exceptions.Exit(4 if is_unsound(gate) else _EXITS[gate.verdict])


def _place(runs: "Runs", store_url: str) -> str:
    """Return the URL of the store in which the runs are, as a command takes it."""
    found = {store.url for store, _ in runs}
    return store_url if not found or found == {read_store(store_url).url} else found.pop()


def _print(gate: "Gate", format_: str, policy_path: str, loaded: "Loaded", stores: tuple[str, str]) -> None:
    from runbundle.cli import gate_text

    if format_ == "json":
        print_json(gate.model_dump(mode="json", by_alias=True, exclude_none=True))
    elif format_ == "junit":
        click.echo(gate_text.junit(gate), nl=False)
    elif format_ == "markdown":
        click.echo(gate_text.markdown(gate), nl=False)
    elif format_ == "github":
        for line in gate_text.annotations(gate, policy_path, loaded.lines):
            click.echo(line)
        say(f"gate {gate.verdict}: {gate_text.sides_text(gate)}")
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(gate_text.markdown(gate))
    else:
        gate_text.print_human(gate, stores)
