"""`runbundle show`: print a run, one of its spans, or one part of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from runbundle.cli.altered import say_altered
from runbundle.cli.options import (
    again,
    format_option,
    open_store,
    print_json,
    reports_errors,
    run_argument,
    store_option,
)
from runbundle.cli.printing import say

if TYPE_CHECKING:
    from runbundle.bundle.reader import Bundle

_SLOW_SHOWN, _ERRORS_SHOWN = 20, 20


def _part(name: str, text: str) -> Callable[[Any], Any]:
    return click.option(f"--{name}", "part", flag_value=name, help=text)


@click.command("show", epilog="Example: runbundle show @last --errors")
@run_argument
@store_option
@format_option()
@click.option(
    "--span",
    "span_id",
    metavar="ID",
    help="Show everything that was recorded of one span; ID may be the beginning of its id.",
)
@_part("errors", "Show every span that failed by itself, and what was kept of why.")
@_part("slow", "Show the spans that took longest, without the time of spans below them.")
@_part("tree", "Show the spans without bars.")
@_part("config", "Show the configuration of the run.")
@_part("evidence", "Show what was retrieved.")
@_part("events", "Show the events in order; with --full all attributes.")
@_part("scores", "Show the scorecard, and the gates that judged the run.")
@_part("redaction", "Show what was withheld: by rule, and in which spans.")
@click.option("--all", "every", is_flag=True, help="Show all spans and calls, not only the first.")
@click.option("--full", is_flag=True, help="Show all, and nothing shortened: whole texts, chains and stacks.")
@reports_errors
def command(
    run: str, store_url: str, format_: str, span_id: str | None, part: str | None, every: bool, full: bool
) -> None:
    """Show a run: why it failed, then its identity, spans, tool calls, what was withheld, and what is missing.

    The failure comes first: the spans down to the one in which it began, the message and the values that contracts
    keep, the last frame, the decision of policy. Of a run that died it is the innermost span that never ended.

    The bars show when each span began and how long it took, within the time of all spans. In a pipe nothing is cut.
    RUNBUNDLE_TRACE_URL, a URL with {trace_id} in it, links to the traces in your backend.

    RUN is a path, a run id, the beginning of a run id, or @last. For a run that is not sealed its state in the spool
    is shown. If a file was changed after the seal, a warning is printed first: anybody may have written what follows.
    Of a run above 32 MB only the sizes of the files are compared, which a line says; with --format json, and by
    runbundle verify, their digests are.

    Exit codes: 0 done; 2 no such run or span; 3 the run is not sealed; 4 a file was changed after the seal, or the
    bundle lies in the folder of another run.
    """
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.bundle.reader import Bundle
    from runbundle.cli.commands.show_unsealed import show_unsealed
    from runbundle.errors import KeyNotFound, MalformedBundle, NotSealed, StoreUnavailable

    store = open_store(store_url)
    try:
        bundle = Bundle.open(*resolve(store, run))
    except (KeyNotFound, NotSealed, StoreUnavailable):
        if show_unsealed(store, run, store_url, as_json=format_ == "json"):
            raise click.exceptions.Exit(3) from None
        raise
    altered = say_altered(bundle, as_json=format_ == "json")
    try:
        if span_id is not None:
            _show_span(bundle, span_id, as_json=format_ == "json")
        else:
            _show(bundle, part, store_url, every=every or full, full=full, as_json=format_ == "json")
    except (MalformedBundle, KeyNotFound) as error:
        if not altered:
            raise
        say(f"error: {error.message}", err=True)
    if altered:
        raise click.exceptions.Exit(4)


def _show_span(bundle: "Bundle", span_id: str, *, as_json: bool) -> None:
    from runbundle.cli.commands.show_parts import print_span
    from runbundle.errors import KeyNotFound
    from runbundle.inspect.columns import columns_of, lines_of

    columns = columns_of(bundle)
    rows = list(columns.rows_of(span_id))
    if not rows:
        raise KeyNotFound(f"there is no span {span_id}", hint=f"runbundle show {bundle.index.run_id} shows the ids")
    if len({columns.span_id(row) for row in rows}) > 1:
        raise KeyNotFound(f"{len(rows)} span ids begin with {span_id}", hint="give more digits")
    if as_json:
        print_json(bundle.span(columns.span_id(rows[0])))
    else:
        for row in rows:  # more than one if two traces have a span of that id
            print_span(lines_of(bundle, columns, row))


def _show(bundle: "Bundle", part: str | None, store_url: str, *, every: bool, full: bool, as_json: bool) -> None:
    from runbundle.cli.commands import show_parts
    from runbundle.cli.commands.show_failure import print_failures
    from runbundle.cli.commands.show_run import Look, print_run
    from runbundle.inspect.columns import columns_of

    if part == "config":
        show_parts.print_config(bundle, as_json=as_json)
    elif part == "evidence":
        show_parts.print_evidence(bundle, every=every, as_json=as_json)
    elif part == "events":
        show_parts.print_events(bundle, every=every, full=full, as_json=as_json)
    elif part == "redaction":
        show_parts.print_redaction(bundle, columns_of(bundle), every=every, as_json=as_json)
    elif part == "scores":
        from runbundle.cli.commands.show_scores import print_scores

        print_scores(bundle, as_json=as_json)
    elif part == "errors":
        most = None if every or as_json else _ERRORS_SHOWN
        if not print_failures(bundle, columns_of(bundle), most=most, full=full, as_json=as_json) and not as_json:
            say("No span failed.")
    elif part == "slow":
        _print_slow(bundle, None if every else _SLOW_SHOWN, as_json=as_json)
    elif as_json:
        print_json(bundle.index.model_dump(mode="json", by_alias=True, exclude_none=True))
    else:
        run, store = again(bundle.key, bundle.store, store_url)
        print_run(bundle, columns_of(bundle), Look(bars=part != "tree", every=every, full=full), run, store)


def _print_slow(bundle: "Bundle", most: int | None, *, as_json: bool) -> None:
    from runbundle.cli.render import duration, table
    from runbundle.cli.waterfall import label, slowest
    from runbundle.inspect.columns import columns_of

    columns = columns_of(bundle)
    found = slowest(columns, most)
    if as_json:
        print_json([
            {"span_id": columns.span_id(row), "name": columns.text("name", row), "duration_ns": str(took),
             "own_ns": str(mine), "status": columns.status(row)}
            for row, took, mine in found
        ])  # fmt: skip
        return
    rows = [
        [label(columns, row), duration(mine), duration(took), columns.status(row), columns.span_id(row)]
        for row, took, mine in found
    ]
    table(["NAME", "OWN TIME", "DURATION", "STATUS", "SPAN"], rows, right=(1, 2), whole=(4,), spare=(3,))
