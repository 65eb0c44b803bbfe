"""The list of runs: those in the spool first, then those of the store, newest first, by the filters of `ls`."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from runbundle.bundle.catalog.index import RunFilter, index_of
from runbundle.errors import ConfigError
from runbundle.recording.waiting import unsealed_runs
from runbundle.store import ArtifactStore
from runbundle.store.locations import spool_of

_MOST = 100
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SEARCHES = ("status", "tool", "agent", "user", "session", "after")


def listed(store: ArtifactStore, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return `{store, runs, more}`: at most a hundred runs that fit what is asked, and how many older ones there are.

    Names in `asked` are those of the options of `runbundle ls`; others are ignored. Raises `ConfigError`.
    """
    state, since, text = asked.get("state") or "all", _since(asked.get("since", "")), asked.get("text", "")
    waiting = [] if any(asked.get(name) for name in _SEARCHES) else _in_spool(store, state, since, text.lower())
    rows, more = [], 0
    if state in ("all", "sealed", "unsealed"):
        wanted = RunFilter(
            "unsealed" if state == "unsealed" else asked.get("status", ""), since, asked.get("tool", ""),
            asked.get("agent", ""), asked.get("user", ""), asked.get("session", ""), text, asked.get("after", ""),
            sealed=state == "sealed",
        )  # fmt: skip
        index = index_of(store)
        try:
            rows = index.runs(wanted, _MOST)
            if len(rows) == _MOST:
                more = index.count(replace(wanted, after=rows[-1].key))
        finally:
            index.close()
    sealed = [
        {"key": row.key, "state": row.problem or "sealed"} if row.problem else
        {"key": row.key, "state": "sealed", "status": row.status, "started_at": row.started_at,
         "duration_ns": row.duration_ns, "tool_calls": row.tool_calls, "model_calls": row.model_calls,
         "tools": (row.tools or "").split()[:8], "revision": row.revision}
        for row in rows
    ]  # fmt: skip
    return {"store": store.url, "runs": waiting + sealed, "more": more}


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


def _since(text: str) -> str:
    if not text:
        return ""
    ago = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if ago:
        given = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    else:
        try:
            given = datetime.fromisoformat(text)
        except ValueError:
            raise ConfigError("since takes a time or how long ago, as in 2026-11-25 or 2d") from None
    return (given if given.tzinfo else given.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
