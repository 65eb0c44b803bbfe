"""`runbundle sql`: ask the bundles of a store in SQL."""

from contextlib import closing
from typing import Any

import click

from runbundle.cli.listing.choosing import Chosen, choosing
from runbundle.cli.options import format_option, print_json, read_store, reports_errors, store_option
from runbundle.cli.printing import say
from runbundle.errors import ConfigError


@click.command(
    "sql",
    epilog="Example: runbundle sql \"SELECT tool, count(*) FROM tool_calls WHERE status = 'error' GROUP BY tool\"",
)
@click.argument("query", metavar="QUERY", required=False)
@click.option("--tables", is_flag=True, help="Print the tables and their columns, and ask nothing.")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="Maximum number of rows.")
@store_option
@format_option()
@choosing
@reports_errors
def command(query: str | None, tables: bool, limit: int, store_url: str, format_: str, chosen: Chosen) -> None:
    """Ask the sealed bundles of a store in SQL, by DuckDB.

    The tables are runs, spans, events and tool_calls; --tables lists their columns. The options choose the runs whose
    bundles are read: all of them are read for each query, so choose some of a large store. Values are as bundles have
    them, that is redacted. Whether a bundle is what was sealed is not checked here; runbundle verify does.

    The query is one SELECT. It reads these tables and nothing else: DuckDB is closed to files, network, extensions
    and its own settings before the query runs. Nothing is written into the store; rows pass through a temporary file
    of this user. It needs the extra `sql`.

    Exit codes: 0 done; 2 the query failed, or DuckDB is not installed.
    """
    if tables:
        _print_tables(as_json=format_ == "json")
        return
    if not query:
        raise ConfigError("sql takes a query", hint="runbundle sql --tables lists the tables")
    from dataclasses import replace

    from runbundle.bundle.catalog.index import index_of
    from runbundle.cli.listing.choosing import Reading
    from runbundle.cli.listing.duck import ask
    from runbundle.cli.render import table

    store = read_store(store_url)
    with closing(index_of(store, progress=Reading())) as index:
        wanted = replace(chosen.wanted(store.url, index), sealed=True)
        keys = [row.key for row in index.runs(wanted)]
    answer = ask(store, keys, query)
    shown = answer.rows[:limit]
    if format_ == "json":
        print_json([dict(zip(answer.columns, map(_plain, row), strict=True)) for row in shown])
    elif not answer.rows:
        say("No rows.")
    else:
        right = [place for place, value in enumerate(shown[0]) if isinstance(value, int | float)]
        table(answer.columns, [["" if value is None else str(value) for value in row] for row in shown], right=right)
    if len(shown) < len(answer.rows):
        say(f"{len(answer.rows) - limit} more rows not shown; see --limit", err=format_ == "json")


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; other kinds, such as times, become text."""
    if value is None or isinstance(value, str | bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else str(value)
    return str(value)


def _print_tables(*, as_json: bool) -> None:
    from runbundle.bundle.search.tables import TABLES
    from runbundle.cli.render import table

    if as_json:
        print_json({
            name: {column: {"type": of.kind, "about": of.about} for column, of in columns.items()}
            for name, columns in TABLES.items()
        })  # fmt: skip
        return
    rows = [[name, column, of.kind, of.about] for name, columns in TABLES.items() for column, of in columns.items()]
    table(["TABLE", "COLUMN", "TYPE", "WHAT IT IS"], rows, whole=(0, 1))
