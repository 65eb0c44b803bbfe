"""`runbundle ls`."""

import re
from datetime import UTC, datetime, timedelta

import click

from runbundle.cli.options import format_option, open_store, print_json, reports_errors, store_option
from runbundle.errors import ConfigError

_STATUS = ("ok", "error", "blocked", "cancelled", "interrupted", "incomplete", "abandoned", "waiting", "unsealed")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.command("ls", epilog="Example: runbundle ls --status error --since 2d --tool find_order --limit 5")
@store_option
@format_option()
@click.option("--status", type=click.Choice(_STATUS), help="Only runs that ended so, or are not sealed.")
@click.option("--since", metavar="TIME", help="Only runs since 2026-11-25, 2026-11-25T14:00, or the last 90m, 2d.")
@click.option("--tool", metavar="NAME", help="Only runs that called this tool.")
@click.option("--agent", metavar="NAME", help="Only runs in which this agent ran.")
@click.option("--user", metavar="ID", help="Only runs for this user; by the digest, if ids are digests.")
@click.option("--session", metavar="ID", help="Only runs of this session.")
@click.option(
    "--text",
    metavar="TEXT",
    help="Only runs with this in an id, status, error type, or name of a model, tool or agent.",
)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Print at most so many runs.")
@click.option("--after", metavar="KEY", help="Go on after this run, the last of the page before.")
@click.option("--refresh", is_flag=True, help="Compare every bundle with the index first.")
@reports_errors
def command(
    store_url: str, format_: str, status: str | None, since: str | None, tool: str | None, agent: str | None,
    user: str | None, session: str | None, text: str | None, limit: int, after: str | None, refresh: bool,
) -> None:  # fmt: skip
    """List the runs of a store, the newest first.

    What is listed comes from an index, which is completed as far as the store has changed; runbundle index --help
    says how far to trust it. The first search for names may take a while: it reads what no seal has noted.

    Exit code: 0, also if there are none.
    """
    from runbundle.bundle.index import Wanted, index_of

    wanted = Wanted(status or "", _time(since), tool or "", agent or "", user or "", session or "", text or "")
    store = open_store(store_url)
    index = index_of(store, refresh=refresh)
    try:
        rows = index.runs(Wanted(**{**vars(wanted), "after": after or ""}), limit)
        more = index.count(Wanted(**{**vars(wanted), "after": rows[-1].key})) if len(rows) == limit else 0
        total = len(rows) or index.count(Wanted())
    finally:
        index.close()
    if format_ == "json":
        print_json([
            {"key": r.key, "state": r.problem or "sealed",
             **({f: getattr(r, f) for f in ("run_id", "started_at", "duration_ns", "status", "revision")}
                if not r.problem else {})}
            for r in rows
        ])  # fmt: skip
        return
    if not rows:
        click.echo(f"{store.url} holds no {'such ' if total else ''}runs.")
        if not total:
            click.echo("next: runbundle demo")
        return
    from runbundle.cli.render import duration, moment, plural, table

    table(["RUN", "STARTED", "DURATION", "STATUS", "TOOLS", "MODELS", "STATE"], [
        [r.key, moment(r.started_at), duration(r.duration_ns), r.status, str(r.tool_calls), str(r.model_calls), r.state]
        if not r.problem else [r.key, "-", "-", "-", "-", "-", r.problem]
        for r in rows
    ], right=(2, 4, 5))  # fmt: skip
    if more:
        click.echo(f"{plural(more, 'older run')} not shown; see --limit, or --after {rows[-1].key}")


def _time(text: str | None) -> str:
    """Return what `--since` means as the beginning of an RFC 3339 time in UTC."""
    if not text:
        return ""
    ago = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if ago:
        return _written(datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            "--since takes a time or how long ago", hint="as in 2026-11-25, 2026-11-25T14:00:00Z, 90m or 2d"
        ) from None
    return _written(given if given.tzinfo else given.replace(tzinfo=UTC))


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
