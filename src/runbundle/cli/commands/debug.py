"""`runbundle debug`: read or remove the raw content that debug mode kept."""

from typing import Any

import click

from runbundle.cli.options import format_option, open_store, print_json, reports_errors, run_argument, store_option
from runbundle.cli.printing import say
from runbundle.errors import MalformedBundle


@click.group("debug", epilog="Example: runbundle debug show @last")
def command() -> None:
    """Read or remove the raw content that debug mode kept in its encrypted vault."""


@command.command("show", epilog="Example: RUNBUNDLE_VAULT_KEY_FILE=vault.key runbundle debug show @last --span 6a2a")
@run_argument
@click.option("--span", "span_id", default="", metavar="ID", help="Show only spans whose id begins with this.")
@store_option
@format_option()
@reports_errors
def show(run: str, span_id: str, store_url: str, format_: str) -> None:
    """Print the raw content of a run: prompts, outputs and payloads.

    RUNBUNDLE_VAULT_KEY or RUNBUNDLE_VAULT_KEY_FILE must give the key of the vault. Consider who can see your terminal
    and its history.

    Exit codes: 0 done; 2 no such run, or no key; 4 the vault was altered, is cut off or has another key. What can be
    read is printed then, too.
    """
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.format.identity import RunKey
    from runbundle.store.locations import vault_of
    from runbundle.vault.files import read_vault, vault_key

    store = open_store(store_url)
    _, key = resolve(store, run)
    tenant_id, _, run_id = key.rpartition("/")
    whose = RunKey(tenant_id, run_id)
    entries: list[dict[str, Any]] = []
    damage: MalformedBundle | None = None
    try:
        read = read_vault(vault_of(store), whose, vault_key())
        entries.extend(entry for entry in read if entry["span_id"].startswith(span_id))  # up to the damage
    except MalformedBundle as error:
        damage = error
    if format_ == "json":
        if entries or damage is None:
            print_json({"run_id": run_id, "tenant_id": tenant_id, "spans": entries})
    else:
        for entry in entries:
            say(f"{entry['span_id']}  {entry['name']}")
            for key, value in sorted(entry["attributes"].items()):
                say(f"  {key}: {value}")
    if damage is not None:
        say(f"error: {damage}", err=True)
        raise click.exceptions.Exit(4)


@command.command("purge", epilog="Example: runbundle debug purge --all")
@click.option("--all", "everything", is_flag=True, help="Also remove content that has not expired.")
@store_option
@reports_errors
def purge_(everything: bool, store_url: str) -> None:
    """Remove expired content from the vault. Each start of a program in debug mode does the same."""
    from runbundle.store.locations import vault_of
    from runbundle.vault.files import purge

    root = vault_of(open_store(store_url))
    removed = purge(root, everything=everything)
    say(f"{len(removed)} run{'' if len(removed) == 1 else 's'} removed from {root}")
