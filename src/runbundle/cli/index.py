"""`runbundle index`."""

import click

from runbundle.cli.options import format_option, open_store, print_json, reports_errors, store_option
from runbundle.cli.printing import say


@click.command("index", epilog="Example: runbundle index --rebuild --store ./.runbundle")
@click.option("--rebuild", is_flag=True, help="Forget the index and make it again from the bundles.")
@store_option
@format_option()
@reports_errors
def command(rebuild: bool, store_url: str, format_: str) -> None:
    """Complete the index of a store, or make it again.

    The index is what ls and @last read instead of every bundle: .index.sqlite in the root of a local store, a few
    objects beside an object store. It is no part of the store, and can be deleted without loss. Every seal adds to
    it; what is missing is found by listing, which a local store is asked for only when the time of one of its folders
    has changed. This command looks at every bundle, so it also finds a new revision that nobody has noted.

    Exit code: 0, or 5 if the store cannot be read.
    """
    from runbundle.bundle.index import Wanted, index_of
    from runbundle.cli.render import plural

    store = open_store(store_url)
    index = index_of(store, refresh=True, rebuild=rebuild)
    try:
        runs, unsealed = index.count(Wanted()), index.count(Wanted(status="unsealed"))
    finally:
        index.close()
    if format_ == "json":
        print_json({"runs": runs, "unsealed": unsealed})
    else:
        say(f"{store.url}: {plural(runs, 'run')}, {unsealed} of them unsealed")
