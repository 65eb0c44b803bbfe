"""One SQLite file: created, opened, migrated, and shared by the threads of a process.

Locks of SQLite belong to the process. If any descriptor of the file is closed, the process loses all of them; and a
forked child believes that it holds the locks of its parent, which it does not. Either way another process could take
the file for unused, and delete the write-ahead log that is being written. So this module opens the file itself only to
create it, before anybody else can use it, and closes each file ahead of a fork, as soon as its user is done.
"""

import contextlib
import errno
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Generator
from pathlib import Path

from runbundle.errors import ConfigError, RunStateError, StateCorrupt, StateUnavailable
from runbundle.process import forks
from runbundle.process.disk import create, make_folder
from runbundle.runstate.sql import statements

BUSY_S = 30.0
"""Seconds to wait for another process to finish its transaction."""

_TYPES = {"text": "TEXT", "blob": "BLOB", "json": "TEXT", "int": "INTEGER", "real": "REAL", "strict": " STRICT"}
_MAKING = threading.Lock()  # no other thread opens a file before the one that makes it has closed it


class SqliteFile:
    """The connection that all stores over a file share. One thread at a time uses it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._in_use = False
        _FORKS.watch(self)

    def close(self) -> None:
        """Close the connection. The next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextlib.contextmanager
    def connection(self) -> Generator[sqlite3.Connection]:
        """Return a context that yields the connection, which belongs to this thread until the end of the block.

        Errors of SQLite are raised as `RunStateError` and its subclasses.
        """
        with self._lock, _translated():
            outer, self._in_use = self._in_use, True
            try:
                if self._connection is None:
                    self._connection = _open(self.path)
                yield self._connection
            finally:
                self._in_use = outer

    def before_fork(self) -> None:
        """Close the connection, unless the forking thread is using it, and keep all other threads from using it."""
        self._lock.acquire()
        if not self._in_use:
            with contextlib.suppress(sqlite3.Error):  # one that will not close is left to the parent, as one in use is
                self.close()

    def after_fork(self) -> None:
        """Let threads use the connection again, after the fork, in the parent."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Give a connection that was in use up to the parent, and let threads connect again."""
        if self._connection is not None:
            _INHERITED.append(self._connection)
            self._connection = None
        self.after_fork()


_INHERITED: list[sqlite3.Connection] = []  # not ours to close


class _Forks:
    """Closes files ahead of forks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: weakref.WeakSet[SqliteFile] = weakref.WeakSet()
        self._held: list[SqliteFile] = []
        forks.around(
            forks.Stage.DATABASES,
            before=self._before,
            in_parent=lambda: self._after(SqliteFile.after_fork),
            in_child=lambda: self._after(SqliteFile.after_fork_in_child),
        )

    def watch(self, file: SqliteFile) -> None:
        with self._lock:
            self._files.add(file)

    def _before(self) -> None:
        self._lock.acquire()
        self._held = list(self._files)
        for file in self._held:
            file.before_fork()

    def _after(self, go_on: Callable[[SqliteFile], None]) -> None:
        held, self._held = self._held, []
        for file in held:
            go_on(file)
        self._lock.release()


_FORKS = _Forks()


def _open(path: Path) -> sqlite3.Connection:
    try:
        _make(path)
    except OSError as error:
        raise StateUnavailable(f"cannot open the run state: {error.strerror}", hint=f"it is {path}") from None
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


def _make(path: Path) -> None:
    """Have a file there that is ours alone: the state in it is raw."""
    path = path.resolve()
    make_folder(path.parent)
    with _MAKING:
        try:
            os.close(create(path, os.O_RDWR | os.O_EXCL))
        except FileExistsError:
            if not path.is_file():
                raise OSError(errno.EINVAL, "not a file") from None
    for end in ("", "-wal", "-shm"):  # whatever they were; others take after the first
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + end).chmod(0o600)


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
    if connection.execute("PRAGMA user_version").fetchone()[0] == statements.VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > statements.VERSION:
            raise ConfigError("the run state was written by a later version of runbundle", hint="upgrade runbundle")
        for version in range(found + 1, statements.VERSION + 1):
            for statement in statements.MIGRATIONS[version]:
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
        # Code 1 means that a statement is wrong. Ours are right, so the file is not: a column holds no JSON, or a table
        # is not ours. Text that is not UTF-8 has no code at all.
        unsound = (0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_MISMATCH)
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in unsound:
            raise StateCorrupt(f"the run state is not a sound SQLite file: {name}") from None
        raise StateUnavailable(f"cannot use the run state: {name}", hint="try again") from None
