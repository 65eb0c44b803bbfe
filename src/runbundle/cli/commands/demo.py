"""`runbundle demo`: record an offline agent and verify its bundle."""

from typing import TYPE_CHECKING

import click

from runbundle.cli.options import format_option, open_store, print_json, reports_errors, store_flag, store_option
from runbundle.cli.printing import say

if TYPE_CHECKING:
    from runbundle.store import ArtifactStore


@click.command("demo", epilog="Example: runbundle demo --store /tmp/runs")
@store_option
@format_option()
@reports_errors
def command(store_url: str, format_: str) -> None:
    """Run a small offline agent, seal its bundle, and verify it. It needs no key and no network.

    Exit codes: those of runbundle verify.
    """
    from runbundle.bundle.verify import verify
    from runbundle.cli.commands.verify import exit_code, print_report
    from runbundle.cli.demo_agent import record
    from runbundle.errors import StoreUnavailable

    store = open_store(store_url)
    flushed = record(store)
    if not flushed.sealed:
        reason = next(iter(flushed.failed.values()), "the run was not recorded")
        raise StoreUnavailable(f"the demo's run was not sealed: {reason}")
    key = flushed.sealed[-1]
    report = verify(store, key)
    place = f"{store.url.removeprefix('file://')}/{key}"
    if format_ == "json":
        print_json({"bundle": place, "run_id": report.run_id, "verdict": report.verdict})
    else:
        say(f"A support agent has run. Its bundle: {place}")
        say()
        _print_files(store, key)
        say()
        print_report(report)
        say("next: runbundle show @last" + store_flag(store_url))
    raise click.exceptions.Exit(exit_code(report))


def _print_files(store: "ArtifactStore", key: str) -> None:
    from runbundle.cli.render import size
    from runbundle.format.layout import file_at

    for path in store.list(f"{key}/"):
        name = path[len(key) + 1 :]
        file = file_at(name)
        say(f"  {name:<22} {size(store.size(path)):>9}  {file.what if file else ''}".rstrip())
