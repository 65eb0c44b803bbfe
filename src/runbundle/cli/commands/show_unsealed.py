"""The output of `runbundle show` for a run that is only in the spool."""

import time
from typing import TYPE_CHECKING

from runbundle.cli.options import print_json, store_flag
from runbundle.cli.printing import say
from runbundle.errors import KeyNotFound

if TYPE_CHECKING:
    from runbundle.recording.waiting import Unsealed
    from runbundle.store import ArtifactStore

_OPEN_SHOWN = 20


def show_unsealed(store: "ArtifactStore", name: str, store_url: str, *, as_json: bool) -> bool:
    """Print the state of the run in the spool that `name` names; return False if the spool has no such run.

    `name` is a run id, `TENANT/ID`, or the beginning of a run id. Raises `KeyNotFound` if several runs match.
    """
    from runbundle.cli.render import instant
    from runbundle.recording.waiting import contents, unsealed_named
    from runbundle.store.locations import spool_of

    found = unsealed_named(spool_of(store), name)
    if not found:
        return False
    keys = sorted({run.key.path for run in found})
    if len(keys) > 1:
        raise KeyNotFound(f"{len(keys)} runs in the spool go by {name}", hint=f"such as {', '.join(keys[:3])}")
    run = found[0]
    held = contents(run)
    if as_json:
        print_json({
            "run_id": run.key.run_id, "tenant_id": run.key.tenant_id, "state": run.state, "part": run.part,
            "since": instant(run.since_ns), "name": run.name, "note": run.note, "spans": held.spans, "logs": held.logs,
            "started_at": instant(run.started_ns) if run.started_ns else None,
            "open_spans": held.open[:_OPEN_SHOWN], "open": len(held.open), "torn_lines": held.torn,
        })  # fmt: skip
    else:
        _print(run, held.spans, held.logs, held.open, held.torn)
        if run.state != "quarantined":
            say(f"next: runbundle view {run.key.path}{store_flag(store_url)}")
    return True


def _print(run: "Unsealed", spans: int, logs: int, opened: list[str], torn: int) -> None:
    from runbundle.cli.render import age, instant, moment, plural
    from runbundle.inspect.outcome import next_step

    now = time.time_ns()
    say(f"run       {run.key.run_id}   ", run.state, ", not sealed")
    say(f"since     {moment(instant(run.since_ns))}, for {age(now - run.since_ns)}")
    for label, value in (
        ("tenant", run.key.tenant_id), ("name", run.name),
        ("started", moment(instant(run.started_ns)) if run.started_ns else "elsewhere"), ("why", run.note),
    ):  # fmt: skip
        if value:
            say(f"{label:<9} {value}")
    say(f"so far    {plural(spans, 'span')}, {plural(logs, 'log record')}")
    if opened:
        more = f", and {len(opened) - _OPEN_SHOWN} more" if len(opened) > _OPEN_SHOWN else ""
        say(f"open      {', '.join(opened[:_OPEN_SHOWN])}{more}")
    if torn:
        say(f"damaged   {plural(torn, 'line')}")
    say(f"where     {run.segment if run.lines else run.folder}")
    say()
    say(f"next: {next_step(run)}")
