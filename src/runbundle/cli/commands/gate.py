"""`runbundle gate`: decide whether a candidate may pass."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runbundle.cli.options import format_option, print_json, read_store, reports_errors, store_option
from runbundle.cli.printing import say
from runbundle.cli.run_sets import Checked, Unsound, baseline_runs, find_runs, open_checked
from runbundle.errors import MalformedBundle, StoreUnavailable

if TYPE_CHECKING:
    from runbundle.bundle.custody.baselines import Kept
    from runbundle.compare.gating.loading import Loaded
    from runbundle.compare.gating.sets import Member
    from runbundle.format.evaluation import BaselineRef, Gate
    from runbundle.store import ArtifactStore

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

    loaded = load_policy(policy_path)
    store = read_store(store_url)
    try:
        kept = _named(store, before)
        runs = baseline_runs(store, kept) if kept else find_runs(store, before)
        old = open_checked(runs)
        new = open_checked(find_runs(store, after))
    except (Unsound, MalformedBundle) as error:
        gate = _unsound(error, loaded)
        _print(gate, format_, policy_path, loaded, (store_url, store_url))
        raise click.exceptions.Exit(4) from None
    gate = _decided(loaded, old, new, kept.ref if kept else None)
    gate = _kept(store, gate, kept, new, write=not no_write)
    _print(gate, format_, policy_path, loaded, (_place(old, store_url), _place(new, store_url)))
    raise click.exceptions.Exit(_EXITS[gate.verdict])


def _named(store: "ArtifactStore", before: tuple[str, ...]) -> "Kept | None":
    """Return the last entry of the baseline that is named, or None if runs are named."""
    from runbundle.bundle.custody import baselines

    if len(before) != 1:
        return None
    try:
        known = baselines.names(store)
    except StoreUnavailable:
        return None
    return baselines.latest(store, before[0]) if before[0] in known else None


def _decided(loaded: "Loaded", old: list[Checked], new: list[Checked], ref: "BaselineRef | None") -> "Gate":
    from runbundle.compare.gating.checks import Sides
    from runbundle.compare.gating.decide import decide

    sides = Sides([_member(one, loaded) for one in old], [_member(one, loaded) for one in new])
    return decide(loaded.policy, sides, ref=loaded.ref, baseline=ref)


def _member(one: Checked, loaded: "Loaded") -> "Member":
    from runbundle.bundle.evaluations import scorecard_of
    from runbundle.compare.gating.sets import Member
    from runbundle.compare.scoring.facts import facts_of
    from runbundle.compare.scoring.scorecard import scorecard

    facts = facts_of(one.bundle)
    stored = scorecard_of(one.bundle.store, one.bundle.key)
    card = scorecard(facts, list(loaded.policy.each_scorer()), before=stored)
    return Member(facts, card, complete=one.report.verdict == "verified", bundle=one.bundle)


def _kept(store: "ArtifactStore", gate: "Gate", kept: "Kept | None", new: list[Checked], *, write: bool) -> "Gate":
    """Count the looks and store the gate where it belongs; return it with its count."""
    from runbundle.bundle.custody import baselines
    from runbundle.bundle.evaluations import write_evaluation
    from runbundle.compare.gating.looks import counted
    from runbundle.format.evaluation import Gate

    if kept is None:
        gate = gate.model_copy(
            update={"notes": [*gate.notes, "looks were not counted: only a named baseline counts them"]}
        )
    else:
        earlier = [found for _, found in baselines.gates(store, kept.entry.name)]
        gate, known = counted(gate, earlier)
        if write and not known:
            baselines.keep_gate(store, kept.entry.name, gate)
    if write and len(new) == 1:
        bundle = new[0].bundle
        write_evaluation(bundle.store, bundle.key, Gate, lambda _: gate)
    return gate


def _unsound(error: Unsound | MalformedBundle, loaded: "Loaded") -> "Gate":
    from runbundle.format.evaluation import Criterion, Gate, RunEvent

    problems = error.problems if isinstance(error, Unsound) else [(error.file, error.message)]
    events = [RunEvent(run_id=key, what=text) for key, text in problems]
    reason = f"{len(events)} of the bundles or baselines do not verify, so nothing was compared"
    criterion = Criterion(name="integrity", verdict="error", reason=reason, evidence=events[:100])
    return Gate(subjects=[], verdict="error", criteria=[criterion], policy=loaded.ref)


def _place(runs: list[Checked], store_url: str) -> str:
    """Return the URL of the store in which the runs are, as a command takes it."""
    found = {one.bundle.store.url for one in runs}
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
