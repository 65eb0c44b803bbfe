"""`runbundle recover`: seal runs that a killed process left in the spool."""

import os
from typing import TYPE_CHECKING, Any

import click

from runbundle.cli.options import format_option, open_store, print_json, reports_errors, store_flag, store_option
from runbundle.cli.printing import say
from runbundle.errors import ConfigError, KeyNotFound
from runbundle.settings import nearest

if TYPE_CHECKING:
    from pathlib import Path

    from runbundle.recording.recovery import Recovered

_OUTCOMES = {
    "recovered": "sealed as far as it was recorded",
    "alive": "a process is still writing it",
    "gone": "another process has just sealed it",
}


@click.command("recover", epilog="Example: runbundle recover --all")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--all", "everything", is_flag=True, help="Seal every run in the spool that no process is writing.")
@store_option
@format_option()
@reports_errors
def command(runs: tuple[str, ...], everything: bool, store_url: str, format_: str) -> None:
    """Seal runs that a killed process left in the spool.

    RUN is a run id, the beginning of one, or TENANT/ID. Spans that never ended become interrupted, and the bundle says
    that the run crashed.
    Runs that a process is still writing are left alone. --all also leaves parts of runs that began elsewhere. Records
    are redacted again before they are sealed: values that contracts kept stay, credentials do not.

    The command can be repeated, and run while other runs are recorded. The spool is RUNBUNDLE_SPOOL, else .spool in
    the store.

    Exit codes: 0 all runs were sealed, or there were none; 1 some were not sealed; 2 no such run.
    """
    from runbundle.cli.render import table
    from runbundle.journal.apart import take_apart
    from runbundle.journal.spool import spooled_runs
    from runbundle.recording.recovery import recover
    from runbundle.redaction.detectors.environment import register_environment
    from runbundle.store.locations import spool_of
    from runbundle.store.url import require_there

    if everything == bool(runs):
        raise ConfigError("recover takes ids of runs, or --all", hint="runbundle recover --all")
    register_environment(os.environ)
    store = open_store(store_url)
    spool = spool_of(store)
    if not spool.is_dir():
        require_there(store)
    damaged: OSError | None = None
    try:
        take_apart(spool)
    except OSError as error:  # said at the end: the others are recovered
        damaged = error
    known = {key.path: key for key in spooled_runs(spool)}
    chosen = list(known) if everything else list(dict.fromkeys(_named(list(known), run, spool) for run in runs))
    results = [recover(store, spool, known[run], parts=bool(runs)) for run in chosen]
    if format_ == "json":
        print_json({"runs": [_as_json(result) for result in results]})
    elif results:
        table(
            ["RUN", "OUTCOME", ""],
            [[r.run.path, r.outcome, r.note or _OUTCOMES[r.outcome]] for r in results],
            whole=(0,),
        )
        if any(result.key for result in results):
            first = next(result.key for result in results if result.key)
            say(f"next: runbundle verify {first}{store_flag(store_url)} says what is missing")
    else:
        say(f"Nothing to recover in {spool}.")
    if damaged is not None:
        raise damaged
    left = [r for r in results if r.outcome in ("failed", "part") or (r.outcome == "alive" and not everything)]
    raise click.exceptions.Exit(1 if left else 0)


def _named(known: list[str], run: str, spool: "Path") -> str:
    """Return the run of the spool that a name means: its key, its id, or the beginning of either."""
    ids = {key: key.rpartition("/")[2] for key in known}
    for found in (
        [key for key in known if key == run],
        [key for key in known if ids[key] == run],
        [key for key in known if run and (key.startswith(run) or ids[key].startswith(run))],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            raise KeyNotFound(
                f"{len(found)} runs in the spool go by {run}", hint="give more of it", lines=tuple(found[:10])
            )
    near = nearest(run, known)
    hint = f"did you mean {near}?" if near else f"it has {', '.join(known[:5]) or 'none'}"
    raise KeyNotFound(f"the spool {spool} has no run {run}", hint=hint)


def _as_json(result: "Recovered") -> dict[str, Any]:
    tenant = {"tenant_id": result.run.tenant_id} if result.run.tenant_id else {}
    return {"run_id": result.run.run_id, **tenant, "outcome": result.outcome, "key": result.key, "note": result.note}
