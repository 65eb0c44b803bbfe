"""`runbundle ls`."""

import click

from runbundle.cli.options import format_option, open_store, print_json, reports_errors, store_option


@click.command("ls", epilog="Example: runbundle ls --store ./.runbundle --limit 5")
@store_option
@format_option()
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Print at most so many runs.")
@reports_errors
def command(store_url: str, format_: str, limit: int) -> None:
    """List the runs of a store, the newest first.

    Exit code: 0, also if there are none.
    """
    from runbundle.bundle.locate import list_runs
    from runbundle.cli.render import duration, moment, plural, table

    store = open_store(store_url)
    entries = sorted(list_runs(store), key=lambda e: (e.index.started_at if e.index else "~", e.key), reverse=True)
    if format_ == "json":
        print_json([
            {"key": e.key, "state": e.problem or "sealed",
             **({f: getattr(e.index, f) for f in ("run_id", "started_at", "duration_ns", "status")} if e.index else {})}
            for e in entries[:limit]
        ])  # fmt: skip
        return
    if not entries:
        click.echo(f"{store.url} holds no runs.")
        click.echo("next: runbundle demo")
        return
    rows = [
        [
            e.key,
            moment(e.index.started_at),
            duration(e.index.duration_ns),
            e.index.status,
            str(e.index.counts.tool_calls),
            str(e.index.counts.model_calls),
            e.index.completeness.state,
        ]
        if e.index
        else [e.key, "-", "-", "-", "-", "-", e.problem]
        for e in entries[:limit]
    ]
    table(["RUN", "STARTED", "DURATION", "STATUS", "TOOLS", "MODELS", "STATE"], rows, right=(2, 4, 5))
    if len(entries) > limit:
        click.echo(f"{plural(len(entries) - limit, 'older run')} not shown; see --limit")
