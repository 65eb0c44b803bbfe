"""Retention: which bundles may go, and removing them so that none is ever half there to a reader."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from runbundle.bundle.catalog.locate import Entry, list_runs
from runbundle.bundle.custody.holds import hold_of
from runbundle.errors import ConfigError, KeyNotFound
from runbundle.format.canonical import to_json_bytes
from runbundle.format.layout import REMOVING, RUN
from runbundle.store import ArtifactStore

_UNITS = {"h": 3600, "d": 86_400, "w": 604_800}


class Verdict(NamedTuple):
    """What retention says of one bundle."""

    key: str
    action: str
    """`remove`, or why not: `recent`, `last`, `held`, `unsealed`, `unreadable`, or `odd`: something lies in it that is
    no file of a store, so that it is not ours alone to remove."""
    ended_at: str = ""
    bytes: int = 0
    """Of the files that run.json lists."""
    problem: str = ""
    """What is odd in it, or why it cannot be read."""


def parse_age(text: str) -> timedelta:
    """Read an age such as `36h`, `30d` or `8w`. Raises `ConfigError`."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()) or int(number) > 100_000:
        raise ConfigError(f"{text!r} is not an age", hint="a number and h, d or w, as in 36h, 30d, 8w")
    return timedelta(seconds=int(number) * _UNITS[unit])


def plan(
    store: ArtifactStore, *, older_than: timedelta | None, keep_last: int, now: datetime | None = None
) -> list[Verdict]:
    """Return what may be removed and what may not, the newest first.

    A bundle may go if its run ended before `now - older_than` (with None: whenever) and it is not one of the
    `keep_last` newest, nor held. What is not sealed, or not readable, never goes: it may be all there is of a run.
    """
    before = (now or datetime.now(UTC)) - (older_than or timedelta(0))
    sealed: list[tuple[datetime, Entry]] = []
    verdicts: list[Verdict] = []
    for entry in list_runs(store):
        if entry.index is None:
            left_over = entry.problem == "unsealed" and store.exists(f"{entry.key}/{REMOVING}")
            other = "unsealed" if entry.problem == "unsealed" else "unreadable"
            problem = entry.problem if other == "unreadable" else ""
            verdicts.append(Verdict(entry.key, "remove" if left_over else other, problem=problem))
        else:
            sealed.append((datetime.fromisoformat(entry.index.ended_at), entry))
    sealed.sort(key=lambda found: (found[0], found[1].key), reverse=True)
    chosen: list[Verdict] = []
    for place, (ended, entry) in enumerate(sealed):
        assert entry.index is not None
        action = "last" if place < keep_last else "recent" if ended >= before else "remove"
        if action == "remove" and hold_of(store, entry.key) is not None:
            action = "held"
        odd = next(store.odd(f"{entry.key}/"), None) if action == "remove" else None
        problem = f"{odd[0]} is {odd[1]}" if odd else ""
        size = sum(f.bytes for f in entry.index.files)
        chosen.append(Verdict(entry.key, "odd" if odd else action, entry.index.ended_at, size, problem))
    return chosen + verdicts


def remove(store: ArtifactStore, key: str) -> bool:
    """Remove one bundle; False if it is held, or was put on hold since the plan was made.

    run.json goes first, so that no reader ever sees a bundle with files missing. A removal that is cut off is
    finished by the next one.
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
