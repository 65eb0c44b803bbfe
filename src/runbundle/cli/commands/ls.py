"""`runbundle ls`: list the runs of a store and its spool."""

import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from runbundle.cli.options import format_option, open_store, print_json, reports_errors, store_option
from runbundle.cli.printing import say
from runbundle.errors import ConfigError

if TYPE_CHECKING:
    from runbundle.recording.waiting import Unsealed

_STATUS = ("ok", "error", "blocked", "cancelled", "interrupted", "incomplete", "abandoned", "waiting", "unsealed")
_STATES = ("sealed", "unsealed", "live", "waiting", "crashed", "quarantined", "failed", "all")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.command("ls", epilog="Example: runbundle ls --status error --since 2d --tool find_order --limit 5")
@store_option
@format_option()
@click.option("--status", type=click.Choice(_STATUS), help="Only runs that ended with this status, or are unsealed.")
@click.option("--state", type=click.Choice(_STATES), default="all", show_default=True, help="Only runs in this state.")
@click.option(
    "--since",
    metavar="TIME",
    help="Only runs that began since a time (2026-11-25, 2026-11-25T14:00) or in the last 90m, 2d.",
)
@click.option("--tool", metavar="NAME", help="Only runs that called this tool.")
@click.option("--agent", metavar="NAME", help="Only runs in which this agent worked.")
@click.option("--user", metavar="ID", help="Only runs for this user; give the digest if user ids are digested.")
@click.option("--session", metavar="ID", help="Only runs of this session.")
@click.option(
    "--text",
    metavar="TEXT",
    help="Only runs with this text in an id, a status, an error type, or the name of a model, tool or agent.",
)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Maximum number of runs.")
@click.option("--after", metavar="KEY", help="Continue after this run, the last of the previous page.")
@click.option("--refresh", is_flag=True, help="First compare every bundle with the index.")
@reports_errors
def command(
    store_url: str, format_: str, status: str | None, state: str, since: str | None, tool: str | None,
    agent: str | None, user: str | None, session: str | None, text: str | None, limit: int, after: str | None,
    refresh: bool,
) -> None:  # fmt: skip
    """List the runs of a store, newest first, after the runs in its spool that are not sealed.

    A run in the store is sealed, or unsealed if it has no run.json. A run in the spool is live, waiting (for its seal
    or its beginning), crashed, quarantined, or failed to be sealed. Only the id, the name and the times of a run in
    the spool are known, so --status, --tool, --agent, --user and --session search only the store.

    On a narrow terminal some columns are left out; ids are always shown whole. In a pipe all columns are printed.

    Runs of the store are read from an index, which is first completed; see runbundle index --help. The first search
    by a name can take a while, since it reads bundles whose names are not in the index yet.

    Exit codes: 0 done, also if there are no runs; 1 some of the listed runs cannot be read.
    """
    from runbundle.bundle.catalog.index import RunFilter, index_of
    from runbundle.cli.render import plural
    from runbundle.recording.losses import read_losses
    from runbundle.store.locations import spool_of
    from runbundle.store.url import require_there

    store = open_store(store_url)
    spool = spool_of(store)
    searched = any((status, tool, agent, user, session, after))
    waiting, more_wait = [], False
    if state not in ("sealed", "unsealed") and not searched:
        most = max(1, limit // 2) if state == "all" else limit  # the spool may not crowd out the store
        waiting, more_wait = _in_spool(spool, state, _time(since), text or "", most)
    unsealed = "unsealed" if state == "unsealed" else status or ""
    wanted = RunFilter(
        unsealed, _time(since), tool or "", agent or "", user or "", session or "", text or "",
        sealed=state == "sealed",
    )  # fmt: skip
    rows, more, total = [], 0, len(waiting)
    if state in ("sealed", "unsealed") or not spool.is_dir():
        require_there(store)
    if state in ("all", "sealed", "unsealed"):
        index = index_of(store, refresh=refresh)
        try:
            left = limit - len(waiting)
            rows = index.runs(replace(wanted, after=after or ""), left) if left else []
            more = index.count(replace(wanted, after=rows[-1].key)) if rows and len(rows) == left else 0
            total = len(rows) or total or index.count(RunFilter())
        finally:
            index.close()
    code = 1 if any(row.problem not in ("", "unsealed") for row in rows) else 0
    if format_ == "json":
        print_json([_as_json(run) for run in waiting] + [
            {"key": r.key, "state": r.problem or "sealed",
             **({f: getattr(r, f) for f in ("run_id", "started_at", "duration_ns", "status", "revision")}
                if not r.problem else {})}
            for r in rows
        ])  # fmt: skip
        raise click.exceptions.Exit(code)
    _print(waiting, rows)
    if not rows and not waiting:
        such = "such " if total or state != "all" or searched else ""
        say(f"{store.url} holds no {such}runs.")
        if not such:
            say("next: runbundle demo")
    if more:
        say(f"{plural(more, 'older run')} not shown; see --limit, or --after {rows[-1].key}")
    if more_wait:
        say("more runs in the spool not shown; runbundle doctor counts them, --state and --limit show them")
    losses = [loss for loss in read_losses(spool) if loss.total]
    if losses and state == "all" and not after:
        lost = sum(loss.total for loss in losses)
        say(
            f"lost: {plural(lost, 'record')} in {len(losses)} process{'es' if len(losses) > 1 else ''};"
            " runbundle doctor says why"
        )
    raise click.exceptions.Exit(code)


def _in_spool(spool: Any, state: str, since: str, text: str, most: int) -> "tuple[list[Unsealed], bool]":
    from itertools import islice

    from runbundle.cli.render import instant
    from runbundle.recording.waiting import unsealed_runs

    found = (
        run
        for run in unsealed_runs(spool)
        if state in ("all", run.state)
        and (not since or instant(run.started_ns or run.since_ns) >= since)
        and (not text or text.lower() in f"{run.key.path}\n{run.name}".lower())
    )
    listed = list(islice(found, most + 1))
    return listed[:most], len(listed) > most


def _print(waiting: "list[Unsealed]", rows: list[Any]) -> None:
    from runbundle.cli.render import age, duration, instant, moment, table

    if not waiting and not rows:
        return
    now = time.time_ns()
    table(["RUN", "STARTED", "DURATION", "STATUS", "TOOLS", "MODELS", "STATE"], [
        [run.key.path, moment(instant(run.started_ns)) if run.started_ns else "-", "-", "-", "-", "-",
         f"{'a part, ' if run.part else ''}{run.state} for {age(now - run.since_ns)}"]
        for run in waiting
    ] + [
        [r.key, moment(r.started_at), duration(r.duration_ns), r.status, str(r.tool_calls), str(r.model_calls), r.state]
        if not r.problem else [r.key, "-", "-", "-", "-", "-", r.problem]
        for r in rows
    ], right=(2, 4, 5), whole=(0,), spare=(5, 4, 2, 1))  # fmt: skip


def _as_json(run: "Unsealed") -> dict[str, Any]:
    from runbundle.cli.render import instant

    said: dict[str, Any] = {"key": run.key.path, "run_id": run.key.run_id, "state": run.state, "part": run.part,
                            "since": instant(run.since_ns)}  # fmt: skip
    if run.key.tenant_id:
        said["tenant_id"] = run.key.tenant_id
    if run.started_ns is not None:
        said |= {"started_at": instant(run.started_ns), "name": run.name}
    if run.note:
        said["note"] = run.note
    return said


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
