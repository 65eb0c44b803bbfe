"""A run store in PostgreSQL, for runs that move between machines."""

import contextlib
import copy
import os
import threading
from collections.abc import Callable, Generator, Sequence
from functools import lru_cache
from typing import Any

import orjson

from runbundle.errors import ConfigError, StateConflict, StateCorrupt, StateUnavailable
from runbundle.format.identity import require_run_id
from runbundle.runstate.sql import SqlRunStore, Transaction, statements

POOL_SIZE = 10
WAIT_S = 30.0
"""Seconds to wait for a connection."""

_TYPES = {
    "text": 'text COLLATE "C"', "blob": "bytea", "json": "jsonb", "int": "bigint", "real": "double precision",
    "strict": "",
}  # fmt: skip
_MIGRATION_LOCK = 0x72756E62756E646C  # "runbundl"
_LOCK_THREAD = "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))"


class PostgresRunStore(SqlRunStore):
    """A run store in tables named `runbundle_*`, in the first schema of the search path.

    The first use connects, and creates or migrates the tables; of several processes that start at once, one does it.
    Leases expire by the clock of the server. Writers of one thread wait for each other, writers of different threads do
    not. Raises `ConfigError` for an invalid URL, without repeating it, and if `psycopg` is not installed. `wait_s` is
    how many seconds to wait for a connection.
    """

    def __init__(
        self, url: str, *, tenant: str = "default", pool_size: int = POOL_SIZE, wait_s: float = WAIT_S
    ) -> None:
        super().__init__(tenant)
        self._server = _Server(url, pool_size, wait_s)

    def for_tenant(self, tenant: str) -> "PostgresRunStore":
        """Return a store over the same tables and connections that acts for another tenant."""
        other = copy.copy(self)
        other.tenant = require_run_id(tenant, "tenant")
        return other

    def close(self) -> None:
        """Close all connections. The next use opens new ones."""
        self._server.close()

    def _reading(self) -> contextlib.AbstractContextManager[Transaction]:
        return self._server.transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", self._before)

    def _writing(self, *, alone: bool = False) -> contextlib.AbstractContextManager[Transaction]:
        # Whatever the default of the database: a transaction that waited for a lock must see the commits since.
        return self._server.transaction("" if alone else "BEGIN ISOLATION LEVEL READ COMMITTED", self._before)

    def _equals(self, key: str, value: Any) -> tuple[str, tuple[Any, ...]]:
        return "metadata -> CAST(? AS text) = CAST(? AS jsonb)", (key, orjson.dumps(value).decode())


class _Server:
    """The connections that all stores over a database share."""

    def __init__(self, url: str, pool_size: int, wait_s: float) -> None:
        self._psycopg, self._pools = _psycopg()
        try:
            self._psycopg.conninfo.conninfo_to_dict(url)
        except self._psycopg.ProgrammingError:  # whose text quotes the URL, and with it a password
            raise ConfigError(
                "invalid PostgreSQL URL", hint="as in postgresql://user:password@host:5432/database"
            ) from None
        self._url, self._size, self._wait_s = url, pool_size, wait_s
        self._lock = threading.Lock()
        self._pool: Any = None
        self._pid = os.getpid()

    def close(self) -> None:
        with self._lock:
            if self._pool is not None and self._pid == os.getpid():
                self._pool.close()
                self._pool = None

    @contextlib.contextmanager
    def transaction(self, begin: str, before: Callable[[], None] | None) -> Generator[Transaction]:
        if self._pid != os.getpid():  # a forked child: connections are the parent's, and its threads are not here
            self._lock, self._pool, self._pid = threading.Lock(), None, os.getpid()
        with self._translated(), self._opened().connection() as connection:
            tx = _Transaction(connection, before)
            if not begin:
                yield tx
                return
            try:
                # Statements are sent together until rows are asked for. A failure is raised then, or at the end.
                with connection.pipeline() if before is None else contextlib.nullcontext():
                    tx.run(begin)
                    yield tx
                    tx.run("COMMIT")
            except BaseException:
                with contextlib.suppress(self._psycopg.Error):
                    connection.execute("ROLLBACK")
                raise

    def _opened(self) -> Any:
        if not self._lock.acquire(timeout=self._wait_s):  # while another is waiting for the first connection
            raise StateUnavailable("cannot reach the run state", hint="try again")
        try:
            if self._pool is None:
                pool = self._pools.ConnectionPool(
                    self._url, min_size=1, max_size=self._size, timeout=self._wait_s, open=False,
                    kwargs={"autocommit": True},
                )  # fmt: skip
                try:
                    pool.open()
                    with pool.connection() as connection:
                        _migrate(connection)
                except BaseException:
                    pool.close()
                    raise
                self._pool = pool
            return self._pool
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def _translated(self) -> Generator[None]:
        """Raise our errors for psycopg's, whose text may quote values."""
        try:
            yield
        except self._psycopg.Error as error:
            name = f"{type(error).__name__} {error.sqlstate or ''}".strip()
            if isinstance(error, self._psycopg.errors.SerializationFailure | self._psycopg.errors.DeadlockDetected):
                raise StateConflict(f"another transaction interfered: {name}", hint="try again") from None
            if isinstance(error, self._psycopg.errors.InvalidParameterValue | self._psycopg.errors.UndefinedTable):
                raise StateCorrupt(f"the run state is damaged: {name}") from None  # such as slots that are no object
            raise StateUnavailable(f"cannot use the run state: {name}", hint="try again") from None


class _Transaction:
    """Statements on a connection, within one transaction."""

    def __init__(self, connection: Any, before: Callable[[], None] | None) -> None:
        self._connection, self._before = connection, before

    def _execute(self, statement: str, values: Sequence[Any]) -> Any:
        if self._before is not None:
            self._before()
        return self._connection.cursor(binary=True).execute(_in_postgres(statement), values)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._execute(statement, values).fetchall()

    def run(self, statement: str, *values: Any) -> None:
        self._execute(statement, values)

    def changed(self, statement: str, *values: Any) -> int:
        return len(self._execute(f"{statement} RETURNING 1", values).fetchall())

    def many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        for values in rows:
            self._execute(statement, values)

    def lock_threads(self, tenant: str, thread_ids: Sequence[str]) -> None:
        for thread_id in thread_ids:  # in an order that is the same for all, so that none waits for each other
            self.run(_LOCK_THREAD, f"runbundle/{tenant}/{thread_id}")

    def lock_run(self, tenant: str, run_id: str) -> tuple[str | None, int, float] | None:
        rows = self.rows(f"{statements.LEASE} FOR UPDATE", tenant, run_id)
        return (rows[0][0], rows[0][1], rows[0][2]) if rows else None

    def now(self) -> float:
        return float(self.rows("SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision)")[0][0])

    def next_token(self) -> int:
        return int(self.rows("SELECT nextval('runbundle_tokens')")[0][0])


@lru_cache(maxsize=256)
def _in_postgres(statement: str) -> str:
    return statement.replace("{json_items}", "jsonb_each_text").replace("?", "%s")


def _migrate(connection: Any) -> None:
    """Bring the tables up to date, in one transaction; of processes that begin at once one does it, and all wait."""

    def version() -> int:
        return connection.execute("SELECT coalesce(max(version), 0) FROM runbundle_schema").fetchone()[0]

    exists = connection.execute("SELECT to_regclass('runbundle_schema')").fetchone()[0] is not None
    if exists and version() == statements.VERSION:
        return  # a user who may only read and write rows gets this far
    connection.isolation_level = 2  # read committed, as in every transaction that waits for a lock
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
        # Not asked for by name again: this connection may still remember that there was none.
        connection.execute("CREATE TABLE IF NOT EXISTS runbundle_schema (version bigint PRIMARY KEY)")
        found = version()
        if found > statements.VERSION:
            raise ConfigError("the run state was written by a later version of runbundle", hint="upgrade runbundle")
        if found == 0:
            connection.execute("CREATE SEQUENCE runbundle_tokens")
        for number in range(found + 1, statements.VERSION + 1):
            for statement in statements.MIGRATIONS[number]:
                connection.execute(statement.format(**_TYPES))
            connection.execute("INSERT INTO runbundle_schema VALUES (%s)", (number,))


def _psycopg() -> tuple[Any, Any]:
    try:
        import psycopg
        import psycopg_pool
    except ImportError:
        raise ConfigError("PostgreSQL needs psycopg", hint="pip install 'runbundle[postgres]'") from None
    return psycopg, psycopg_pool
