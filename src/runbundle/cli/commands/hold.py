"""`runbundle hold`: put a bundle on legal hold, or end the hold."""

import click

from runbundle.cli.options import format_option, open_store, print_json, reports_errors, run_argument, store_option
from runbundle.cli.printing import say
from runbundle.errors import ConfigError


@click.command("hold", epilog="Example: runbundle hold 7d1f0c6c --reason 'case 4711'")
@run_argument
@click.option("--reason", metavar="TEXT", help="Reason for the hold; it is stored in the bundle's folder.")
@click.option("--release", "let_go", is_flag=True, help="End the hold.")
@store_option
@format_option()
@reports_errors
def command(run: str, reason: str | None, let_go: bool, store_url: str, format_: str) -> None:
    """Put a bundle on legal hold, end the hold, or tell whether the bundle is on hold.

    runbundle gc does not remove a bundle on hold. RUN is a path, a run id, the beginning of a run id, or @last. The
    hold is an additional file, hold.json, so no sealed file changes.

    Exit codes: 0 done, or the bundle is on hold; 1 it is not on hold; 2 there is no such run, or no hold to end.
    """
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.bundle.custody import holds

    if let_go and reason is not None:
        raise ConfigError("--reason and --release exclude each other", hint="give one of them")
    store, key = resolve(open_store(store_url), run)
    if let_go:
        holds.release(store, key)
        found = None
    else:
        found = holds.hold(store, key, reason) if reason is not None else holds.hold_of(store, key)
    if format_ == "json":
        print_json({"run": key, "hold": found._asdict() if found else None})
    elif found:
        say(f"{key} is on hold since {found.since}: {found.reason}")
    else:
        say(f"{key} is not on hold.")
    raise click.exceptions.Exit(0 if found or let_go else 1)
