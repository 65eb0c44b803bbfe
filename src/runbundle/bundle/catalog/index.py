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
import logging
import sqlite3
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import orjson

from runbundle.bundle.catalog.cache_file import folder_identity, index_file
from runbundle.bundle.catalog.database import COLUMNS, connect, forget_all, forget_other_root, save
from runbundle.bundle.catalog.keys import list_keys
from runbundle.bundle.catalog.noting import note
from runbundle.bundle.catalog.rows import (
    Row,
    batches,
    checked_row,
    facts_in_files,
    read_row,
    row_of,
    row_with_facts,
    stamp_of,
    with_facts,
)
from runbundle.bundle.facts import Facts
from runbundle.bundle.search.filters import RunFilter, order_of, sql_of
from runbundle.errors import KeyNotFound, RunbundleError
from runbundle.store import ArtifactStore
from runbundle.store.base import Body, is_key

T = TypeVar("T")
_log = logging.getLogger("runbundle")
_BESIDE = "index"
_ASKED = (
    "runs.key, runs.started_at, runs.duration_ns, runs.status, runs.state, runs.tenant, runs.name, runs.error_type, "
    "runs.input_tokens, runs.output_tokens, "
    "CAST(strftime('%s', substr(runs.started_at, 1, 19)) AS INTEGER) AS started_s"
)
"""The columns about which `Index.asked` can be asked; `started_s` is the time of the start in seconds since 1970."""


class NewBundle(NamedTuple):
    """A bundle that was just sealed."""

    key: str
    run_json: bytes
    files: Mapping[str, Body] | None = None
    """Its other files, by path; if given and small, the facts in them are added to its row."""
    facts: Facts | None = None
    """The facts in its files, if they are known."""


def add_to_index(
    store: ArtifactStore, key: str, index: bytes, files: Mapping[str, Body] | None = None, facts: Facts | None = None
) -> None:
    """Add or refresh the row of one bundle, as `add_all_to_index` does."""
    add_all_to_index(store, [NewBundle(key, index, files, facts)])


def add_all_to_index(store: ArtifactStore, bundles: Iterable[NewBundle]) -> None:
    """Add or refresh the rows of bundles that were just sealed, in one transaction if the store is local.

    Never raises: the next reader repairs a missing row.
    """
    rows: list[Row] = []
    for bundle in bundles:
        with _a_convenience():
            said = orjson.loads(bundle.run_json)
            row = row_of(bundle.key, said, stamp=stamp_of(store, bundle.key))
            facts = bundle.facts or (facts_in_files(bundle.files, said) if bundle.files else None)
            rows.append(with_facts(row, facts) if facts is not None else row)
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


class Progress(Protocol):
    """Told how much of a long reading is done."""

    def __call__(self, done: int, total: int, /) -> None:
        """Take note that `done` of `total` bundles are read."""
        ...


def no_progress(done: int, total: int, /) -> None:
    """Tell nobody."""


class Index:
    """The rows of all bundles of a store. Open it with `index_of`, close it after use."""

    def __init__(self, store: ArtifactStore, db: sqlite3.Connection, progress: Progress = no_progress) -> None:
        self._store = store
        self._db = db
        self._progress = progress
        self._chosen: RunFilter | None = None

    def runs(self, wanted: RunFilter, limit: int = -1, *, sort: str = "") -> list[Row]:
        """Return the runs that match, in the order of `order_of(sort)`; `limit` -1 means all.

        Without `sort` that is unsealed ones first, then the newest first. Raises `KeyNotFound` if the run of `after`
        does not exist, and `ConfigError` for a condition that is none.
        """
        self._need_facts(wanted)
        rows: list[Row] = []
        for _ in range(3):
            where, given = self._conditions(wanted)  # holds names of columns and marks, no values
            query = f"SELECT {COLUMNS} FROM runs WHERE {where} ORDER BY {order_of(sort)} LIMIT ?"  # noqa: S608
            found = [checked_row(values) for values in self._db.execute(query, (*given, limit))]
            rows = [row for row in found if row is not None]
            if len(rows) < len(found):
                self._begin_anew()
                continue
            changed = [row.key for row in rows if row.stamp and row.stamp != stamp_of(self._store, row.key)]
            if not changed:
                break
            save(self._db, [read_row(self._store, key) for key in changed], instead=changed)
            self._need_facts(wanted)
        return rows

    def with_facts(self, rows: Sequence[Row]) -> list[Row]:
        """Return the same rows with the facts of their bundles, which are read and kept if they are not known yet."""
        lacking = [row for row in rows if row.acts is None]
        read = {row.key: row for row in self._read_facts(lacking)}
        return [read.get(row.key, row) for row in rows]

    def count(self, wanted: RunFilter) -> int:
        """Return the number of runs that match."""
        self._need_facts(wanted)
        where, values = self._conditions(wanted)
        return self._db.execute(f"SELECT count(*) FROM runs WHERE {where}", values).fetchone()[0]  # noqa: S608

    def asked(self, wanted: RunFilter, query: str, *values: str | float) -> list[tuple[Any, ...]]:
        """Return the answer to a query about the runs that match: their table in it is `chosen`.

        `values` are bound to the marks in the query. Facts are read first.
        """
        if self._chosen != wanted:
            self._need_facts(wanted, always=True)
            where, given = self._conditions(wanted)
            self._db.execute("PRAGMA temp_store = MEMORY")
            self._db.execute("DROP TABLE IF EXISTS temp.chosen")
            # Once for all questions about the same runs, and no wider than they need.
            self._db.execute(f"CREATE TEMP TABLE chosen AS SELECT {_ASKED} FROM runs WHERE {where}", given)  # noqa: S608
            self._db.execute("CREATE UNIQUE INDEX temp.chosen_by_key ON chosen (key)")
            self._chosen = wanted
        return self._db.execute(query, values).fetchall()

    def last(self) -> str | None:
        """Return the key of the sealed run that started last, or None."""
        for _ in range(2):
            row = next(iter(self.runs(RunFilter(since="0"), 1)), None)
            if row is None or read_row(self._store, row.key)[:4] == row[:4]:
                return row.key if row is not None else None
            self._begin_anew()  # it says of the bundle what that does not
        return None

    def named(self, run: str) -> list[str]:
        """Return the keys that `run` names: that key, else runs with that id, else runs whose id begins with it.

        `TENANT/BEGINNING` names runs of that tenant.
        """
        column = "key" if "/" in run else "run_id"
        for where, values in (
            ("key = ?", [run]), ("run_id = ?", [run]), (f"{column} >= ? AND {column} < ?", [run, run + "~"])
        ):  # fmt: skip
            found = [key for (key,) in self._db.execute(f"SELECT key FROM runs WHERE {where} ORDER BY key", values)]  # noqa: S608
            found = [key for key in found if isinstance(key, str) and is_key(key)]
            if found:
                return found
        return []

    def row(self, key: str) -> Row | None:
        """Return the row of one bundle, or None if there is none."""
        values = self._db.execute(f"SELECT {COLUMNS} FROM runs WHERE key = ?", [key]).fetchone()  # noqa: S608
        return checked_row(values) if values else None

    def beside(self, run_id: str) -> tuple[str, str]:
        """Return the run ids before and after one in the order of ids; empty where there is none."""
        before, after = (
            self._db.execute(f"SELECT {which}(run_id) FROM runs WHERE run_id {sign} ?", [run_id]).fetchone()[0]  # noqa: S608
            for which, sign in (("max", "<"), ("min", ">"))
        )
        return str(before or ""), str(after or "")

    def tenants(self) -> list[str]:
        """Return the ids of all tenants; an empty one stands for runs without one."""
        return sorted(str(name) for (name,) in self._db.execute("SELECT DISTINCT tenant FROM runs"))

    def ids_of(self, kind: Literal["user", "session"]) -> list[str]:
        """Return the ids of all users or sessions, as bundles have them."""
        return [str(value) for (value,) in self._db.execute(f"SELECT DISTINCT {kind}_id FROM runs")]  # noqa: S608

    def names_of(self, kind: str) -> list[str]:
        """Return the names of all tools, or models, that are known."""
        return sorted(
            str(name) for (name,) in self._db.execute("SELECT DISTINCT name FROM acts WHERE kind = ?", [kind])
        )

    def _begin_anew(self) -> None:
        """Read all bundles again, because the index has rows that no bundle gives."""
        forget_all(self._db, "folders")
        save(self._db, [read_row(self._store, key) for key in list_keys(self._store)])

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _conditions(self, wanted: RunFilter) -> tuple[str, list[Any]]:
        made = sql_of(wanted)
        where, values = made.text, list[Any](made.values)
        if wanted.after:
            found = self._db.execute("SELECT started_at FROM runs WHERE key = ?", [wanted.after]).fetchone()
            if found is None:
                raise KeyNotFound("there is no run after which to go on", hint="--after takes a key that ls printed")
            where += (
                " AND runs.started_at != '' AND (runs.started_at, runs.key) < (?, ?)"
                if found[0]
                else " AND runs.started_at >= ? AND (runs.started_at != '' OR runs.key < ?)"
            )
            values += [found[0], wanted.after]
        return where, values

    def _need_facts(self, wanted: RunFilter, *, always: bool = False) -> None:
        """Read facts that no seal has added, if a condition needs them."""
        if not (always or sql_of(wanted).needs_facts):
            return
        query = f"SELECT {COLUMNS} FROM runs WHERE acts IS NULL"  # noqa: S608
        told = [checked_row(values) for values in self._db.execute(query)]
        if None in told:
            self._begin_anew()
            told = [checked_row(values) for values in self._db.execute(query)]
        self._read_facts([row for row in told if row is not None])

    def _read_facts(self, rows: list[Row]) -> list[Row]:
        read: list[Row] = []
        for batch in batches(rows):
            read += _each(self._store, partial(row_with_facts, self._store), batch)
            save(self._db, read[-len(batch) :])
            self._progress(len(read), len(rows))
        return read


def matching(rows: Iterable[Row], wanted: RunFilter) -> list[Row]:
    """Return those of some rows that match, in the order of `Index.runs`, by the same SQL and without an index."""
    with contextlib.closing(connect(None)) as db:
        save(db, rows)
        made = sql_of(wanted)
        query = f"SELECT {COLUMNS} FROM runs WHERE {made.text} ORDER BY {order_of('')}"  # noqa: S608
        return [Row(*values) for values in db.execute(query, made.values)]


def index_of(
    store: ArtifactStore,
    *,
    refresh: bool = False,
    rebuild: bool = False,
    keep: bool = False,
    progress: Progress = no_progress,
) -> Index:
    """Return the completed index of a store.

    `refresh`: compare every bundle with its row. `rebuild`: make the index anew. `keep`: also write the index of an
    object store; otherwise nothing is written into the store. If the index cannot be kept on disk, as without a home
    directory, it is made in memory. `progress` is told how many bundles are read. Raises `StoreUnavailable`.
    """
    if store.folder is not None:
        return Index(store, _local(store, store.folder, progress, refresh=refresh, rebuild=rebuild), progress)
    if (beside := store.beside(_BESIDE)) is not None:
        return Index(store, _objects(store, beside, progress, refresh=refresh or rebuild, keep=keep), progress)
    with _closed_on_error(connect(None)) as db:
        save(db, (read_row(store, key) for key in list_keys(store)))
    return Index(store, db, progress)


@contextlib.contextmanager
def _closed_on_error(db: sqlite3.Connection) -> Generator[sqlite3.Connection]:
    """Close a connection if what is done with it fails, as where a store is away; else it stays open."""
    try:
        yield db
    except BaseException:
        db.close()
        raise


def _local(
    store: ArtifactStore, folder: Path, progress: Progress, *, refresh: bool, rebuild: bool
) -> sqlite3.Connection:
    from runbundle.bundle.catalog.local import complete

    path = index_file(store) if folder.is_dir() else None
    if path is not None:
        try:
            with _closed_on_error(connect(path)) as db:
                forget_other_root(db, folder_identity(folder))
                if rebuild:
                    forget_all(db, "folders")
                complete(store, folder, db, progress, thorough=refresh)
        except (sqlite3.Error, OSError):
            _log.debug("the index cannot be kept; the store is read instead", exc_info=True)
        else:
            return db
    with _closed_on_error(connect(None)) as db:
        complete(store, folder, db, progress, thorough=False)
    return db


def _objects(
    store: ArtifactStore, beside: ArtifactStore, progress: Progress, *, refresh: bool, keep: bool
) -> sqlite3.Connection:
    from runbundle.bundle.catalog.objects import write_pack

    path = index_file(store)
    try:
        with _closed_on_error(connect(path)) as db:
            found = _completed(store, beside, db, progress, refresh=refresh)
    except (sqlite3.Error, OSError):
        _log.debug("the index cannot be kept; the store is read instead", exc_info=True)
        with _closed_on_error(connect(None)) as db:
            found = _completed(store, beside, db, progress, refresh=refresh)
    sealed = [row for row in found if not row.problem]
    if keep and (sealed or refresh):
        with contextlib.suppress(RunbundleError):  # whoever may not write has read it all the same
            write_pack(beside, sealed, instead_of=list(beside.list()) if refresh else [])
    return db


def _completed(
    store: ArtifactStore, beside: ArtifactStore, db: sqlite3.Connection, progress: Progress, *, refresh: bool
) -> list[Row]:
    """Complete the table of an object store; return the rows of the bundles that were read for it."""
    from runbundle.bundle.catalog.objects import new_rows

    if refresh:
        forget_all(db, "loaded")
    else:
        names, rows = new_rows(beside, {name for (name,) in db.execute("SELECT name FROM loaded")})
        save(db, rows)
        with db:
            db.execute("DELETE FROM loaded")
            db.executemany("INSERT OR REPLACE INTO loaded VALUES (?)", [(name,) for name in names])
    every: dict[str, str] = dict(db.execute("SELECT key, problem FROM runs"))
    known = {key for key, problem in every.items() if not problem}
    keys = set(list_keys(store, known=frozenset(known)))
    found: list[Row] = []
    for batch in batches(sorted(keys - known)):
        found += _each(store, partial(read_row, store), batch)
        progress(len(found), len(keys - known))
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
