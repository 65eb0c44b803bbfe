"""The list of runs: those in the spool first, then those of the store, newest first, by the filters of `ls`."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from runbundle.bundle.catalog.index import index_of
from runbundle.bundle.catalog.rows import Row
from runbundle.bundle.search.filters import RunFilter
from runbundle.bundle.search.moments import parse_moment
from runbundle.recording.waiting import unsealed_runs
from runbundle.signals.reading import json_of
from runbundle.store import ArtifactStore
from runbundle.store.locations import spool_of

_MOST = 100
_SEARCHES = ("status", "tool", "agent", "user", "session", "after")
_MOST_TOOLS = 8


def listed(store: ArtifactStore, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return `{store, runs, more}`: at most a hundred runs that fit what is asked, and how many older ones there are.

    Names in `asked` are those of the options of `runbundle ls`; others are ignored. A user or session is looked for as
    bundles have it: a digest where the policy says so. Raises `ConfigError`.
    """
    since = parse_moment(asked["since"]) if asked.get("since") else ""
    state, text = asked.get("state") or "all", asked.get("text", "")
    waiting = [] if any(asked.get(name) for name in _SEARCHES) else _in_spool(store, state, since, text.lower())
    rows, more = list[Row](), 0
    if state in ("all", "sealed", "unsealed"):
        wanted = RunFilter(
            status="unsealed" if state == "unsealed" else asked.get("status", ""),
            since=since,
            tool=asked.get("tool", ""),
            agent=asked.get("agent", ""),
            users=_either(asked.get("user", "")),
            sessions=_either(asked.get("session", "")),
            text=text,
            after=asked.get("after", ""),
            sealed=state == "sealed",
        )
        index = index_of(store)
        try:
            rows = index.runs(wanted, _MOST)
            if len(rows) == _MOST:
                more = index.count(replace(wanted, after=rows[-1].key))
        finally:
            index.close()
    return {"store": store.url, "runs": waiting + [_shown(row) for row in rows], "more": more}


def _either(text: str) -> tuple[str, ...]:
    return (text,) if text else ()


def _shown(row: Row) -> dict[str, Any]:
    if row.problem:
        return {"key": row.key, "state": row.problem}
    acts: list[Any] = json_of(row.acts) or []  # as `facts.Act`
    tools: list[str] = list(dict.fromkeys(act[1] for act in acts if act[0] == "tool"))
    return {
        "key": row.key, "state": "sealed", "status": row.status, "started_at": row.started_at,
        "duration_ns": row.duration_ns, "tool_calls": row.tool_calls, "model_calls": row.model_calls,
        "tools": tools[:_MOST_TOOLS], "revision": row.revision,
    }  # fmt: skip


def _in_spool(store: ArtifactStore, state: str, since: str, text: str) -> list[dict[str, Any]]:
    found = (
        {
            "key": run.key.path,
            "state": run.state,
            "name": run.name,
            "started_at": _written(run.started_ns or run.since_ns),
        }
        for run in unsealed_runs(spool_of(store))
        if state in ("all", run.state) and (not text or text in f"{run.key.path}\n{run.name}".lower())
    )  # fmt: skip
    return list(islice((run for run in found if run["started_at"] >= since), _MOST))


def _written(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
