"""`runbundle state`: look at the run state that engines resume from."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from runbundle.cli.options import format_option, open_store, print_json, reports_errors, store_option
from runbundle.cli.printing import say

if TYPE_CHECKING:
    from runbundle.runstate.base import RunStore
    from runbundle.runstate.records import CheckpointRecord, RunRecord

_tenant = click.option("--tenant", default="default", show_default=True, metavar="ID", help="Tenant whose state it is.")
_place = click.option("--state", "state_url", metavar="URL",
                      help="A SQLite file, sqlite:///PATH or postgresql://…; else the file of the store.")  # fmt: skip


@click.group("state", epilog="Example: runbundle state ls")
def command() -> None:
    """Look at the run state from which engines resume. Payloads are raw, and are never printed."""


@command.command("ls", epilog="Example: runbundle state ls --status running")
@click.option("--status", metavar="WORD", help="Only runs with this status, a word of their engine.")
@click.option("--thread", metavar="ID", help="Only runs of this thread.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Maximum number of runs.")
@_tenant
@_place
@store_option
@format_option()
@reports_errors
def ls(
    status: str | None, thread: str | None, limit: int, tenant: str, state_url: str | None, store_url: str, format_: str
) -> None:
    """List the runs of which there is state, the last updated first.

    Exit codes: 0 done, also if there are none; 5 the state cannot be read.
    """
    from runbundle.cli.listing.moments import shown, style_of
    from runbundle.cli.render import table

    with _opened(store_url, state_url, tenant) as (state, where):
        runs = state.list_runs(status=status, thread_id=thread, limit=limit) if state else []
    if format_ == "json":
        print_json([_run(run) for run in runs])
        return
    if not runs:
        say(f"There is no {'such ' if status or thread else ''}run state of tenant {tenant} in {where}.")
        return
    style = style_of(utc=False, iso=False)
    table(
        ["RUN", "THREAD", "STATUS", "AGO" if style == "ago" else "UPDATED", "WRITES", "PAYLOAD"],
        [[run.run_id, run.thread_id, run.status, shown(_rfc3339(run.updated_at), style), str(run.revision),
          _payload(run)] for run in runs],
        right=(4,), whole=(0,), spare=(5, 4),
    )  # fmt: skip


@command.command("show", epilog="Example: runbundle state show run-7")
@click.argument("run", metavar="RUN")
@_tenant
@_place
@store_option
@format_option()
@reports_errors
def show(run: str, tenant: str, state_url: str | None, store_url: str, format_: str) -> None:
    """Show the state of one run: status, thread, metadata, and its checkpoints with their sizes.

    Exit codes: 0 done; 2 no such run; 5 the state cannot be read.
    """
    from runbundle.cli.render import size, table
    from runbundle.errors import KeyNotFound
    from runbundle.runstate.base import list_checkpoints
    from runbundle.settings import nearest

    with _opened(store_url, state_url, tenant) as (state, where):
        known = {each.run_id: each for each in state.list_runs()} if state else {}
        begun = sorted(name for name in known if name.startswith(run))
        if run not in known and len(begun) > 1:
            raise KeyNotFound(f"{len(begun)} runs have ids that begin with {run}", hint="give more of it",
                              lines=tuple(begun[:10]))  # fmt: skip
        found = known.get(run) or (known[begun[0]] if begun else None)
        if found is None or state is None:
            near = nearest(run, known)
            raise KeyNotFound(f"there is no state of a run {run} in {where}",
                              hint=f"did you mean {near}?" if near else "runbundle state ls lists them")  # fmt: skip
        checkpoints = list(list_checkpoints(state, run_id=found.run_id))
    if format_ == "json":
        print_json(_run(found) | {"checkpoints": [_checkpoint(each) for each in checkpoints]})
        return
    for label, value in (
        ("run", f"{found.run_id}   {found.status}"), ("thread", found.thread_id),
        ("created", _rfc3339(found.created_at)),
        ("updated", f"{_rfc3339(found.updated_at)}, {found.revision} writes"), ("payload", _payload(found)),
        *((f"  {name}", str(value)) for name, value in sorted(found.metadata.items())),
    ):  # fmt: skip
        if value:
            say(f"{label:<9} {value}")
    if checkpoints:
        say()
        table(
            ["CHECKPOINT", "NAMESPACE", "ENGINE", "SLOTS", "SIZE", "WRITES"],
            [[str(said[name]) for name in ("id", "ns", "engine", "slots")] + [size(said["bytes"]), str(said["writes"])]
             for said in map(_checkpoint, checkpoints)],
            right=(3, 4, 5), whole=(0,),
        )  # fmt: skip


@contextmanager
def _opened(store_url: str, state_url: str | None, tenant: str) -> "Generator[tuple[RunStore | None, str]]":
    """Yield the run store and its place; None instead of a store where there is no file, since none is made."""
    from runbundle.runstate.sql.sqlite import SqliteRunStore
    from runbundle.runstate.url import from_url
    from runbundle.store.locations import run_state_of

    with from_url(state_url or str(run_state_of(open_store(store_url))), tenant=tenant) as state:
        local = isinstance(state, SqliteRunStore)
        where = str(state.path) if local else "the database"
        yield (state if not local or state.path.is_file() else None), where


def _run(run: "RunRecord") -> dict[str, Any]:
    return {
        "run_id": run.run_id, "thread_id": run.thread_id, "status": run.status, "metadata": dict(run.metadata),
        "revision": run.revision, "created_at": _rfc3339(run.created_at), "updated_at": _rfc3339(run.updated_at),
        "payload": {"codec": run.payload.codec, "bytes": len(run.payload.data)} if run.payload else None,
    }  # fmt: skip


def _checkpoint(record: "CheckpointRecord") -> dict[str, Any]:
    held = len(record.head.data) + sum(len(payload.data) for payload in record.slot_payloads.values())
    return {
        "thread_id": record.key.thread_id, "ns": record.key.ns, "id": record.key.checkpoint_id,
        "parent_id": record.parent_id, "engine": record.engine, "slots": len(record.slots), "bytes": held,
        "writes": len(record.writes), "metadata": dict(record.metadata),
    }  # fmt: skip


def _payload(run: "RunRecord") -> str:
    from runbundle.cli.render import size

    return f"{size(len(run.payload.data))}, {run.payload.codec}" if run.payload else ""


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(max(0.0, min(seconds, 253_402_300_799)), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
