"""Rows of an index as objects: none is missing while they are packed, and damaged ones are none."""

from typing import Any

from runbundle.bundle.catalog.objects import add_row, load_rows, new_rows, pack, write_pack
from runbundle.bundle.catalog.rows import Row, row_of
from runbundle.store import MemoryStore
from tests.support import handmade


class _Beside(MemoryStore):
    def list(self, prefix: str = "") -> Any:  # type: ignore[override]
        return super().list(prefix)

    def discard(self, keys: Any) -> None:
        for key in keys:
            self.delete(key)


class _Store:
    """An object store as far as an index needs one."""

    url = "s3://bucket"

    def __init__(self) -> None:
        self._index = _Beside()

    def beside(self, name: str) -> _Beside:
        assert name == "index"
        return self._index


def row(key: str, revision: int = 1) -> Row:
    """Return the row of a bundle."""
    return row_of(key, handmade.index(handmade.files()) | {"revision": revision})


def test_rows_are_the_same_before_and_after_they_are_packed() -> None:
    """Of a bundle's rows that of the highest revision counts; adding one twice changes nothing."""
    store: Any = _Store()
    for added in (row("a"), row("b"), row("a", 2), row("b")):
        add_row(store, added)
    expected = {"a": 2, "b": 1}
    assert {found.key: found.revision for found in load_rows(store)} == expected
    pack(store)
    assert len(list(store.beside("index").list())) == 1
    assert {found.key: found.revision for found in load_rows(store)} == expected


def test_only_objects_that_were_not_seen_are_read() -> None:
    """Their names say which: no object ever changes."""
    store: Any = _Store()
    add_row(store, row("a"))
    names, rows = new_rows(store, ())
    assert [found.key for found in rows] == ["a"]
    assert new_rows(store, set(names)) == (names, [])


def test_a_pack_replaces_what_it_was_made_of_and_nothing_else() -> None:
    """A row that was added meanwhile stays."""
    store: Any = _Store()
    add_row(store, row("a"))
    before = list(store.beside("index").list())
    add_row(store, row("b"))
    write_pack(store, [row("a")], instead_of=before)
    assert sorted(found.key for found in load_rows(store)) == ["a", "b"]


def test_a_damaged_object_has_no_rows() -> None:
    """Its bundles are read again; the other objects are."""
    store: Any = _Store()
    add_row(store, row("a"))
    store.beside("index").put("packs/damaged", b"\x1f\x8b")
    store.beside("index").put("rows/damaged", b"{")
    assert [found.key for found in load_rows(store)] == ["a"]
