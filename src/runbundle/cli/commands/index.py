"""`runbundle index`: complete or rebuild the index of a store."""

import click

from runbundle.cli.options import format_option, print_json, read_store, reports_errors, store_option
from runbundle.cli.printing import say


@click.command("index", epilog="Example: runbundle index --rebuild --store ./.runbundle")
@click.option("--rebuild", is_flag=True, help="Discard the index and make it again from the bundles.")
@store_option
@format_option()
@reports_errors
def command(rebuild: bool, store_url: str, format_: str) -> None:
    """Complete or rebuild the index of a store.

    ls and @last read the index instead of all bundles. The index of a local store is a file in your cache folder
    (RUNBUNDLE_CACHE, else ~/.cache/runbundle); that of an object store is a few objects beside the bundles. It can be
    deleted without loss.

    Each seal adds its run to the index. Readers find runs that are not in it by listing the store; a local store is
    listed only if one of its folders has changed. This command reads every bundle, so it also finds new revisions
    that are not in the index. It is the only reader that writes the index of an object store.

    Exit codes: 0 done; 1 some bundles could not be read; 5 the store could not be read.
    """
    from runbundle.bundle.catalog.index import index_of
    from runbundle.bundle.search.filters import RunFilter
    from runbundle.cli.render import plural

    store = read_store(store_url)
    index = index_of(store, refresh=True, rebuild=rebuild, keep=True)
    try:
        runs, unsealed = index.count(RunFilter()), index.count(RunFilter(status="unsealed"))
        unreadable = runs - unsealed - index.count(RunFilter(sealed=True))
    finally:
        index.close()
    if format_ == "json":
        print_json({"runs": runs, "unsealed": unsealed, "unreadable": unreadable})
    else:
        bad = f", {unreadable} not readable: runbundle ls names them" if unreadable else ""
        say(f"{store.url}: {plural(runs, 'run')}, {unsealed} of them unsealed{bad}")
    raise click.exceptions.Exit(1 if unreadable else 0)
