"""A store that begins transactions: what SQLite and PostgreSQL do differently, as one interface."""

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import orjson

from runbundle.format.identity import require_run_id
from runbundle.runstate import checks
from runbundle.runstate.base import RunStore
from runbundle.runstate.guard import Guard
from runbundle.runstate.sql.ledger import Ledger, Seen
from runbundle.runstate.sql.recent import Recent
from runbundle.runstate.sql.tx import Tx


class SqlStore(RunStore):
    """A store that begins transactions. Its methods are in the classes that inherit, each about one subject."""

    def __init__(self, tenant: str) -> None:
        self.tenant = require_run_id(tenant, "tenant")
        self._before: Callable[[], None] | None = None
        self._recent = Recent()
        self._guard: Guard | None = None
        self._seen: Seen = {}

    def guarded(self, guard: Guard) -> "SqlStore":
        """Return a store over the same database that keeps notes."""
        other = copy.copy(self)
        other._guard, other._seen = guard, {}
        return other

    def _ledger(self, tx: Tx) -> Ledger:
        return Ledger(tx, self._guard, self.tenant, self._seen)

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
