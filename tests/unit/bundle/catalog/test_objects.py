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


def row(key: str, revision: int = 1) -> Row:
    """Return the row of a bundle."""
    return row_of(key, handmade.index(handmade.files()) | {"revision": revision})


def test_rows_are_the_same_before_and_after_they_are_packed() -> None:
    """Of a bundle's rows that of the highest revision counts; adding one twice changes nothing."""
    beside = _Beside()
    for added in (row("a"), row("b"), row("a", 2), row("b")):
        add_row(beside, added)
    expected = {"a": 2, "b": 1}
    assert {found.key: found.revision for found in load_rows(beside)} == expected
    pack(beside)
    assert len(list(beside.list())) == 1
    assert {found.key: found.revision for found in load_rows(beside)} == expected


def test_only_objects_that_were_not_seen_are_read() -> None:
    """Their names say which: no object ever changes."""
    beside = _Beside()
    add_row(beside, row("a"))
    names, rows = new_rows(beside, ())
    assert [found.key for found in rows] == ["a"]
    assert new_rows(beside, set(names)) == (names, [])


def test_a_pack_replaces_what_it_was_made_of_and_nothing_else() -> None:
    """A row that was added meanwhile stays."""
    beside = _Beside()
    add_row(beside, row("a"))
    before = list(beside.list())
    add_row(beside, row("b"))
    write_pack(beside, [row("a")], instead_of=before)
    assert sorted(found.key for found in load_rows(beside)) == ["a", "b"]


def test_a_damaged_object_has_no_rows() -> None:
    """Its bundles are read again; the other objects are."""
    beside = _Beside()
    add_row(beside, row("a"))
    beside.put("packs/damaged", b"\x1f\x8b")
    beside.put("rows/damaged", b"{")
    assert [found.key for found in load_rows(beside)] == ["a"]
