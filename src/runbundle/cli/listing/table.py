"""The table of runs: what of each is shown, and in which words."""

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import orjson

from runbundle.bundle.catalog.facts import acts_of, scores_of
from runbundle.bundle.catalog.rows import Row
from runbundle.cli.listing.moments import Style, shown
from runbundle.cli.render import age, duration, instant, plural, table
from runbundle.errors import RunbundleError
from runbundle.format.layout import HOLD

if TYPE_CHECKING:
    from runbundle.recording.waiting import Unsealed
    from runbundle.store import ArtifactStore

_REASONS = {
    "torn_lines": "torn line", "malformed_records": "malformed record", "collided": "doubled span",
    "journal": "span lost ahead of the journal", "live_spans": "span not followed",
    "parents": "missing parent",
}  # fmt: skip
_NAMED_ERRORS = 3


class Listed(NamedTuple):
    """A run in a list."""

    row: Row
    run: "Unsealed | None" = None
    """The run in the spool, if it is there."""
    held: bool = False


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
        str(row.input_tokens + row.output_tokens) if known else "-",
        "; ".join(notes(each, now_ns=now_ns)),
    ]


def notes(each: Listed, *, now_ns: int) -> list[str]:
    """Return what is to be said of a run beyond its status: its error, what was blocked or lost, its hold."""
    row, run = each.row, each.run
    if run is not None:
        how_long = f"{'a part, ' if run.part else ''}{run.state} for {age(now_ns - run.since_ns)}"
        return [*([how_long] if run.state != "live" else []), *([run.note] if run.note else [])]
    if row.problem:
        return [] if row.problem == "unsealed" else [row.problem]
    found = ["on hold"] if each.held else []
    found += [why] if (why := why_failed(row)) else []
    blocked = sorted({act.name for act in acts_of(row.acts) if act.status == "blocked"})
    if row.blocked:
        found.append(f"blocked: {', '.join(blocked)}" if blocked else f"{plural(row.blocked, 'call')} blocked")
    found += [lost] if (lost := what_was_lost(row)) else []
    return found


def why_failed(row: Row) -> str:
    """Return why a run ended in an error, and else which of its calls did: type and kept message, and the tools."""
    failed = [act for act in acts_of(row.acts) if act.status == "error"]
    if row.status == "error":
        of = [act.name for act in failed if act.error == row.error_type]
        text = f"{row.error_type}: {row.error}" if row.error else _kept(row, row.error_type)
        return f"{of[0]}: {text}" if of and text else text
    said = list(dict.fromkeys(f"{act.name}: {_kept(row, act.error)}".removesuffix(": ") for act in failed))
    more = f" and {len(said) - _NAMED_ERRORS} more" if len(said) > _NAMED_ERRORS else ""
    return f"failed: {', '.join(said[:_NAMED_ERRORS])}{more}" if said else ""


def _kept(row: Row, error_type: str) -> str:
    """Return an error's type, with the first message that a contract kept of one of that type."""
    lines = (row.errors or "").split("\n")
    return next((line for line in lines if line.startswith(f"{error_type}: ")), error_type)


def what_was_lost(row: Row) -> str:
    """Return what is missing of a run: `lossy: 2 of 12 spans, 1 torn line`."""
    if row.completeness in ("", "complete"):
        return ""
    if row.completeness == "unknown":
        return "not known whether it is complete"
    said = _parsed(row.lost)
    parts: list[str] = []
    expected, seen = said.get("spans_expected"), said.get("spans_seen")
    if isinstance(expected, int) and isinstance(seen, int) and seen < expected:
        parts.append(f"{expected - seen} of {plural(expected, 'span')} missing")
    unended = said.get("open")
    parts += [_several(unended, "span that never ended")] if isinstance(unended, int) and unended else []
    dropped = said.get("dropped")
    for reason, count in sorted(cast("dict[str, Any]", dropped).items()) if isinstance(dropped, dict) else ():
        what = (
            _REASONS.get(reason) or reason.removeprefix("sdk_limit_").removesuffix("s").replace("_", " ") + " cut off"
        )
        parts += [_several(count, what)] if isinstance(count, int) and count else []
    roots = said.get("roots")
    if isinstance(roots, int) and roots > 1:
        parts.append(f"{roots} runs under one id")
    return f"{row.completeness}: {', '.join(parts)}" if parts else row.completeness


def _several(count: int, what: str) -> str:
    """Return a count of something named by several words, of which the first noun takes the plural."""
    for noun in ("line", "record", "span", "parent", "attribute", "event", "link"):
        if count != 1 and noun in what:
            return f"{count} {what.replace(noun, noun + 's', 1)}"
    return f"{count} {what}"


def held(store: "ArtifactStore", rows: Sequence[Row]) -> set[str]:
    """Return the keys of those bundles that are on hold; a store that does not answer says of none that it is."""
    keys = [row.key for row in rows if not row.problem]

    def is_held(key: str) -> bool:
        try:
            return store.exists(f"{key}/{HOLD}")
        except RunbundleError:
            return False

    if store.folder is not None:
        return {key for key in keys if os.path.lexists(f"{store.folder}/{key}/{HOLD}")}
    if not keys:
        return set()
    with ThreadPoolExecutor(8 if store.remote else 1) as pool:
        return {key for key, found in zip(keys, pool.map(is_held, keys), strict=True) if found}


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
        "duration_ns": str(row.duration_ns), "completeness": row.completeness, "lost": _parsed(row.lost),
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


def _parsed(text: str) -> dict[str, Any]:
    try:
        value: Any = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
