"""`runbundle pull`: copy a run from another store."""

import click

from runbundle.cli.options import format_option, open_store, reports_errors, run_argument, store_option


@click.command("pull", epilog="Example: runbundle pull 7d1f0c s3://bucket/runs --store ./.runbundle")
@run_argument
@click.argument("source", metavar="SRC")
@store_option
@format_option()
@reports_errors
def command(run: str, source: str, store_url: str, format_: str) -> None:
    """Copy a run from the store SRC, a path or URL, to this store.

    RUN is a run id in SRC, the beginning of a run id, or @last. No file of this store is overwritten; see runbundle
    push --help.

    Exit codes: 0 the run is here; 1 other files are here already, or an entry that is no regular file was left out; 2
    no such run; 3 the run is not sealed; 4 it is damaged; 5 a store could not be used. After 5 run the command again:
    files that were copied are not sent again.
    """
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.bundle.custody.transfer import copy, require_apart
    from runbundle.cli.commands.transfers import Progress, report

    target = open_store(store_url)
    found, key = resolve(open_store(source), run)
    require_apart(found, target)
    progress = Progress()
    report((copy(s, key, target, progress=progress) for s in [found]), progress, format_, many=False)
