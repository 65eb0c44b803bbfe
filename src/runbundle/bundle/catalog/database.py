"""The SQLite database of an index: opening, replacing a damaged one, and writing rows."""

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from runbundle.bundle.catalog.rows import Row
from runbundle.process.disk import create
from runbundle.store.regular import NotRegular, kind_of

_VERSION = 2
COLUMNS = ", ".join(Row._fields)


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
        numbers = {"tool_calls", "model_calls", "revision"}
        columns = ", ".join(f"{name} {'INTEGER' if name in numbers else 'TEXT'}" for name in Row._fields[1:])
        with db:
            db.execute(f"CREATE TABLE IF NOT EXISTS runs (key TEXT PRIMARY KEY, {columns})")
            db.execute("CREATE INDEX IF NOT EXISTS by_time ON runs (started_at = '', started_at, key)")
            db.execute("CREATE INDEX IF NOT EXISTS by_id ON runs (run_id)")
            db.execute("CREATE INDEX IF NOT EXISTS by_problem ON runs (problem) WHERE problem != ''")
            db.execute("CREATE INDEX IF NOT EXISTS by_lack ON runs (key) WHERE tools IS NULL")
            db.execute("CREATE TABLE IF NOT EXISTS folders (path TEXT PRIMARY KEY, changed INTEGER)")
            db.execute("CREATE TABLE IF NOT EXISTS root (id TEXT)")
            db.execute("CREATE TABLE IF NOT EXISTS loaded (name TEXT PRIMARY KEY)")
            db.execute(f"PRAGMA user_version = {_VERSION}")
    return db


def forget_other_root(db: sqlite3.Connection, root: str) -> None:
    """Delete all rows if the database belongs to another folder than `root`, one that had the same path before."""
    known = [value for (value,) in db.execute("SELECT id FROM root")]
    if known != [root]:
        with db:
            for table in ("runs", "folders", "root") if known else ("root",):
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of tables
            db.execute("INSERT INTO root VALUES (?)", [root])


def save(db: sqlite3.Connection, rows: Iterable[Row], *, instead: Iterable[str] = ()) -> None:
    """Write rows in one transaction. A row does not replace one of a higher revision, except for keys in `instead`,
    whose rows are deleted first.
    """
    marks = ", ".join("?" * len(Row._fields))
    assigned = ", ".join(f"{name} = excluded.{name}" for name in Row._fields)
    with db:
        db.executemany("DELETE FROM runs WHERE key = ?", ((key,) for key in instead))
        db.executemany(
            f"INSERT INTO runs ({COLUMNS}) VALUES ({marks}) ON CONFLICT(key) DO UPDATE SET {assigned} "  # noqa: S608
            "WHERE excluded.revision >= runs.revision",
            rows,
        )
