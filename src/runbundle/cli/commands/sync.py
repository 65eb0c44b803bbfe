"""`runbundle sync`."""

import click

from runbundle.cli.options import format_option, open_store, read_store, reports_errors


@click.command("sync", epilog="Example: runbundle sync ./.runbundle s3://bucket/runs")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@format_option()
@reports_errors
def command(source: str, destination: str, format_: str) -> None:
    """Copy all runs of SRC that DST does not have; both are paths or URLs.

    Nothing in DST is overwritten or removed; see runbundle push --help. Runs that are not sealed are left, and copied
    by a later sync. Runs that are there already are not listed.

    Exit codes: 0 all sealed runs are there; 1 some clash with what is there, or hold what is no file and was left
    out; 4 some are damaged; 5 a store could not be used: do it again, what was sent is not sent again.
    """
    from runbundle.bundle.custody.transfer import copy_all, require_apart
    from runbundle.cli.commands.transfers import Progress, report

    progress = Progress()
    stores = read_store(source), open_store(destination)
    require_apart(*stores)
    results = copy_all(*stores, progress=progress)
    report(results, progress, format_, many=True)
