"""`runbundle push`."""

import click

from runbundle.cli.options import format_option, open_store, reports_errors, run_argument, store_option


@click.command("push", epilog="Example: runbundle push @last s3://bucket/runs")
@run_argument
@click.argument("destination", metavar="DST")
@store_option
@format_option()
@reports_errors
def command(run: str, destination: str, store_url: str, format_: str) -> None:
    """Copy a run from this store to another, DST, a path or a URL.

    Files go first and run.json last, each is checked on its way, and nothing there is overwritten; only a newer
    revision takes the place of the run.json that it supersedes.

    Exit codes: 0 it is there; 1 it clashes with what is there, or something in it is no file and was left
    out; 2 no such run; 3 it is not sealed; 4 it is damaged; 5 a store could not be used: do it again, what was sent is
    not sent again.
    """
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.bundle.custody.transfer import copy, require_apart
    from runbundle.cli.commands.transfers import Progress, report

    target = open_store(destination)
    source, key = resolve(open_store(store_url), run)
    require_apart(source, target)
    progress = Progress()
    report((copy(s, key, target, progress=progress) for s in [source]), progress, format_, many=False)
