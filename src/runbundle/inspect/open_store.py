"""`open_store`: the runs of a store, for programs that read bundles."""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runbundle.bundle.catalog.index import RunFilter, index_of
from runbundle.bundle.catalog.locate import resolve
from runbundle.bundle.reader import Bundle
from runbundle.inspect.sealed_run import SealedRun
from runbundle.store import from_url
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
    problem: str
    """Empty, `unsealed`, or why run.json cannot be read. With a problem the fields below are empty or 0."""
    status: str
    """How the run ended."""
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

    def runs(self, wanted: RunFilter | None = None, *, limit: int | None = None) -> Iterator[RunSummary]:
        """Yield the sealed runs that match, the newest first, at most `limit`.

        By default bundles that are not sealed, or not readable, are left out; `RunFilter(sealed=False)` yields them
        first. Runs that are still in the spool are never among them. Raises `StoreUnavailable`.
        """
        wanted = RunFilter(sealed=True) if wanted is None else wanted
        left = limit
        while left is None or left > 0:
            with closing(index_of(self._artifacts)) as index:
                rows = index.runs(wanted, _PAGE if left is None else min(left, _PAGE))
            for row in rows:
                yield RunSummary(
                    row.key, row.run_id, row.key.rpartition("/")[0], row.problem, row.status, row.started_at,
                    int(row.duration_ns or 0), row.state, row.tool_calls, row.model_calls, row.revision,
                )  # fmt: skip
            if len(rows) < _PAGE:
                return
            left = None if left is None else left - len(rows)
            wanted = replace(wanted, after=rows[-1].key)

    def run(self, name: str) -> SealedRun:
        """Open the run that `name` names: a key, a run id, the beginning of exactly one run id, or `@last`.

        Raises `KeyNotFound`, `NotSealed`, `MalformedBundle`, `UnsupportedVersion` and `StoreUnavailable`.
        """
        return SealedRun(Bundle.open(*resolve(self._artifacts, name)))


def open_store(store: "str | os.PathLike[str] | ArtifactStore") -> Store:
    """Open a store to read its runs: a path, a URL as `--store` takes it, or the `store` of a handle.

    Raises `ConfigError` for what is no store, and `StoreUnavailable` if a local one is not there.
    """
    artifacts = from_url(os.fspath(store)) if isinstance(store, str | os.PathLike) else store
    require_there(artifacts)
    return Store(artifacts)
