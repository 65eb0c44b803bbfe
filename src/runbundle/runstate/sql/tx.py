"""A transaction, as SQLite and PostgreSQL both have it."""

from collections.abc import Sequence
from typing import Any, Protocol


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
