"""`runbundle push`: copy a run to another store."""

import click

from runbundle.cli.options import format_option, open_store, reports_errors, run_argument, store_option


@click.command("push", epilog="Example: runbundle push @last s3://bucket/runs")
@run_argument
@click.argument("destination", metavar="DST")
@store_option
@format_option()
@reports_errors
def command(run: str, destination: str, store_url: str, format_: str) -> None:
    """Copy a run from this store to the store DST, a path or URL.

    Each file is checked against its digest, and run.json is copied last. No file of DST is overwritten, except that
    the run.json of a newer revision replaces that of the revision before.

    Exit codes: 0 the run is in DST; 1 other files are there already, or an entry that is no regular file was left out;
    2 no such run; 3 the run is not sealed; 4 it is damaged; 5 a store could not be used. After 5 run the command
    again: files that were copied are not sent again.
    """
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.bundle.custody.transfer import copy, require_apart
    from runbundle.cli.commands.transfers import Progress, report

    target = open_store(destination)
    source, key = resolve(open_store(store_url), run)
    require_apart(source, target)
    progress = Progress()
    report((copy(s, key, target, progress=progress) for s in [source]), progress, format_, many=False)
