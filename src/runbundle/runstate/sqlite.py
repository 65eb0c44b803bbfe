"""A run store in one SQLite file."""

import contextlib
import copy
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from runbundle.errors import ConfigError, RunStateError, StateCorrupt, StateUnavailable
from runbundle.models.identity import require_run_id
from runbundle.runstate import schema
from runbundle.runstate.sql import SqlRunStore, Tx

BUSY_S = 30.0
"""How long to wait for another process to finish its transaction."""

_TYPES = {"text": "TEXT", "blob": "BLOB", "json": "TEXT", "int": "INTEGER", "real": "REAL", "strict": " STRICT"}
_INHERITED: list[sqlite3.Connection] = []  # of a parent process: not ours to close


class SqliteRunStore(SqlRunStore):
    """A file in write-ahead mode, synced at every commit: what was written survives the loss of power.

    The file is 0600, and a folder made for it 0700. Several threads and processes may use it, on one machine; one
    writes at a time. Nothing is created before the first use.
    """

    def __init__(self, path: str | Path, *, tenant: str = "default", clock: Callable[[], float] = time.time) -> None:
        super().__init__(tenant)
        self._file = _File(Path(path).absolute(), clock)

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def for_tenant(self, tenant: str) -> "SqliteRunStore":
        """Return a store over the same file that speaks for another tenant."""
        other = copy.copy(self)
        other.tenant = require_run_id(tenant, "tenant")
        return other

    def close(self) -> None:
        """Close the file, if it is open; the next use opens it again."""
        self._file.close()

    def _reading(self) -> contextlib.AbstractContextManager[Tx]:
        return self._file.transaction("BEGIN", self._before)

    def _writing(self, *, alone: bool = False) -> contextlib.AbstractContextManager[Tx]:
        return self._file.transaction("" if alone else "BEGIN IMMEDIATE", self._before)

    def _equals(self, key: str, value: Any) -> tuple[str, tuple[Any, ...]]:
        if value is None or isinstance(value, bool):
            kinds, compared, bound = "?", "", (orjson.dumps(value).decode(),)
        elif isinstance(value, int | float):
            # Beyond 64 bits, SQLite reads integers as floating-point numbers.
            number = value if isinstance(value, float) or -(2**63) <= value < 2**63 else float(value)
            kinds, compared, bound = "'integer', 'real'", " AND value = ?", (number,)
        elif isinstance(value, str):
            kinds, compared, bound = "'text'", " AND value = ?", (value,)
        else:
            kinds, compared = "'array', 'object'", " AND value = ?"
            bound = (orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode(),)
        condition = f"EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ? AND type IN ({kinds}){compared})"
        return condition, (key, *bound)


class _File:
    """The connection that all stores over a file share, one transaction at a time."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.path = path
        self._clock = clock
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0

    def close(self) -> None:
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
                self._connection = None

    @contextlib.contextmanager
    def transaction(self, begin: str, before: Callable[[], None] | None) -> Generator[Tx]:
        if self._pid not in (0, os.getpid()):  # a forked child: the lock may be held by a thread that is not there
            self._lock = threading.RLock()
        with self._lock, _translated():
            tx = _Transaction(self._opened(), before, self._clock)
            if not begin:
                yield tx
                return
            tx.run(begin)
            try:
                yield tx
                tx.run("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    tx.connection.execute("ROLLBACK")
                raise

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and self._pid != os.getpid():
            _INHERITED.append(self._connection)
            self._connection = None
        if self._connection is None:
            self._connection, self._pid = _open(self.path), os.getpid()
        return self._connection


class _Transaction:
    """Statements on a connection, within one transaction."""

    def __init__(
        self, connection: sqlite3.Connection, before: Callable[[], None] | None, clock: Callable[[], float]
    ) -> None:
        self.connection, self._before, self.now = connection, before, clock

    def _execute(self, statement: str, values: Sequence[Any]) -> sqlite3.Cursor:
        if self._before is not None:
            self._before()
        return self.connection.execute(_in_sqlite(statement), values)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._execute(statement, values).fetchall()

    def run(self, statement: str, *values: Any) -> None:
        self._execute(statement, values)

    def changed(self, statement: str, *values: Any) -> int:
        return self._execute(statement, values).rowcount

    def many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        for values in rows:
            self._execute(statement, values)

    def lock_threads(self, tenant: str, thread_ids: Sequence[str]) -> None:  # noqa: ARG002 - the whole file is ours
        return None

    def lock_run(self, tenant: str, run_id: str) -> tuple[str | None, int, float] | None:
        rows = self.rows(schema.LEASE, tenant, run_id)
        return (rows[0][0], rows[0][1], rows[0][2]) if rows else None

    def next_token(self) -> int:
        return int(self.rows("UPDATE runbundle_tokens SET token = token + 1 RETURNING token")[0][0])


@lru_cache(maxsize=256)
def _in_sqlite(statement: str) -> str:
    return statement.replace("{json_items}", "json_each")


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)  # whatever it was: the state in it is raw. The files beside it take after it
    except OSError as error:
        raise StateUnavailable(f"the run state cannot be opened: {error.strerror}", hint=f"it is {path}") from None
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        _begin_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _begin_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead mode. SQLite does not wait for another process that does so: it says busy at once."""
    give_up = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


def _migrate(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > schema.VERSION:
            raise ConfigError("the run state was written by a later version of runbundle", hint="upgrade runbundle")
        for version in range(found + 1, schema.VERSION + 1):
            for statement in schema.MIGRATIONS[version]:
                connection.execute(statement.format(**_TYPES))
            connection.execute(f"PRAGMA user_version = {version}")
        if found == 0:
            connection.execute("CREATE TABLE runbundle_tokens (token INTEGER NOT NULL)")
            connection.execute("INSERT INTO runbundle_tokens VALUES (0)")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def _translated() -> Generator[None]:
    """Raise our errors for SQLite's, whose text is left out."""
    try:
        yield
    except RunStateError:
        raise
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise StateCorrupt(f"the run state is not a sound SQLite file: {name}") from None
        raise StateUnavailable(f"the run state cannot be used: {name}", hint="try again") from None
