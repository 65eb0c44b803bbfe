"""What SQLite and PostgreSQL do differently, as one interface: a transaction, and a store that begins them."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import orjson

from runbundle.models.identity import require_run_id
from runbundle.runstate import checks
from runbundle.runstate.base import RunStore
from runbundle.runstate.recent import Recent


class Tx(Protocol):
    """A transaction of a backend: `?` in a statement stands for the next value."""

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        ...

    def run(self, statement: str, *values: Any) -> None:
        """Execute a statement; if it fails, this or a later one says so."""
        ...

    def changed(self, statement: str, *values: Any) -> int:
        """Execute a statement; return how many rows it changed."""
        ...

    def many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute a statement for each row of values."""
        ...

    def lock_threads(self, tenant: str, thread_ids: Sequence[str]) -> None:
        """Keep others from writing to these threads until the end."""
        ...

    def lock_run(self, tenant: str, run_id: str) -> tuple[str | None, int, float] | None:
        """Return owner, token and expiry of a run's lease; none may change until the end."""
        ...

    def now(self) -> float:
        """Return seconds since the epoch, by the clock that all users of the database share."""
        ...

    def next_token(self) -> int:
        """Return a number greater than all it has returned."""
        ...


class SqlStore(RunStore):
    """A store that begins transactions. Its methods are in the classes that inherit, each about one subject."""

    def __init__(self, tenant: str) -> None:
        self.tenant = require_run_id(tenant, "tenant")
        self._before: Callable[[], None] | None = None
        self._recent = Recent()

    def watch(self, before: Callable[[], None] | None) -> None:
        """Have `before` called ahead of each statement."""
        self._before = before

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Tx]:
        """Begin a transaction that sees one state of the database."""

    @abstractmethod
    def _writing(self, *, alone: bool = False) -> AbstractContextManager[Tx]:
        """Begin a transaction that is committed at the end, or rolled back on an error.

        `alone` promises a single statement, which is a transaction already.
        """

    @abstractmethod
    def _equals(self, key: str, value: Any) -> tuple[str, tuple[Any, ...]]:
        """Return a condition on `metadata`, without any of the caller's text, and the values to bind."""

    def _where(self, columns: Mapping[str, str | None], where: Mapping[str, Any] | None) -> tuple[str, tuple[Any, ...]]:
        """Return conditions and the values to bind; `columns` are named here, `where` by whoever calls."""
        conditions, values = ["tenant = ?"], [self.tenant]
        for column, value in columns.items():
            if value is not None:
                conditions.append(f"{column} = ?")
                values.append(checks.check_text(value, column, limit=checks.MAX_NS_BYTES, empty=True))
        for key, value in (where or {}).items():
            checks.check_text(key, "key of metadata", empty=True)
            condition, bound = self._equals(key, orjson.loads(checks.metadata_json({"": value}))[""])
            conditions.append(condition)
            values.extend(bound)
        return " AND ".join(conditions), tuple(values)
