"""Our own run stores pass the suite that we ship; encryption in front of one passes it too."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from runbundle.runstate import EncryptedRunStore, PostgresRunStore, RunStore, SqliteRunStore
from runbundle.testing import RunStoreTests
from tests.support import databases

KEY = b"a key for tests only"


class Closing(RunStoreTests):
    """Closes, at the end of each test, the stores that it made."""

    @pytest.fixture(autouse=True)
    def _close(self) -> Iterator[None]:
        self.opened: list[RunStore] = []
        yield
        for store in self.opened:
            store.close()

    def open(self, store: RunStore) -> RunStore:
        """Have a store closed later."""
        self.opened.append(store)
        return store


class TestSqlite(Closing):
    """SQLite."""

    def make_store(self) -> RunStore:
        """Return a store in a new file."""
        self.path = Path.cwd() / f"{uuid4().hex}.sqlite"
        return self.open(SqliteRunStore(self.path))

    def reopen(self, store: RunStore) -> RunStore:
        """Return another over the file."""
        return self.open(SqliteRunStore(self.path))

    def code_to_open(self, store: RunStore) -> str:
        """Name the file."""
        return f"from runbundle.runstate import SqliteRunStore\nstore = SqliteRunStore({str(self.path)!r})"


class TestPostgres(Closing):
    """PostgreSQL."""

    @pytest.fixture(autouse=True)
    def _schema(self, postgres_server: str, _close: None) -> Iterator[None]:
        with databases.schema(postgres_server) as self.url:
            yield
            for store in self.opened:
                store.close()

    def make_store(self) -> RunStore:
        """Return a store in a new schema."""
        return self.open(PostgresRunStore(self.url))

    def reopen(self, store: RunStore) -> RunStore:
        """Return another over the schema."""
        return self.open(PostgresRunStore(self.url, pool_size=2))

    def code_to_open(self, store: RunStore) -> str:
        """Name the schema."""
        return f"from runbundle.runstate import PostgresRunStore\nstore = PostgresRunStore({self.url!r})"


class TestEncrypted(TestSqlite):
    """SQLite behind encryption."""

    def make_store(self) -> RunStore:
        """Return a store in a new file, under a key."""
        return EncryptedRunStore(super().make_store(), KEY)

    def reopen(self, store: RunStore) -> RunStore:
        """Return another over the file, under the key."""
        return EncryptedRunStore(super().reopen(store), KEY)

    def code_to_open(self, store: RunStore) -> str:
        """Name the file, and the key."""
        code = super().code_to_open(store)
        return f"{code}\nfrom runbundle.runstate import EncryptedRunStore\nstore = EncryptedRunStore(store, {KEY!r})"
