"""Find a run: by path, by id, by the beginning of its id, or as the last one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runbundle.bundle.index import Index, Wanted, index_of
from runbundle.bundle.keys import list_keys
from runbundle.bundle.reader import parse_index
from runbundle.errors import BundleError, KeyNotFound
from runbundle.format.layout import RUN
from runbundle.models.bundle import RunIndex
from runbundle.store import ArtifactStore, LocalStore
from runbundle.store.base import is_key

LAST = "@last"


@dataclass(frozen=True)
class Entry:
    """One bundle of a store, as a listing sees it. `index` is None if it is not sealed or not readable."""

    key: str
    index: RunIndex | None
    problem: str


def list_runs(store: ArtifactStore) -> Iterator[Entry]:
    """Yield all bundles with their index, oldest key first. Reads every run.json."""
    for key in list_keys(store):
        yield _entry(store, key)


def _entry(store: ArtifactStore, key: str) -> Entry:
    try:
        return Entry(key, parse_index(store.get(f"{key}/{RUN}")), "")
    except KeyNotFound:
        return Entry(key, None, "unsealed")
    except BundleError as error:
        return Entry(key, None, error.message)


def resolve(store: ArtifactStore, run: str) -> tuple[ArtifactStore, str]:
    """Return the store and key of the bundle that `run` names.

    `run` is a path of a bundle's folder or of its run.json, a run id, `<tenant>/<run_id>`, the beginning of exactly
    one id, or `@last`. Raises `KeyNotFound` that says what there is.
    """
    path = Path(run)
    if path.name == RUN and path.is_file():
        path = path.parent
    if ("/" in run or path.is_absolute() or run in (".", "..")) and path.is_dir():
        return _at(path.resolve())
    if is_key(run) and store.exists(f"{run}/{RUN}"):
        return store, run  # one look, and no index
    index = index_of(store)
    try:
        if run == LAST:
            return store, _last(store, index)
        found = index.named(run)
        count = index.count(Wanted())
    finally:
        index.close()
    if len(found) == 1:
        return store, found[0]
    if found:
        raise KeyNotFound(
            f"{len(found)} runs begin with {run}", hint=f"such as {', '.join(found[:3])}; give more of it"
        )
    if path.is_dir():
        return _at(path.resolve())
    hint = f"there are {count} runs in {store.url}; runbundle ls lists them" if count else f"{store.url} holds no runs"
    raise KeyNotFound(f"there is no run {run}", hint=hint)


def _at(path: Path) -> tuple[ArtifactStore, str]:
    """Return the store and key of a bundle's folder: of a tenant's, if the folder above has the tenant's name."""
    store = LocalStore(path.parent)
    index = _entry(store, path.name).index
    if index is not None and index.tenant_id and index.tenant_id == path.parent.name:
        return LocalStore(path.parent.parent), f"{path.parent.name}/{path.name}"
    return store, path.name


def _last(store: ArtifactStore, index: Index) -> str:
    latest = index.last()
    if latest is None:
        raise KeyNotFound("there is no sealed run yet", hint=f"the store is {store.url}; runbundle demo makes one")
    return latest
