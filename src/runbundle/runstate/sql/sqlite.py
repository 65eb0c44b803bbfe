"""A run store in one SQLite file."""

import contextlib
import copy
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from runbundle.format.identity import require_run_id
from runbundle.runstate.sql import SqlRunStore, Transaction, statements
from runbundle.runstate.sql.sqlite_file import SqliteFile


class SqliteRunStore(SqlRunStore):
    """A run store in one file in write-ahead mode. Every commit is synced, so written data survives a power failure.

    The file is 0600, and a folder made for it 0700. Several threads and processes of one machine may use it; one at a
    time writes. Nothing is created before the first use. `clock` returns seconds since the epoch: leases expire by it.
    """

    def __init__(self, path: str | Path, *, tenant: str = "default", clock: Callable[[], float] = time.time) -> None:
        super().__init__(tenant)
        self._file = SqliteFile(Path(path).absolute())
        self._clock = clock

    @property
    def path(self) -> Path:
        """The path of the file, absolute."""
        return self._file.path

    def for_tenant(self, tenant: str) -> "SqliteRunStore":
        """Return a store over the same file that acts for another tenant."""
        other = copy.copy(self)
        other.tenant = require_run_id(tenant, "tenant")
        return other

    def close(self) -> None:
        """Close the file if it is open. The next use opens it again."""
        self._file.close()

    def _reading(self) -> contextlib.AbstractContextManager[Transaction]:
        return self._transaction("BEGIN")

    def _writing(self, *, alone: bool = False) -> contextlib.AbstractContextManager[Transaction]:
        return self._transaction("" if alone else "BEGIN IMMEDIATE")

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Generator[Transaction]:
        with self._file.connection() as connection:
            tx = _Transaction(connection, self._before, self._clock)
            if not begin:
                yield tx
                return
            try:
                tx.run(begin)
                yield tx
                tx.run("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

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


class _Transaction:
    """Statements on a connection, within one transaction."""

    def __init__(
        self, connection: sqlite3.Connection, before: Callable[[], None] | None, clock: Callable[[], float]
    ) -> None:
        self._connection, self._before, self.now = connection, before, clock

    def _execute(self, statement: str, values: Sequence[Any]) -> sqlite3.Cursor:
        if self._before is not None:
            self._before()
        return self._connection.execute(_in_sqlite(statement), values)

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
        rows = self.rows(statements.LEASE, tenant, run_id)
        return (rows[0][0], rows[0][1], rows[0][2]) if rows else None

    def next_token(self) -> int:
        return int(self.rows("UPDATE runbundle_tokens SET token = token + 1 RETURNING token")[0][0])


@lru_cache(maxsize=256)
def _in_sqlite(statement: str) -> str:
    return statement.replace("{json_items}", "json_each")
