"""What a store can do is asked of the store: one around another, or of somebody else's, has it as well."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

import runbundle
from runbundle.bundle.catalog.cache_file import index_file
from runbundle.bundle.catalog.index import add_to_index, index_of
from runbundle.bundle.search.filters import RunFilter
from runbundle.bundle.verify import verify
from runbundle.errors import StoreUnavailable
from runbundle.store import ArtifactStore, LocalStore, MemoryStore
from runbundle.store.base import Body
from runbundle.store.url import require_there
from tests.support.handmade import KEY, build


class Around(ArtifactStore):
    """Passes the least on that an author must write, and what lies beside; `folder` if it is told to."""

    def __init__(self, store: ArtifactStore, beside: ArtifactStore | None = None, folder: Path | None = None) -> None:
        self.store, self._beside, self._folder = store, beside, folder
        self.listed = 0

    @property
    def url(self) -> str:
        """That of the store within."""
        return self.store.url

    @property
    def folder(self) -> Path | None:
        """As told."""
        return self._folder

    def beside(self, name: str) -> ArtifactStore | None:
        """As told."""
        return self._beside

    def put(self, key: str, data: Body, *, overwrite: bool = False) -> None:
        """Pass on."""
        self.store.put(key, data, overwrite=overwrite)

    def get(self, key: str) -> bytes:
        """Pass on."""
        return self.store.get(key)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Pass on."""
        return self.store.get_range(key, start, length)

    def open(self, key: str) -> BinaryIO:
        """Pass on."""
        return self.store.open(key)

    def size(self, key: str) -> int:
        """Pass on."""
        return self.store.size(key)

    def list(self, prefix: str = "") -> Iterator[str]:
        """Pass on."""
        self.listed += 1
        return self.store.list(prefix)

    def list_dirs(self, prefix: str = "") -> Iterator[str]:
        """Pass on."""
        self.listed += 1
        return self.store.list_dirs(prefix)

    def delete(self, key: str) -> None:
        """Pass on."""
        self.store.delete(key)


def filled(store: ArtifactStore) -> ArtifactStore:
    """Put a bundle there."""
    made = build()
    for key in made.list():
        store.put(key, made.get(key))
    return store


def test_a_store_around_a_folder_is_indexed_and_checked_as_one(tmp_path: Path) -> None:
    """Its index is the user's file, and verify finds in the folder what no listing shows."""
    inner = filled(LocalStore(tmp_path / "store"))
    store = Around(inner, folder=inner.folder)
    index = index_of(store)
    assert [row.key for row in index.runs(RunFilter())] == [KEY]
    index.close()
    listed = store.listed
    index_of(store).close()
    assert store.listed == listed  # the folder is looked at directly
    path = index_file(store)
    assert path is not None
    assert path.exists()
    assert verify(store, KEY).verdict == "unchanged"
    (tmp_path / "store" / KEY / ".stray").write_bytes(b"")
    assert [f.code for f in verify(store, KEY).findings] == ["RB203"]
    assert verify(Around(inner), KEY).findings == []  # one that says it is no folder is not looked into


def test_what_lies_beside_a_store_takes_up_its_index() -> None:
    """A seal adds a row there, and a reader begins with it."""
    beside = MemoryStore()
    store = Around(filled(MemoryStore()), beside)
    add_to_index(store, KEY, store.get(f"{KEY}/run.json"))
    assert [key.partition("/")[0] for key in beside.list()] == ["rows"]
    index = index_of(store)
    assert [row.key for row in index.runs(RunFilter())] == [KEY]
    index.close()


def test_a_folder_that_is_not_there_is_no_empty_store(tmp_path: Path) -> None:
    """To read from it is an error; to read from a store that is no folder is not."""
    with pytest.raises(StoreUnavailable, match="is not there"):
        require_there(Around(MemoryStore(), folder=tmp_path / "none"))
    require_there(Around(MemoryStore()))


def test_nobody_asks_a_store_for_its_class() -> None:
    """Outside the store's own room no module tells stores apart by class or by the methods that they happen to have."""
    source = Path(runbundle.__file__).parent
    asks = re.compile(r"isinstance\([^()]*(?:Local|Memory|Object)Store\)|hasattr\((?:\w+\.)*_?store,")
    assert [path.name for path in source.rglob("*.py") if asks.search(path.read_text())] == []
