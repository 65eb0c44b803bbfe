"""`open_store`: the runs of a store, for programs that read bundles."""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from runbundle.bundle.catalog.index import RunFilter, index_of
from runbundle.bundle.catalog.locate import resolve
from runbundle.bundle.catalog.rows import Row
from runbundle.bundle.reader import Bundle
from runbundle.bundle.search.filters import STATES
from runbundle.errors import ConfigError, KeyNotFound, NotSealed
from runbundle.inspect.listing import IN_STORE
from runbundle.inspect.sealed_run import SealedRun
from runbundle.inspect.spooled import spooled
from runbundle.inspect.unsealed_run import UnsealedRun
from runbundle.recording.waiting import unsealed_named
from runbundle.store import from_url
from runbundle.store.locations import spool_of
from runbundle.store.url import require_there

if TYPE_CHECKING:
    from runbundle.store import ArtifactStore

__all__ = ["RunFilter", "RunSummary", "Store", "open_store"]

_PAGE = 500


@dataclass(frozen=True)
class RunSummary:
    """What a listing knows of a run, without opening its bundle."""

    key: str
    """Key of the bundle, which `Store.run` takes: `<run_id>` or `<tenant_id>/<run_id>`."""
    run_id: str
    """Id of the run."""
    tenant_id: str
    """The tenant that owns the run; empty for none."""
    state: str
    """`sealed`, or of the store `unsealed` or `unreadable`, or of the spool `live`, `waiting`, `crashed`,
    `quarantined` or `failed`."""
    problem: str
    """Empty, `unsealed`, or why run.json cannot be read."""
    name: str
    """Name of the run."""
    status: str
    """How the run ended; empty if it is not sealed, as are all fields below but the times."""
    started_at: str
    """Time at which it began: RFC 3339, UTC."""
    duration_ns: int
    """Duration in nanoseconds."""
    completeness: str
    """`complete`, `crashed`, `lossy` or `unknown`."""
    tool_calls: int
    """Number of tool calls."""
    model_calls: int
    """Number of model calls."""
    revision: int
    """Number of the revision."""


class Store:
    """The runs of a store, for reading. Made by `open_store`. It holds nothing open, and writes nothing into the store.

    The index of `runbundle ls` is used, and completed in the user's cache folder.
    """

    def __init__(self, artifacts: "ArtifactStore") -> None:
        self._artifacts = artifacts

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    @property
    def url(self) -> str:
        """The URL of the store."""
        return self._artifacts.url

    def runs(
        self, wanted: RunFilter | None = None, *, state: str = "", limit: int | None = None
    ) -> Iterator[RunSummary]:
        """Yield the runs that match, at most `limit`: of the spool first, then those of the store, the newest first.

        By default, only sealed runs are wanted. `state` is one of `RunSummary.state`, or `all`; it goes before that of
        `wanted`. An empty `RunFilter` matches all. Raises `ConfigError` for a state that is none, and
        `StoreUnavailable`.
        """
        wanted = RunFilter(sealed=not state) if wanted is None else wanted
        if state:
            if state not in (*STATES, "all"):
                raise ConfigError("there is no such state", hint=f"one of {', '.join(STATES)}, all")
            wanted = replace(wanted, state="" if state == "all" else state)
        spool = spool_of(self._artifacts)
        found: Iterator[RunSummary] = iter(())
        if not (wanted.sealed or wanted.after or wanted.state in IN_STORE) and spool.is_dir():
            found = (_summary(row) for _, row in spooled(spool, wanted, now_ns=time.time_ns()))
        if wanted.state in ("", *IN_STORE):
            found = chain(found, self._sealed(wanted))
        yield from islice(found, limit)

    def _sealed(self, wanted: RunFilter) -> Iterator[RunSummary]:
        while True:
            with closing(index_of(self._artifacts)) as index:
                rows = index.runs(wanted, _PAGE)
            yield from map(_summary, rows)
            if len(rows) < _PAGE:
                return
            wanted = replace(wanted, after=rows[-1].key)

    def run(self, name: str) -> SealedRun:
        """Open the run that `name` names: a key, a run id, the beginning of exactly one run id, or `@last`.

        Raises `KeyNotFound`, `NotSealed`, `MalformedBundle`, `UnsupportedVersion` and `StoreUnavailable`; `NotSealed`
        for a run in the spool, too, which `unsealed` reads.
        """
        try:
            return SealedRun(Bundle.open(*resolve(self._artifacts, name)))
        except (KeyNotFound, NotSealed):
            run = next(iter(unsealed_named(spool_of(self._artifacts), name)), None) if name else None
            if run is None:
                raise
            hint = f"Store.unsealed({name!r}) reads what was recorded so far"
            if run.state == "quarantined":
                hint = "a credential was found in it; runbundle explain RB407 says what to do"
            raise NotSealed(f"the run is {run.state}, not sealed", hint=hint) from None

    def unsealed(self, name: str) -> UnsealedRun:
        """Read what was recorded so far of a run in the spool: live, waiting, crashed, or one that could not be sealed.

        `name` is a key, a run id, or the beginning of exactly one. Journals are read as far as they are written, up to
        256 MiB; each line is redacted again. Raises `NotSealed` for a run in the quarantine, which is not read;
        `KeyNotFound` and `StoreUnavailable`.
        """
        found = unsealed_named(spool_of(self._artifacts), name) if name else []
        keys = sorted({run.key.path for run in found})
        if len(keys) > 1:
            raise KeyNotFound(f"{len(keys)} runs in the spool go by {name}", hint=f"such as {', '.join(keys[:3])}")
        if not keys:
            raise KeyNotFound("there is no such run in the spool", hint="Store.run opens a sealed run")
        return UnsealedRun(found[0])


def _summary(row: Row) -> RunSummary:
    return RunSummary(
        row.key, row.run_id, row.key.rpartition("/")[0], row.state, row.problem, row.name, row.status, row.started_at,
        int(row.duration_ns or 0), row.completeness, row.tool_calls, row.model_calls, row.revision,
    )  # fmt: skip


def open_store(store: "str | os.PathLike[str] | ArtifactStore") -> Store:
    """Open a store to read its runs: a path, a URL as `--store` takes it, or the `store` of a handle.

    Raises `ConfigError` for what is no store, and `StoreUnavailable` if a local one is not there.
    """
    artifacts = from_url(os.fspath(store)) if isinstance(store, str | os.PathLike) else store
    require_there(artifacts)
    return Store(artifacts)
