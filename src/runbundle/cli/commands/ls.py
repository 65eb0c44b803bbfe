"""`runbundle ls`: list the runs of a store and its spool."""

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from runbundle.cli.listing.choosing import Chosen, choosing
from runbundle.cli.options import format_option, open_store, print_json, reports_errors, store_flag, store_option
from runbundle.cli.printing import say
from runbundle.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from runbundle.bundle.catalog.index import Index
    from runbundle.cli.listing.moments import Style
    from runbundle.inspect.listing import Listed, Listing

_BY = ("tool", "status", "model", "error", "tenant", "name")


@click.command("ls", epilog="Example: runbundle ls --status error --since 2d --tool find_order --limit 5")
@store_option
@format_option()
@choosing
@click.option("--sort", metavar="FIELD", help="Sort by a field, largest first, or with - before it smallest first.")
@click.option("--count-by", type=click.Choice(_BY), help="Print the number of runs by this, with bars, and no list.")
@click.option("--over", metavar="TIME", help="With --count-by: for each stretch of time so long, such as 1h or 1d.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Maximum number of runs.")
@click.option("--after", metavar="KEY", help="Continue after this run, the last of the previous page.")
@click.option("--refresh", is_flag=True, help="First compare every bundle with the index.")
@click.option("--utc", is_flag=True, help="Print times in UTC.")
@click.option("--iso", is_flag=True, help="Print times as RFC 3339 in UTC, whole.")
@click.option("--fields", is_flag=True, help="Print the fields of --where and --sort, and no list.")
@reports_errors
def command(
    store_url: str, format_: str, chosen: Chosen, sort: str | None, count_by: str | None, over: str | None, limit: int,
    after: str | None, refresh: bool, utc: bool, iso: bool, fields: bool,
) -> None:  # fmt: skip
    """List the runs of a store, newest first, after the runs in its spool that are not sealed.

    A run in the store is sealed, unsealed if it has no run.json, or unreadable. A run in the spool is live, waiting
    (for its seal or its beginning), crashed, quarantined, or failed to be sealed; its status is not known. Several
    conditions must all hold.

    On a terminal the table fits the width: some columns are left out, and an id is as much of its beginning as no
    other run shares. Every command takes such a beginning. Times say how long ago. In a pipe all columns and whole ids
    are printed, and times in this machine's zone.

    Runs of the store are read from an index, which is first completed; see runbundle index --help. The first search
    for a tool, model, agent, error or score can take a while, since it reads bundles whose calls are not in the index
    yet. An error message is found only as far as a contract kept it. Whether a bundle is what was sealed is not checked
    here; runbundle verify does.

    Exit codes: 0 done, also if there are no runs; 1 some of the listed runs cannot be read.
    """
    from runbundle.bundle.catalog.index import index_of
    from runbundle.cli.listing.choosing import Reading
    from runbundle.cli.render import on_screen
    from runbundle.inspect.listing import IN_STORE, listing
    from runbundle.store.locations import spool_of
    from runbundle.store.url import require_there

    if fields:
        _print_fields(as_json=format_ == "json")
        return
    _check(sort, count_by, over, after)
    store = open_store(store_url)
    spool = spool_of(store)
    if chosen.state in IN_STORE or count_by or not spool.is_dir():
        require_there(store)
    with closing(index_of(store, refresh=refresh, progress=Reading())) as index:
        wanted = chosen.wanted(store.url, index)
        if count_by:
            from runbundle.cli.listing.counted import print_counts

            print_counts(index, wanted, count_by, over, as_json=format_ == "json")
            return
        from runbundle.cli.listing.moments import style_of
        from runbundle.cli.listing.table import as_json

        found = listing(
            store, index, replace(wanted, after=after or ""), limit, sort=sort or "", count=format_ != "json"
        )
        listed = found.runs
        if format_ == "json":
            print_json([as_json(each) for each in listed])
        else:
            _print(listed, index, style_of(utc=utc, iso=iso), tenants=not (on_screen() and chosen.said["tenant"]))
            _say_more(found, index, chosen, store_url)
            if not chosen.searched and not after:
                _say_losses(spool)
    raise click.exceptions.Exit(1 if any(each.row.state == "unreadable" for each in listed) else 0)


def _check(sort: str | None, count_by: str | None, over: str | None, after: str | None) -> None:
    from runbundle.bundle.search.fields import SORTS
    from runbundle.settings import nearest

    name = (sort or "").removeprefix("-")
    if sort and name not in SORTS:
        near = nearest(name, SORTS)
        raise ConfigError(
            "--sort takes a field", hint=f"did you mean {near}?" if near else f"one of {', '.join(SORTS)}"
        )
    if sort and after:
        raise ConfigError("--after goes on in the order of time, so it excludes --sort", hint="leave one out")
    if over and not count_by:
        raise ConfigError("--over needs --count-by", hint="as in --count-by tool --over 1h")


def _print(listed: "list[Listed]", index: "Index", style: "Style", *, tenants: bool) -> None:
    from runbundle.bundle.catalog.short_ids import short_ids
    from runbundle.cli.listing.table import print_table
    from runbundle.cli.render import on_screen

    if not listed:
        return
    shown = {each.row.key: each.row.key.rpartition("/")[2] for each in listed}
    short = short_ids(index, shown.values()) if on_screen() else {}
    twice = {run_id for run_id in set(shown.values()) if len(index.named(run_id)) > 1}
    ids = {
        key: (f"{key.rpartition('/')[0]}/" if run_id in twice and "/" in key else "") + short.get(run_id, run_id)
        for key, run_id in shown.items()
    }
    print_table(listed, ids, style, tenants=tenants)


def _say_more(found: "Listing", index: "Index", chosen: Chosen, store_url: str) -> None:
    from runbundle.bundle.search.asked import near_names
    from runbundle.bundle.search.filters import RunFilter
    from runbundle.cli.render import plural

    listed, more = found.runs, found.more
    if not listed:
        such = "such " if chosen.searched or index.count(RunFilter()) else ""
        say(f"{store_url} holds no {such}runs.")
        for line in near_names(chosen.said, index):
            say(line)
        if not such:
            say(f"next: runbundle demo{store_flag(store_url)}")
    if more:
        say(f"{plural(more, 'older run')} not shown; see --limit, or --after {listed[-1].row.key}")
    if found.more_in_spool:
        say(f"{plural(found.more_in_spool, 'more run')} in the spool not shown; --state and --limit show them")


def _say_losses(spool: "Path") -> None:
    from runbundle.cli.render import plural
    from runbundle.recording.losses import read_losses

    losses = [loss for loss in read_losses(spool) if loss.total]
    if losses:
        lost = sum(loss.total for loss in losses)
        say(
            f"lost: {plural(lost, 'record')} in {len(losses)} process{'es' if len(losses) > 1 else ''};"
            " runbundle doctor says why"
        )


def _print_fields(*, as_json: bool) -> None:
    from runbundle.bundle.search.fields import FIELDS, NAMED
    from runbundle.cli.render import table

    named = {
        f"{family}.NAME{'.' + name if name else ''}": field
        for family, of in NAMED.items()
        for name, field in of.items()
    }
    rows: list[Any] = [[name, field.kind, field.about] for name, field in {**FIELDS, **named}.items()]
    if as_json:
        print_json([{"field": name, "kind": kind, "about": about} for name, kind, about in rows])
        return
    table(["FIELD", "KIND", "WHAT IT IS"], rows, whole=(0,))
