"""Finding the bundle that a user names: by path, run id, beginning of a run id, or `@last`."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runbundle.bundle.catalog.index import Index, index_of
from runbundle.bundle.catalog.keys import list_keys
from runbundle.bundle.checks.describe import describe_file, describe_folder, is_folder_of_a_bundle
from runbundle.bundle.reader import index_bytes, parse_index
from runbundle.bundle.search.filters import RunFilter
from runbundle.errors import BundleError, ConfigError, KeyNotFound, OddEntry
from runbundle.format.layout import RUN
from runbundle.format.run import RunIndex
from runbundle.store import ArtifactStore, LocalStore
from runbundle.store.base import is_key
from runbundle.store.url import from_url, require_there

LAST = "@last"
_MOST_CHARS, _SHOWN = 4096, 120
_LISTED, _NEAR = 10, 3
_TRACE = re.compile("[0-9a-f]{8,32}")
_BUNDLE = "a bundle is a folder with a run.json in it; a store of them is given as --store"


@dataclass(frozen=True)
class Entry:
    """A bundle in a listing: its key, its index, or the `problem` if it is unsealed or not readable."""

    key: str
    index: RunIndex | None
    problem: str


def list_runs(store: ArtifactStore) -> Iterator[Entry]:
    """Yield all bundles of a store in the order of their keys. Reads every run.json."""
    for key in list_keys(store):
        yield _entry(store, key)


def _entry(store: ArtifactStore, key: str) -> Entry:
    try:
        return Entry(key, parse_index(index_bytes(store, key)), "")
    except OddEntry as error:
        return Entry(key, None, error.message)
    except KeyNotFound:
        return Entry(key, None, "unsealed")
    except BundleError as error:
        return Entry(key, None, error.message)


def resolve(store: ArtifactStore, run: str) -> tuple[ArtifactStore, str]:
    """Return the store and key of the bundle that `run` names.

    `run` is the path of a bundle's folder, of its run.json or of a zip that holds one bundle; a run id,
    `<tenant>/<run_id>`, the beginning of exactly one run id or of `TENANT/ID`, or `@last`. Raises `KeyNotFound` that
    lists the runs that the name could mean, or names similar ones, and `ConfigError` if `run` is not a name.
    """
    if not run.strip() or not run.isprintable() or len(run) > _MOST_CHARS:
        raise ConfigError("a run has to be named", hint="by its id, the beginning of it, a path, or @last")
    path = Path(run)
    if path.name == RUN and os.path.isfile(path):  # noqa: PTH113 - false for what is no path
        path = path.parent
    if ("/" in run or path.is_absolute() or run in (".", "..")) and os.path.isdir(path):  # noqa: PTH112 - likewise
        return _folder(path)
    if path.suffix.lower() == ".zip" and os.path.isfile(path):  # noqa: PTH113
        return _zipped(run)
    if not os.path.lexists(path) or run == LAST:
        require_there(store)
    if is_key(run) and store.exists(f"{run}/{RUN}"):
        return store, run  # one look, and no index
    index = index_of(store)
    try:
        if run == LAST:
            return store, _last(store, index)
        found = index.named(run)
        if len(found) > 1:
            raise _ambiguous(index, run, found)
        near, count = ([], 0) if found else (_near(index, run), index.count(RunFilter()))
    finally:
        index.close()
    if found:
        return store, found[0]
    if os.path.isdir(path):  # noqa: PTH112
        return _folder(path)
    if os.path.lexists(path):
        raise KeyNotFound(f"{run} is {describe_file(path)}; it is no bundle", hint=_BUNDLE)
    hint = f"the store {store.url} has {count}; runbundle ls lists them"
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif not count:
        hint = f"{store.url} holds no runs"
    raise KeyNotFound(f"there is no run {run[:_SHOWN]}", hint=hint)


def _ambiguous(index: Index, run: str, keys: list[str]) -> KeyNotFound:
    """Return the error for a name that several runs have; it lists them, so that one can be picked."""
    listed = [row for key in keys[:_LISTED] for row in [index.row(key)] if row is not None]
    lines = tuple(
        f"{row.key}  {row.status or row.problem}  {row.started_at[:19]}  {row.name}".rstrip() for row in listed
    )
    more = (f"and {len(keys) - _LISTED} more",) if len(keys) > _LISTED else ()
    same = all(key.rpartition("/")[2] == run for key in keys)
    hint = "name its tenant, as in TENANT/ID" if same else "give more of it, or TENANT/ID"
    what = "have the id" if same else "begin with"
    return KeyNotFound(f"{len(keys)} runs {what} {run[:_SHOWN]}", hint=hint, lines=(*lines, *more))


def _near(index: Index, run: str) -> list[str]:
    """Return a few runs that somebody may have meant: by their trace, their name, or the beginning of their id."""
    by_trace = index.runs(RunFilter(trace=run), _NEAR) if _TRACE.fullmatch(run) else []
    by_name = index.runs(RunFilter(name=run), _NEAR)
    if by_trace or by_name:
        return [row.key for row in by_trace or by_name]
    for size in range(min(len(run) - 1, 64), 3, -1):
        found = index.named(run[:size])
        if found:
            return found[:_NEAR]
    return []


def _folder(path: Path) -> tuple[ArtifactStore, str]:
    """Return the store and key of a bundle's folder: of a tenant's, if the folder above has the tenant's name."""
    whole = path.resolve()
    if not is_folder_of_a_bundle(whole):
        raise KeyNotFound(f"{path} is {describe_folder(whole)}; it is no bundle", hint=_BUNDLE)
    store = LocalStore(whole.parent)
    index = _entry(store, whole.name).index
    if index is not None and index.tenant_id and index.tenant_id == whole.parent.name:
        return LocalStore(whole.parent.parent), f"{whole.parent.name}/{whole.name}"
    return store, whole.name


def _zipped(path: str) -> tuple[ArtifactStore, str]:
    """Return a zip as a store, and the key of the one bundle in it."""
    store = from_url(path)
    keys = list(list_keys(store))
    if len(keys) != 1:
        raise KeyNotFound(f"{path} holds {len(keys) or 'no'} bundles", hint="runbundle export --to zip writes one")
    return store, keys[0]


def _last(store: ArtifactStore, index: Index) -> str:
    latest = index.last()
    if latest is None:
        raise KeyNotFound("there is no sealed run yet", hint=f"the store is {store.url}; runbundle demo makes one")
    return latest
