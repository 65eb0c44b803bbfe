"""The runs of a store that are wanted, and those of its spool: the list of `ls`, and of the page of a store."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from runbundle.bundle.catalog.rows import Row
from runbundle.bundle.search.filters import RunFilter
from runbundle.errors import RunbundleError
from runbundle.format.layout import HOLD
from runbundle.inspect.spooled import spooled
from runbundle.recording.waiting import Unsealed
from runbundle.store.locations import spool_of

if TYPE_CHECKING:
    from runbundle.bundle.catalog.index import Index
    from runbundle.store import ArtifactStore

IN_STORE = ("sealed", "unsealed", "unreadable")
"""States of bundles; all other states are those of runs in the spool."""


class Listed(NamedTuple):
    """A run in a list."""

    row: Row
    run: Unsealed | None = None
    """The run in the spool, if it is there."""
    held: bool = False


class Listing(NamedTuple):
    """One page of a list."""

    runs: list[Listed]
    """Runs of the spool, then those of the store."""
    more: int
    """Number of runs of the store that follow."""
    more_in_spool: int
    """Number of runs of the spool that found no place."""


def listing(
    store: "ArtifactStore", index: "Index", wanted: RunFilter, most: int, *, sort: str = "", count: bool = True
) -> Listing:
    """Return at most `most` runs that match; `wanted.after` goes on after a page, with runs of the store only.

    Runs of the spool take half of the places at most, unless they alone are wanted. With `sort`, or without `count`,
    the number of runs that follow is not known, and 0. Raises what `Index.runs` does.
    """
    waiting: list[tuple[Unsealed, Row]] = []
    spool = spool_of(store)
    if not wanted.after and wanted.state not in IN_STORE and spool.is_dir():
        waiting = spooled(spool, wanted, now_ns=time.time_ns())
    both = wanted.state in ("", *IN_STORE)
    in_spool = [Listed(row, run) for run, row in waiting[: max(1, most // 2) if both else most]]
    left = most - len(in_spool) if both else 0
    rows = index.with_facts(index.runs(wanted, left, sort=sort)) if left else []
    more = 0
    if rows and len(rows) == left and count and not sort:
        more = index.count(replace(wanted, after=rows[-1].key))
    on_hold = held(store, rows)
    listed = in_spool + [Listed(row, held=row.key in on_hold) for row in rows]
    return Listing(listed, more, len(waiting) - len(in_spool))


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
