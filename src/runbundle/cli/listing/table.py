"""The table of runs: what of each is shown, and in which words."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from runbundle.bundle.catalog.facts import acts_of, scores_of
from runbundle.cli.listing.moments import Style, shown
from runbundle.cli.render import age, duration, instant, table
from runbundle.inspect.listing import Listed
from runbundle.inspect.outcome import outcome_of, parsed_lost


def print_table(listed: Sequence[Listed], short: Mapping[str, str], style: Style, *, tenants: bool) -> None:
    """Print the table. `short` gives the text for a key's id; other ids are printed whole.

    `tenants`: whether to name the tenant of each run, where there are tenants.
    """
    now = time.time_ns()
    tenants = tenants and any(each.row.tenant for each in listed)
    headings = [
        "RUN",
        "TENANT",
        "NAME",
        "AGO" if style == "ago" else "STARTED",
        "TOOK",
        "STATUS",
        "TOOLS",
        "MODELS",
        "TOKENS",
        "NOTES",
    ]
    rows = [_cells(each, short, style, now) for each in listed]
    if not tenants:
        headings, rows = [headings[0], *headings[2:]], [[row[0], *row[2:]] for row in rows]
    at = {heading: place for place, heading in enumerate(headings)}
    table(
        headings, rows, right=[at[name] for name in ("TOOK", "TOOLS", "MODELS", "TOKENS")], whole=(0,),
        spare=[at[name] for name in ("TOKENS", "MODELS", "TOOLS")], roomy=((at["NOTES"], 24),),
    )  # fmt: skip


def _cells(each: Listed, short: Mapping[str, str], style: Style, now_ns: int) -> list[str]:
    row, run = each.row, each.run
    known = not row.problem and run is None
    took = duration(row.duration_ns) if row.started_at and (run is None or run.started_ns) else "-"
    return [
        short.get(row.key, row.key.rpartition("/")[2]),
        row.tenant,
        row.name,
        shown(row.started_at, style) if run is None or run.started_ns else "-",
        took,
        row.status if known else "part" if run is not None and run.part else row.state,
        str(row.tool_calls) if known else "-",
        str(row.model_calls) if known else "-",
        str(row.input_tokens + row.output_tokens or "-") if known else "-",
        "; ".join(notes(each, now_ns=now_ns)),
    ]


def notes(each: Listed, *, now_ns: int) -> list[str]:
    """Return what is to be said of a run beyond its status: its error, what was blocked or lost, its hold."""
    run = each.run
    if run is None:
        return outcome_of(each.row, held=each.held)
    how_long = f"{'a part, ' if run.part else ''}{run.state} for {age(now_ns - run.since_ns)}"
    return [*([how_long] if run.state != "live" else []), *([run.note] if run.note else [])]


def as_json(each: Listed) -> dict[str, Any]:
    """Return everything that is known of a run, as `ls --format json` prints it."""
    row, run = each.row, each.run
    said: dict[str, Any] = {"key": row.key, "run_id": row.run_id, "state": row.state}
    said |= {"tenant_id": row.tenant} if row.tenant else {}
    if run is not None:
        said |= {"part": run.part, "since": instant(run.since_ns)}
        if run.started_ns is not None:
            said |= {"started_at": instant(run.started_ns), "duration_ns": str(row.duration_ns), "name": run.name}
        return said | ({"note": run.note} if run.note else {})
    if row.problem:
        return said | ({"problem": row.problem} if row.problem != "unsealed" else {})
    acts = acts_of(row.acts)
    return said | {
        "name": row.name, "status": row.status, "started_at": row.started_at, "ended_at": row.ended_at,
        "duration_ns": str(row.duration_ns), "completeness": row.completeness, "lost": parsed_lost(row.lost),
        "held": each.held, "revision": row.revision, "parent_run": row.parent, "case_id": row.case_id,
        "user_id": row.user_id, "session_id": row.session_id, "request_id": row.request_id,
        "trace_ids": row.traces.split(), "error": {"type": row.error_type, "message": row.error},
        "errors": [line for line in (row.errors or "").split("\n") if line],
        "spans": row.spans, "failed_spans": row.failed, "tool_calls": row.tool_calls, "model_calls": row.model_calls,
        "blocked": row.blocked, "withheld": row.withheld, "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens, "agents": [name for name in (row.agents or "").split("\n") if name],
        **{f"{kind}s": [_act(act._asdict()) for act in acts if act.kind == kind] for kind in ("tool", "model")},
        "scores": [{"name": name, "value": value, "label": label} for name, value, label in scores_of(row.scores)],
    }  # fmt: skip


def _act(said: dict[str, Any]) -> dict[str, Any]:
    kind = said.pop("kind")
    if kind == "tool":
        del said["input_tokens"], said["output_tokens"]
    return said | {"total_ns": str(said["total_ns"]), "longest_ns": str(said["longest_ns"])}
