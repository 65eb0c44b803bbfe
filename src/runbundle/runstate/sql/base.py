"""The base class of stores in a database. Its abstract methods are all that a backend has to provide."""

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
from runbundle.runstate.sql.ledger import Ledger, VerifiedLines
from runbundle.runstate.sql.slot_cache import SlotCache
from runbundle.runstate.sql.transaction import Transaction


class SqlStore(RunStore):
    """A store that reads and writes in transactions of a database.

    The methods of `RunStore` stand in the classes that inherit from it, one class for each subject.
    """

    def __init__(self, tenant: str) -> None:
        self.tenant = require_run_id(tenant, "tenant")
        self._before: Callable[[], None] | None = None
        self._slot_cache = SlotCache()
        self._guard: Guard | None = None
        self._verified: VerifiedLines = {}

    def guarded(self, guard: Guard) -> "SqlStore":
        """Return a store over the same database that keeps notes of its rows for `guard`."""
        other = copy.copy(self)
        other._guard, other._verified = guard, {}
        return other

    def _ledger(self, tx: Transaction) -> Ledger:
        return Ledger(tx, self._guard, self.tenant, self._verified)

    def watch(self, before: Callable[[], None] | None) -> None:
        """Call `before` ahead of every statement that the store sends from now on; None ends this."""
        self._before = before

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Transaction]:
        """Begin a transaction that reads one state of the database."""

    @abstractmethod
    def _writing(self, *, alone: bool = False) -> AbstractContextManager[Transaction]:
        """Begin a transaction that is committed at the end of the block, or rolled back on an error.

        `alone` promises that the block sends a single statement, which is a transaction by itself.
        """

    @abstractmethod
    def _equals(self, key: str, value: Any) -> tuple[str, tuple[Any, ...]]:
        """Return an SQL condition that a key of `metadata` has this value, and the values to bind.

        The condition contains none of the caller's text.
        """

    def _where(self, columns: Mapping[str, str | None], where: Mapping[str, Any] | None) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL conditions of a search, and the values to bind.

        Column names come from our code; the keys of `where` come from the caller and are always bound.
        """
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
