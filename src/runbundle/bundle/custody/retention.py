"""Retention: which bundles may go, and removing them so that none is ever half there to a reader."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from runbundle.bundle.catalog.index import matching
from runbundle.bundle.catalog.keys import list_keys
from runbundle.bundle.catalog.locate import Entry, list_runs
from runbundle.bundle.catalog.rows import read_row, row_with_facts
from runbundle.bundle.custody.holds import hold_of
from runbundle.bundle.search.filters import RunFilter, sql_of
from runbundle.errors import ConfigError, KeyNotFound
from runbundle.format.canonical import to_json_bytes
from runbundle.format.layout import REMOVING, RUN
from runbundle.store import ArtifactStore

_UNITS = {"h": 3600, "d": 86_400, "w": 604_800}


class PlanItem(NamedTuple):
    """The plan for one bundle: whether it is removed."""

    key: str
    action: str
    """`remove`, or the reason why it is kept: `recent`, `last` (one of the newest), `held`, `unsealed`, `unreadable`,
    or `odd` (it contains an entry that is no regular file)."""
    ended_at: str = ""
    bytes: int = 0
    """Size of the files that run.json lists, in bytes."""
    problem: str = ""
    """The odd entry, or the reason why the bundle cannot be read."""


def parse_age(text: str) -> timedelta:
    """Parse an age such as `36h`, `30d` or `8w`. Raises `ConfigError`."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()) or int(number) > 100_000:
        raise ConfigError(f"{text!r} is not an age", hint="a number and h, d or w, as in 36h, 30d, 8w")
    return timedelta(seconds=int(number) * _UNITS[unit])


def plan(
    store: ArtifactStore,
    *,
    older_than: timedelta | None,
    keep_last: int,
    wanted: RunFilter | None = None,
    now: datetime | None = None,
) -> list[PlanItem]:
    """Return for each bundle whether it is to be removed, the newest first. Removes nothing.

    A bundle is removed if its run ended before `now - older_than` (with None: at any time), it is not one of the
    `keep_last` newest, and it is not on hold. Unsealed and unreadable bundles are kept, since they may be the only
    record of a run; one whose removal was interrupted is removed.

    `wanted`: the runs that it is about; others are not in the plan, nor among the newest. What is wanted is decided by
    the bundles, not by an index.
    """
    before = (now or datetime.now(UTC)) - (older_than or timedelta(0))
    sealed: list[tuple[datetime, Entry]] = []
    verdicts: list[PlanItem] = []
    chosen_keys = _chosen(store, wanted) if wanted is not None else None
    for entry in list_runs(store):
        if chosen_keys is not None and entry.key not in chosen_keys:
            continue
        if entry.index is None:
            left_over = entry.problem == "unsealed" and store.exists(f"{entry.key}/{REMOVING}")
            other = "unsealed" if entry.problem == "unsealed" else "unreadable"
            problem = entry.problem if other == "unreadable" else ""
            verdicts.append(PlanItem(entry.key, "remove" if left_over else other, problem=problem))
        else:
            sealed.append((datetime.fromisoformat(entry.index.ended_at), entry))
    sealed.sort(key=lambda found: (found[0], found[1].key), reverse=True)
    chosen: list[PlanItem] = []
    for place, (ended, entry) in enumerate(sealed):
        assert entry.index is not None
        action = "last" if place < keep_last else "recent" if ended >= before else "remove"
        if action == "remove" and hold_of(store, entry.key) is not None:
            action = "held"
        odd = next(store.odd(f"{entry.key}/"), None) if action == "remove" else None
        problem = f"{odd[0]} is {odd[1]}" if odd else ""
        size = sum(f.bytes for f in entry.index.files)
        chosen.append(PlanItem(entry.key, "odd" if odd else action, entry.index.ended_at, size, problem))
    return chosen + verdicts


def _chosen(store: ArtifactStore, wanted: RunFilter) -> set[str]:
    """Return the keys of the bundles that match, each read anew: nothing is removed by what an index says."""
    rows = [read_row(store, key) for key in list_keys(store)]
    rows = [row_with_facts(store, row) for row in rows] if sql_of(wanted).needs_facts else rows
    return {row.key for row in matching(rows, wanted)}


def remove(store: ArtifactStore, key: str) -> bool:
    """Remove one bundle; return False and keep it if it is on hold.

    run.json is deleted first, so no reader sees a sealed bundle with missing files. The next `gc` finishes a removal
    that was interrupted.
    """
    if hold_of(store, key) is not None:
        return False
    store.put(f"{key}/{REMOVING}", to_json_bytes({"schema": "runbundle/removing/v1"}), overwrite=True)
    if hold_of(store, key) is not None:  # put on hold since: whoever did so looks for the file just written
        with contextlib.suppress(KeyNotFound):
            store.delete(f"{key}/{REMOVING}")
        return False
    # Listed before: what a late seal puts there from now on is not ours to delete.
    names = [name for name in store.list(f"{key}/") if name != f"{key}/{REMOVING}"]
    with contextlib.suppress(KeyNotFound):
        store.delete(f"{key}/{RUN}")
    for name in names:
        if name == f"{key}/{RUN}":
            continue
        with contextlib.suppress(KeyNotFound):
            store.delete(name)
    with contextlib.suppress(KeyNotFound):
        store.delete(f"{key}/{REMOVING}")
    return True
