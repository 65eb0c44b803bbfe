"""A third party's store passes the suite that we ship with this much code."""

from pathlib import Path
from tempfile import mkdtemp

from runbundle.store import ArtifactStore
from runbundle.testing import StoreTests
from tests.conformance.toy_store import RowStore


class TestRowStore(StoreTests):
    """Rows of SQLite."""

    examples = 5

    def make_store(self) -> RowStore:
        """Return a store in a new file."""
        return RowStore(f"{mkdtemp(dir=Path.cwd())}/db")

    def raw_put(self, store: ArtifactStore, key: str, data: bytes) -> None:
        """Insert the row."""
        assert isinstance(store, RowStore)
        store.run("REPLACE INTO files VALUES (?, ?)", key, data)

    def raw_get(self, store: ArtifactStore, key: str) -> bytes | None:
        """Select the row."""
        assert isinstance(store, RowStore)
        return next((data for (data,) in store.run("SELECT data FROM files WHERE key = ?", key)[0]), None)


def test_this_file_is_short() -> None:
    """The suite asks for under forty lines."""
    assert len(Path(__file__).read_text().splitlines()) < 40
