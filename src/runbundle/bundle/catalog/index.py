"""The index of a store: a row for each bundle, so that `ls` and `@last` need not read every run.json.

It can be made again from the bundles, so deleting it loses nothing. The index of a store that is a folder is a file in
the user's cache folder (`cache_file`), so that reading a store never writes into it. The index of a store that has a
place beside it is a set of objects there (`objects`), which seals and `runbundle index` write, with a copy in the cache
folder. Any other store is read anew each time.

Guarantee: a reader misses no run. A seal adds its run. If it could not, readers find the run by comparing the index
with a listing; a local store is listed only if the time of one of its folders has changed (times of the last two
seconds are not trusted). A new revision that its seal could not add is found when its row is about to be shown, if the
store is local; else only by `refresh`. A removed run disappears with its folder; some servers go on listing an empty
folder, and then the run disappears only by `refresh`.
"""

import contextlib
import dataclasses
import logging
import sqlite3
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson

from runbundle.bundle.catalog.cache_file import folder_identity, index_file
from runbundle.bundle.catalog.database import COLUMNS, connect, forget_other_root, save
from runbundle.bundle.catalog.keys import list_keys
from runbundle.bundle.catalog.noting import note
from runbundle.bundle.catalog.rows import (
    Row,
    batches,
    checked_row,
    names_in_files,
    read_row,
    row_of,
    row_with_names,
    stamp_of,
    with_names,
)
from runbundle.errors import KeyNotFound, RunbundleError
from runbundle.store import ArtifactStore
from runbundle.store.base import Body, is_key

T = TypeVar("T")
_log = logging.getLogger("runbundle")
_BESIDE = "index"


@dataclasses.dataclass(frozen=True)
class RunFilter:
    """Conditions for runs; an empty one matches every run."""

    status: str = ""
    """Status of the run: `ok`, `error`, …, or `unsealed`."""
    since: str = ""
    """An RFC 3339 time in UTC, or its beginning: only runs that started then or later."""
    tool: str = ""
    """Name of a tool: only runs that called it."""
    agent: str = ""
    """Name of an agent: only runs in which it worked."""
    user: str = ""
    """Id of the user, as bundles have it, which may be a digest."""
    session: str = ""
    """Id of the session."""
    text: str = ""
    """Part of an id, a status, an error type, or the name of a model, tool or agent; case is ignored."""
    after: str = ""
    """Key of the last run of the previous page: only runs after it."""
    sealed: bool = False
    """Whether to leave out bundles without a readable run.json."""


class NewBundle(NamedTuple):
    """A bundle that was just sealed."""

    key: str
    run_json: bytes
    files: Mapping[str, Body] | None = None
    """Its other files, by path; if given and small, the names of tools and agents are added to its row."""


def add_to_index(store: ArtifactStore, key: str, index: bytes, files: Mapping[str, Body] | None = None) -> None:
    """Add or refresh the row of one bundle, as `add_all_to_index` does."""
    add_all_to_index(store, [NewBundle(key, index, files)])


def add_all_to_index(store: ArtifactStore, bundles: Iterable[NewBundle]) -> None:
    """Add or refresh the rows of bundles that were just sealed, in one transaction if the store is local.

    Never raises: the next reader repairs a missing row.
    """
    rows: list[Row] = []
    for bundle in bundles:
        with _a_convenience():
            said = orjson.loads(bundle.run_json)
            row = row_of(bundle.key, said, stamp=stamp_of(store, bundle.key))
            names = names_in_files(bundle.files, said) if bundle.files else None
            rows.append(with_names(row, *names) if names is not None else row)
    with _a_convenience():
        if store.folder is not None:
            note(store, store.folder, rows)
        elif (beside := store.beside(_BESIDE)) is not None:
            from runbundle.bundle.catalog.objects import add_row

            for row in rows:
                with _a_convenience():
                    add_row(beside, row)


@contextlib.contextmanager
def _a_convenience() -> Generator[None]:
    try:
        yield
    except Exception:  # noqa: BLE001 - the bundles are sealed without it
        _log.debug("the index could not take up a bundle", exc_info=True)


class Index:
    """The rows of all bundles of a store. Open it with `index_of`, close it after use."""

    def __init__(self, store: ArtifactStore, db: sqlite3.Connection) -> None:
        self._store = store
        self._db = db

    def runs(self, wanted: RunFilter, limit: int = -1) -> list[Row]:
        """Return the runs that match, unsealed ones first, then the newest first; `limit` -1 means all.

        Raises `KeyNotFound` if the run of `after` does not exist.
        """
        self._need_names(wanted)
        rows: list[Row] = []
        for _ in range(3):
            where, given = self._conditions(wanted)  # holds names of columns and marks, no values
            order = "ORDER BY started_at = '' DESC, started_at DESC, key DESC LIMIT ?"
            query = f"SELECT {COLUMNS} FROM runs {where} {order}"  # noqa: S608
            found = [checked_row(values) for values in self._db.execute(query, (*given, limit))]
            rows = [row for row in found if row is not None]
            if len(rows) < len(found):
                self._begin_anew()
                continue
            changed = [row.key for row in rows if row.stamp and row.stamp != stamp_of(self._store, row.key)]
            if not changed:
                break
            save(self._db, [read_row(self._store, key) for key in changed], instead=changed)
            self._need_names(wanted)
        return rows

    def count(self, wanted: RunFilter) -> int:
        """Return the number of runs that match."""
        where, values = self._conditions(wanted)
        return self._db.execute(f"SELECT count(*) FROM runs {where}", values).fetchone()[0]  # noqa: S608

    def last(self) -> str | None:
        """Return the key of the sealed run that started last, or None."""
        for _ in range(2):
            row = next(iter(self.runs(RunFilter(since="0"), 1)), None)
            if row is None or read_row(self._store, row.key)[:4] == row[:4]:
                return row.key if row is not None else None
            self._begin_anew()  # it says of the bundle what that does not
        return None

    def named(self, run: str) -> list[str]:
        """Return the keys that `run` names: that key, else runs with that id, else runs whose id begins with it."""
        for where, values in (
            ("key = ?", [run]), ("run_id = ?", [run]), ("run_id >= ? AND run_id < ?", [run, run + "~"])
        ):  # fmt: skip
            found = [key for (key,) in self._db.execute(f"SELECT key FROM runs WHERE {where} ORDER BY key", values)]  # noqa: S608
            found = [key for key in found if isinstance(key, str) and is_key(key)]
            if found:
                return found
        return []

    def _begin_anew(self) -> None:
        """Read all bundles again, because the index has rows that no bundle gives."""
        with self._db:
            self._db.execute("DELETE FROM runs")
            self._db.execute("DELETE FROM folders")
        save(self._db, [read_row(self._store, key) for key in list_keys(self._store)])

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _conditions(self, wanted: RunFilter) -> tuple[str, list[Any]]:
        parts: list[tuple[str, Any]] = []
        if wanted.status:
            parts.append(("problem = ?" if wanted.status == "unsealed" else "status = ?", wanted.status))
        for column, value in (("user_id", wanted.user), ("session_id", wanted.session), ("started_at >", wanted.since)):
            parts += [(f"{column}= ?", value)] if value else []
        for column, value in (("tools", wanted.tool), ("agents", wanted.agent)):
            parts += [(f"instr({column}, ?)", f"\n{value}\n")] if value else []
        if wanted.text:
            parts.append(("instr(text, ?)", wanted.text.lower()))
        if wanted.sealed:
            parts.append(("problem = ?", ""))
        values = [value for _, value in parts]
        conditions = [condition for condition, _ in parts]
        if wanted.after:
            found = self._db.execute("SELECT started_at FROM runs WHERE key = ?", [wanted.after]).fetchone()
            if found is None:
                raise KeyNotFound("there is no run after which to go on", hint="--after takes a key that ls printed")
            conditions.append(
                "started_at != '' AND (started_at, key) < (?, ?)"
                if found[0]
                else "started_at >= ? AND (started_at != '' OR key < ?)"
            )
            values += [found[0], wanted.after]
        return ("WHERE " + " AND ".join(conditions) if conditions else ""), values

    def _need_names(self, wanted: RunFilter) -> None:
        """Read names of tools and agents that no seal has added, if a condition needs them."""
        if not (wanted.tool or wanted.agent or wanted.text):
            return
        query = f"SELECT {COLUMNS} FROM runs WHERE tools IS NULL"  # noqa: S608
        told = [checked_row(values) for values in self._db.execute(query)]
        if None in told:
            self._begin_anew()
            told = [checked_row(values) for values in self._db.execute(query)]
        unknown = [row for row in told if row is not None]
        for batch in batches(unknown):
            save(self._db, _each(self._store, partial(row_with_names, self._store), batch))


def index_of(store: ArtifactStore, *, refresh: bool = False, rebuild: bool = False, keep: bool = False) -> Index:
    """Return the completed index of a store.

    `refresh`: compare every bundle with its row. `rebuild`: make the index anew. `keep`: also write the index of an
    object store; otherwise nothing is written into the store. If the index cannot be kept on disk, as without a home
    directory, it is made in memory. Raises `StoreUnavailable`.
    """
    if store.folder is not None:
        return Index(store, _local(store, store.folder, refresh=refresh, rebuild=rebuild))
    if (beside := store.beside(_BESIDE)) is not None:
        return Index(store, _objects(store, beside, refresh=refresh or rebuild, keep=keep))
    db = connect(None)
    save(db, (read_row(store, key) for key in list_keys(store)))
    return Index(store, db)


def _local(store: ArtifactStore, folder: Path, *, refresh: bool, rebuild: bool) -> sqlite3.Connection:
    from runbundle.bundle.catalog.local import complete

    path = index_file(store) if folder.is_dir() else None
    if path is not None:
        try:
            db = connect(path)
            forget_other_root(db, folder_identity(folder))
            if rebuild:
                with db:
                    db.executescript("DELETE FROM runs; DELETE FROM folders")
            complete(store, folder, db, thorough=refresh)
        except (sqlite3.Error, OSError):
            _log.debug("the index cannot be kept; the store is read instead", exc_info=True)
        else:
            return db
    db = connect(None)
    complete(store, folder, db, thorough=False)
    return db


def _objects(store: ArtifactStore, beside: ArtifactStore, *, refresh: bool, keep: bool) -> sqlite3.Connection:
    from runbundle.bundle.catalog.objects import write_pack

    path = index_file(store)
    try:
        db = connect(path)
        found = _completed(store, beside, db, refresh=refresh)
    except (sqlite3.Error, OSError):
        _log.debug("the index cannot be kept; the store is read instead", exc_info=True)
        db = connect(None)
        found = _completed(store, beside, db, refresh=refresh)
    sealed = [row for row in found if not row.problem]
    if keep and (sealed or refresh):
        with contextlib.suppress(RunbundleError):  # whoever may not write has read it all the same
            write_pack(beside, sealed, instead_of=list(beside.list()) if refresh else [])
    return db


def _completed(store: ArtifactStore, beside: ArtifactStore, db: sqlite3.Connection, *, refresh: bool) -> list[Row]:
    """Complete the table of an object store; return the rows of the bundles that were read for it."""
    from runbundle.bundle.catalog.objects import new_rows

    if refresh:
        with db:
            db.executescript("DELETE FROM runs; DELETE FROM loaded")
    else:
        names, rows = new_rows(beside, {name for (name,) in db.execute("SELECT name FROM loaded")})
        save(db, rows)
        with db:
            db.execute("DELETE FROM loaded")
            db.executemany("INSERT OR REPLACE INTO loaded VALUES (?)", [(name,) for name in names])
    every: dict[str, str] = dict(db.execute("SELECT key, problem FROM runs"))
    known = {key for key, problem in every.items() if not problem}
    keys = set(list_keys(store, known=frozenset(known)))
    found = _each(store, partial(read_row, store), sorted(keys - known))
    with db:
        db.executemany("DELETE FROM runs WHERE key = ?", [(key,) for key in every if key not in keys])
    save(db, found, instead=[row.key for row in found])
    return found


def _each(store: ArtifactStore, work: Callable[[T], Row], items: Sequence[T]) -> list[Row]:
    """Return the rows of all items, in parallel if each takes a round trip."""
    if len(items) < 2 or not store.remote:
        return [work(item) for item in items]
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(work, items))
