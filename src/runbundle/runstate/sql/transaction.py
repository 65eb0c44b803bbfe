"""The interface of a transaction, which SQLite and PostgreSQL both implement."""

from collections.abc import Sequence
from typing import Any, Protocol


class Transaction(Protocol):
    """One transaction on a connection. Each `?` of a statement is bound to the next value."""

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a query and return all of its rows."""
        ...

    def run(self, statement: str, *values: Any) -> None:
        """Run a statement. A failure may be raised only by a later statement, or at the commit."""
        ...

    def changed(self, statement: str, *values: Any) -> int:
        """Run a statement and return how many rows it changed."""
        ...

    def many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run a statement once for each row of values."""
        ...

    def lock_threads(self, tenant: str, thread_ids: Sequence[str]) -> None:
        """Lock threads, so that no other transaction writes to them before this one ends.

        Every caller passes them sorted: two transactions then never wait for each other.
        """
        ...

    def lock_run(self, tenant: str, run_id: str) -> tuple[str | None, int, float] | None:
        """Lock a run, and return the owner, token and expiry of its lease; None if there is no such run."""
        ...

    def now(self) -> float:
        """Return seconds since the epoch, by the clock that all users of the database share."""
        ...

    def next_token(self) -> int:
        """Return a number greater than every number that it has returned before."""
        ...
