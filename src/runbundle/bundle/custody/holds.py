"""Holds: a bundle on hold stays until somebody releases it.

A hold is the file `hold.json` beside the sealed files, outside the seal: to put one on changes no digest. Retention
looks for it before it removes a bundle, and once more after it has said that it will; whoever puts one on looks for
that word. So of a hold and a removal at the same moment one gives way, and is told so.
"""

import contextlib
from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from runbundle.errors import KeyNotFound, OddEntry
from runbundle.format.canonical import to_json_bytes
from runbundle.format.layout import HOLD, REMOVING, RUN
from runbundle.store import ArtifactStore

_MOST_HOLD_BYTES = 1_048_576


class Hold(NamedTuple):
    """Why a bundle must stay."""

    reason: str
    since: str
    """RFC 3339, UTC."""


def hold(store: ArtifactStore, key: str, reason: str, *, now: datetime | None = None) -> Hold:
    """Put a sealed bundle on hold: `gc` leaves it alone until it is released. Raises `KeyNotFound`.

    A hold that is there stays as it is. It binds this library, not whoever may delete files; a store that locks
    objects does that.
    """
    if not store.exists(f"{key}/{RUN}"):
        raise KeyNotFound(f"{key} is not a sealed bundle", hint="runbundle ls lists them")
    found = hold_of(store, key)
    if found is None:
        found = Hold(reason, (now or datetime.now(UTC)).isoformat(timespec="seconds").replace("+00:00", "Z"))
        body = {"schema": "runbundle/hold/v1", **found._asdict()}
        store.put(f"{key}/{HOLD}", to_json_bytes(body, indent=True))
        if store.exists(f"{key}/{REMOVING}") or not store.exists(f"{key}/{RUN}"):
            with contextlib.suppress(KeyNotFound):
                release(store, key)
            raise KeyNotFound(f"{key} is being removed", hint="runbundle ls tells whether it is still there")
    return found


def release(store: ArtifactStore, key: str) -> None:
    """End a bundle's hold. Raises `KeyNotFound` if it has none."""
    store.delete(f"{key}/{HOLD}")


def hold_of(store: ArtifactStore, key: str) -> Hold | None:
    """Return a bundle's hold. One that cannot be read holds all the same."""
    try:
        value = orjson.loads(store.get_range(f"{key}/{HOLD}", 0, _MOST_HOLD_BYTES))
        return Hold(str(value["reason"]), str(value["since"]))
    except OddEntry as error:
        return Hold(f"(not readable: {error.message})", "at an unknown time")
    except KeyNotFound:
        return None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return Hold("(not readable)", "at an unknown time")
