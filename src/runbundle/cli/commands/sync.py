"""`runbundle sync`: copy all runs of a store to another."""

import click

from runbundle.cli.options import format_option, open_store, read_store, reports_errors


@click.command("sync", epilog="Example: runbundle sync ./.runbundle s3://bucket/runs")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@format_option()
@reports_errors
def command(source: str, destination: str, format_: str) -> None:
    """Copy all runs from the store SRC to the store DST that DST does not have yet; both are paths or URLs.

    No file of DST is overwritten or removed; see runbundle push --help. Runs that are not sealed are skipped; a later
    sync copies them. Runs that DST has already are not listed. Baselines are copied after their runs, with their gates.

    Exit codes: 0 all sealed runs are in DST; 1 for some runs other files are there already, or an entry that is no
    regular file was left out; 4 some runs are damaged; 5 a store could not be used. After 5 run the command again:
    files that were copied are not sent again.
    """
    from runbundle.bundle.custody.carrying import carry_all
    from runbundle.bundle.custody.transfer import copy_all, require_apart
    from runbundle.cli.commands.transfers import Progress, report

    progress = Progress()
    stores = read_store(source), open_store(destination)
    require_apart(*stores)
    results = copy_all(*stores, progress=progress)
    report(results, progress, format_, many=True, carried=carry_all(*stores))
