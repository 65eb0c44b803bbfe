"""The list of runs on the page: the filters of `ls`, and its answers."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from runbundle.bundle.catalog.facts import acts_of
from runbundle.bundle.catalog.index import index_of
from runbundle.bundle.search.asked import filter_of, near_names
from runbundle.inspect.listing import Listed, listing
from runbundle.inspect.outcome import outcome_of
from runbundle.store import ArtifactStore

_MOST = 100
_MOST_TOOLS = 8


def listed(store: ArtifactStore, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return `{store, runs, more, notes}`: at most a hundred runs that fit, and how many older ones there are.

    Names in `asked` are those of the options of `runbundle ls`, and `after`, the key of the last run of the page
    before. Values may be raw ids of a user or session; none is in the answer. Raises `ConfigError`.
    """
    said = {name.replace("-", "_"): value for name, value in asked.items() if name != "after"}
    with closing(index_of(store)) as index:
        wanted, notes = filter_of(said, store.url, index)
        found = listing(store, index, replace(wanted, after=asked.get("after", "")), _MOST)
        if found.more_in_spool:
            notes = [*notes, f"{found.more_in_spool} more in the spool; a state shows them"]
        if not found.runs:
            notes = [*notes, *near_names(said, index)]
    return {"store": store.url, "runs": [_shown(each) for each in found.runs], "more": found.more, "notes": notes}


def _shown(each: Listed) -> dict[str, Any]:
    row, run = each.row, each.run
    began = row.started_at if run is None or run.started_ns is not None else ""
    shown: dict[str, Any] = {"key": row.key, "state": row.state, "name": row.name, "started_at": began}
    if began:
        shown["duration_ns"] = str(row.duration_ns)
    if run is not None:
        return shown | {"said": run.note}
    tools = list(dict.fromkeys(act.name for act in acts_of(row.acts) if act.kind == "tool"))
    return shown | {
        "status": row.status, "said": "; ".join(outcome_of(row, held=each.held)), "tools": tools[:_MOST_TOOLS]
    }  # fmt: skip
