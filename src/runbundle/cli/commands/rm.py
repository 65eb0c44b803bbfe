"""`runbundle rm`: remove runs by name."""

from typing import TYPE_CHECKING

import click

from runbundle.cli.confirming import confirm
from runbundle.cli.options import format_option, print_json, read_store, reports_errors, store_option
from runbundle.cli.printing import say

if TYPE_CHECKING:
    from runbundle.store import ArtifactStore


@click.command("rm", epilog="Example: runbundle rm 7d1f0c6c --dry-run")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Print the runs that would be removed, and remove none.")
@store_option
@format_option()
@reports_errors
def command(runs: tuple[str, ...], yes: bool, dry_run: bool, store_url: str, format_: str) -> None:
    """Remove the bundles of runs from a store.

    RUN is a run id, the beginning of an id, TENANT/ID, or @last. On a terminal rm asks before it removes; elsewhere it
    refuses without --yes. A bundle on hold is not removed. All names are looked up first: if one of them is wrong,
    nothing is removed.

    Only the bundle is removed. Raw content in the vault, run state, copies in other stores and what was sent to a
    backend stay.

    Exit codes: 0 removed; 1 a bundle is on hold; 2 no such run, or it could not ask; 130 the answer was no.
    """
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.bundle.custody.holds import hold_of
    from runbundle.bundle.custody.retention import remove
    from runbundle.cli.render import plural
    from runbundle.errors import ConfigError

    store = read_store(store_url)
    keys: list[str] = []
    for run in runs:
        at, key = resolve(store, run)
        if at.url != store.url:
            raise ConfigError(f"{run} lies in another store", hint=f"name that store: --store {at.url}")
        keys += [key] if key not in keys else []
    held = {key: hold for key in keys if (hold := hold_of(store, key)) is not None}
    going = [key for key in keys if key not in held]
    for key, hold in held.items():
        say(f"{key} is on hold since {hold.since}: {hold.reason}; runbundle hold {key} --release ends it", err=True)
    if going and not dry_run:
        for key in going:
            say(f"  {key}  {_about(store, key)}", err=True)
        confirm(f"Remove {plural(len(going), 'bundle')} from {store_url}?", yes=yes)
        removed = [key for key in going if remove(store, key)]
        held_since = [key for key in going if key not in removed]
    else:
        removed, held_since = going, []
    if format_ == "json":
        print_json({"dry_run": dry_run, "removed": removed, "held": [*held, *held_since]})
    else:
        for key in removed:
            say(f"{key}  {'would be removed' if dry_run else 'removed'}")
    raise click.exceptions.Exit(1 if held or held_since else 0)


def _about(store: "ArtifactStore", key: str) -> str:
    from runbundle.bundle.catalog.rows import read_row

    row = read_row(store, key)
    return "  ".join(part for part in (row.status or row.problem, row.name, row.started_at[:19]) if part)
