"""The connections by which seals write rows into the indexes of local stores, kept open from one batch to the next.

One belongs to a file of an index, in one process. It is opened anew if another file lies at its path, after any error,
and after a fork: it is closed ahead of a fork, so that no child has it.
"""

import atexit
import contextlib
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from runbundle.bundle.catalog.cache_file import folder_identity, index_file
from runbundle.bundle.catalog.database import connect, forget_other_root, save
from runbundle.bundle.catalog.rows import Row
from runbundle.process import forks
from runbundle.store import ArtifactStore

MOST_KEPT = 4
"""Connections that are kept, the last used."""
_BUSY_S = 2.0  # for another process to finish; then the rows are left to readers


class _Kept:
    """The connections of this process. One thread at a time writes."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._connections: dict[Path, tuple[tuple[int, int], sqlite3.Connection]] = {}
        self._in_use = False
        self._inherited: list[sqlite3.Connection] = []  # not ours to close

    def note(self, path: Path, folder: Path, rows: Sequence[Row]) -> None:
        """Write rows into the index at `path`, of the store in `folder`, in one transaction.

        Raises `sqlite3.Error` or `OSError`.
        """
        with self._lock:
            outer, self._in_use = self._in_use, True
            try:
                for last in (False, True):
                    try:
                        db = self._connection(path)
                        forget_other_root(db, folder_identity(folder))
                        save(db, rows)
                    except sqlite3.OperationalError:  # locked, no space
                        self._drop(path)
                        raise
                    except sqlite3.DatabaseError:  # damaged since it was opened: that replaces it
                        self._drop(path)
                        if last:
                            raise
                    else:
                        return
            finally:
                self._in_use = outer

    def _connection(self, path: Path) -> sqlite3.Connection:
        known = self._connections.pop(path, None)  # the last used is the last in the dict
        if known is not None:
            with contextlib.suppress(OSError):
                status = path.lstat()
                if known[0] == (status.st_dev, status.st_ino):
                    self._connections[path] = known
                    return known[1]
            known[1].close()
        db = connect(path, busy_s=_BUSY_S, any_thread=True)
        try:
            status = path.lstat()
        except OSError:
            db.close()
            raise
        self._connections[path] = (status.st_dev, status.st_ino), db
        while len(self._connections) > MOST_KEPT:
            self._drop(next(iter(self._connections)))
        return db

    def _drop(self, path: Path) -> None:
        known = self._connections.pop(path, None)
        if known is not None:
            with contextlib.suppress(sqlite3.Error):
                known[1].close()

    def close(self) -> None:
        """Close all connections. The next rows open them again."""
        with self._lock:
            for path in list(self._connections):
                self._drop(path)

    def before_fork(self) -> None:
        """Close the connections, unless the forking thread is using one, and keep other threads from using them."""
        self._lock.acquire()
        if not self._in_use:
            self.close()

    def after_fork(self) -> None:
        """Let threads write again, in the parent."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Give up what was in use to the parent, and let threads write again."""
        self._inherited += [db for _, db in self._connections.values()]
        self._connections = {}
        self._lock.release()


_KEPT = _Kept()
forks.around(
    forks.Stage.DATABASES,
    before=_KEPT.before_fork,
    in_parent=_KEPT.after_fork,
    in_child=_KEPT.after_fork_in_child,
)
atexit.register(_KEPT.close)


def note(store: ArtifactStore, folder: Path, rows: Sequence[Row]) -> None:
    """Write rows into the index of a store that is `folder`, if it can be kept. Raises `sqlite3.Error`, `OSError`."""
    path = index_file(store)
    if path is not None and rows:
        _KEPT.note(path, folder, rows)


def close() -> None:
    """Close what is kept open. The next rows open it again."""
    _KEPT.close()
