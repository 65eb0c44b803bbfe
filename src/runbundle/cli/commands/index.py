"""`runbundle index`."""

import click

from runbundle.cli.options import format_option, print_json, read_store, reports_errors, store_option
from runbundle.cli.printing import say


@click.command("index", epilog="Example: runbundle index --rebuild --store ./.runbundle")
@click.option("--rebuild", is_flag=True, help="Forget the index and make it again from the bundles.")
@store_option
@format_option()
@reports_errors
def command(rebuild: bool, store_url: str, format_: str) -> None:
    """Complete the index of a store, or make it again.

    The index is what ls and @last read instead of every bundle: of a local store a file in your cache folder
    (RUNBUNDLE_CACHE, else ~/.cache/runbundle), of an object store a few objects beside it. It is no part of the store,
    and can be deleted without loss. Every seal adds to it; what is missing is found by listing, which a local store is
    asked for only when the time of one of its folders has changed. This command looks at every bundle, so it also finds
    a new revision that nobody has noted. Into an object store it writes what it found; no other reader does.

    Exit codes: 0; 1 some bundles cannot be read; 5 the store cannot be read.
    """
    from runbundle.bundle.catalog.index import RunFilter, index_of
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
