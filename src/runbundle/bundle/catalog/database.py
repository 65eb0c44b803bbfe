"""The SQLite database of an index: opening, replacing a damaged one, and writing rows."""

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from runbundle.bundle.catalog.facts import acts_of, scores_of
from runbundle.bundle.catalog.rows import NUMBERS, Row
from runbundle.bundle.facts import Act
from runbundle.process.disk import create
from runbundle.store.regular import NotRegular, kind_of

_VERSION = 3
COLUMNS = ", ".join(f"runs.{name}" for name in Row._fields)
_DERIVED = ("acts", "scores", "failures")
"""Tables that are derived from a row: one line for each act and score, and the text of its errors."""


def connect(path: Path | None, *, busy_s: float = 10.0, any_thread: bool = False) -> sqlite3.Connection:
    """Open the database at `path`, or one in memory for None. A damaged or outdated file is replaced by an empty one.

    `busy_s`: how long to wait for another process. `any_thread`: the caller sees to it that one thread at a time uses
    it. Raises `sqlite3.OperationalError` if the file is locked or cannot be written, and `OSError` if it is no regular
    file.
    """
    if path is None:
        return _prepared(sqlite3.connect(":memory:"))
    for last in (False, True):
        _make(path)
        db = sqlite3.connect(path, timeout=busy_s, check_same_thread=not any_thread)
        try:
            # Not WAL, whose files come and go and so change the root's time. Not synced: it can be made again.
            db.execute("PRAGMA journal_mode = TRUNCATE")
            db.execute("PRAGMA synchronous = OFF")
            if db.execute("PRAGMA user_version").fetchone()[0] in (0, _VERSION):
                return _prepared(db)
        except sqlite3.OperationalError:  # locked, read-only, no space: not its fault
            db.close()
            raise
        except sqlite3.DatabaseError:
            if last:
                db.close()
                raise
        db.close()
        path.unlink(missing_ok=True)
    raise sqlite3.DatabaseError("the index is of another version, again")


def _make(path: Path) -> None:
    """Have a regular file there. One that is there is not opened: closing it would take this process's locks away."""
    try:
        os.close(create(path, os.O_RDWR | os.O_EXCL))
    except FileExistsError:
        if kind := kind_of(path.lstat().st_mode):
            raise NotRegular(kind) from None


def _prepared(db: sqlite3.Connection) -> sqlite3.Connection:
    if db.execute("PRAGMA user_version").fetchone()[0] == 0:
        columns = ", ".join(f"{name} {'INTEGER' if name in NUMBERS else 'TEXT'}" for name in Row._fields[1:])
        acts = ", ".join(f"{name} {'TEXT' if name in Act._fields[:4] else 'INTEGER'}" for name in Act._fields)
        with db:
            db.execute(f"CREATE TABLE IF NOT EXISTS runs (key TEXT PRIMARY KEY, {columns})")
            db.execute("CREATE INDEX IF NOT EXISTS by_time ON runs (started_at = '', started_at, key)")
            db.execute("CREATE INDEX IF NOT EXISTS by_id ON runs (run_id)")
            db.execute("CREATE INDEX IF NOT EXISTS by_problem ON runs (problem) WHERE problem != ''")
            db.execute("CREATE INDEX IF NOT EXISTS by_lack ON runs (key) WHERE acts IS NULL")
            db.execute(f"CREATE TABLE IF NOT EXISTS acts (key TEXT, {acts})")
            db.execute("CREATE INDEX IF NOT EXISTS acts_by_key ON acts (key)")
            db.execute("CREATE INDEX IF NOT EXISTS acts_by_name ON acts (kind, name, status, key)")
            db.execute("CREATE TABLE IF NOT EXISTS scores (key TEXT, name TEXT, value REAL, label TEXT)")
            db.execute("CREATE INDEX IF NOT EXISTS scores_by_key ON scores (key)")
            db.execute("CREATE TABLE IF NOT EXISTS failures (key TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID")
            db.execute(_FORGET)
            db.execute("CREATE TABLE IF NOT EXISTS folders (path TEXT PRIMARY KEY, changed INTEGER)")
            db.execute("CREATE TABLE IF NOT EXISTS root (id TEXT)")
            db.execute("CREATE TABLE IF NOT EXISTS loaded (name TEXT PRIMARY KEY)")
            db.execute(f"PRAGMA user_version = {_VERSION}")
    return db


def forget_other_root(db: sqlite3.Connection, root: str) -> None:
    """Delete all rows if the database belongs to another folder than `root`, one that had the same path before."""
    known = [value for (value,) in db.execute("SELECT id FROM root")]
    if known != [root]:
        if known:
            forget_all(db, "folders")
        with db:
            db.execute("DELETE FROM root")
            db.execute("INSERT INTO root VALUES (?)", [root])


def save(db: sqlite3.Connection, rows: Iterable[Row], *, instead: Iterable[str] = ()) -> None:
    """Write rows in one transaction. A row does not replace one of a higher revision, except for keys in `instead`,
    whose rows are deleted first.
    """
    with db:
        db.executemany("DELETE FROM runs WHERE key = ?", ((key,) for key in instead))
        written = list({row.key: row for row in rows if db.execute(_UPSERT, row).rowcount > 0}.values())
        for table in _DERIVED:
            db.executemany(f"DELETE FROM {table} WHERE key = ?", ((row.key,) for row in written))  # noqa: S608
        db.executemany(_ACT, ((row.key, *act) for row in written if row.acts for act in acts_of(row.acts)))
        db.executemany(
            "INSERT INTO scores VALUES (?, ?, ?, ?)",
            ((row.key, *score) for row in written if row.scores for score in scores_of(row.scores)),
        )
        db.executemany(
            "INSERT OR REPLACE INTO failures VALUES (?, ?)",
            ((row.key, row.errors.lower()) for row in written if row.errors),
        )


def forget_all(db: sqlite3.Connection, *more: str) -> None:
    """Delete all rows, and those of the tables `more`, in one transaction."""
    with db:
        for table in ("runs", *_DERIVED, *more):
            db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of tables


_NAMES, _MARKS = ", ".join(Row._fields), ", ".join("?" * len(Row._fields))
_ASSIGNED = ", ".join(f"{name} = excluded.{name}" for name in Row._fields)
_UPSERT = (
    f"INSERT INTO runs ({_NAMES}) VALUES ({_MARKS}) "  # noqa: S608 - names of columns
    f"ON CONFLICT(key) DO UPDATE SET {_ASSIGNED} WHERE excluded.revision >= runs.revision"
)
_ACT = f"INSERT INTO acts VALUES (?, {', '.join('?' * len(Act._fields))})"  # noqa: S608 - marks
_FORGET = " ".join([
    "CREATE TRIGGER IF NOT EXISTS forget AFTER DELETE ON runs BEGIN",
    *(f"DELETE FROM {table} WHERE key = old.key;" for table in _DERIVED),  # noqa: S608 - names of tables
    "END",
])  # fmt: skip
