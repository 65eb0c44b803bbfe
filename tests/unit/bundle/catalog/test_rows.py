"""Rows of an index: made from run.json, completed from the other files, refused if they are none."""

from pathlib import Path

import orjson
import pytest

from runbundle.bundle.catalog.cache_file import folder_identity, index_file
from runbundle.bundle.catalog.database import connect, forget_other_root, save
from runbundle.bundle.catalog.facts import acts_of
from runbundle.bundle.catalog.rows import (
    batches,
    checked_row,
    facts_in_files,
    problem_row,
    read_row,
    row_of,
    row_with_facts,
    stamp_of,
    stored_facts,
    with_facts,
)
from runbundle.store import LocalStore, MemoryStore
from tests.support import handmade


def test_a_row_says_what_run_json_says() -> None:
    """Also one that is read from a store, and each is one that an index may hold."""
    said = handmade.index(handmade.files())
    row = row_of(handmade.KEY, said)
    assert (row.run_id, row.status, row.completeness, row.tool_calls, row.acts) == (
        handmade.KEY,
        "ok",
        "complete",
        1,
        None,
    )
    assert read_row(handmade.build(), handmade.KEY) == row
    assert checked_row(tuple(row)) == row


def test_what_is_no_bundle_has_a_row_with_its_problem() -> None:
    """Unsealed, or the reason why run.json cannot be read."""
    store = MemoryStore()
    store.put("a/events.jsonl", b"")
    store.put("b/run.json", b"{}")
    assert read_row(store, "a") == problem_row("a", "unsealed")
    assert read_row(store, "b").problem not in ("", "unsealed")
    assert checked_row(tuple(problem_row("t/a", "unsealed"))) is not None


def test_facts_come_from_the_files_and_from_the_store_alike() -> None:
    """Tools from tool_calls.json, agents from events.jsonl; large files are left for later."""
    files = handmade.files()
    agent = handmade.event(5, "span.started", handmade.TOOL, op="agent", name="invoke_agent boss")
    files["events.jsonl"] += orjson.dumps(agent, option=orjson.OPT_SORT_KEYS) + b"\n"
    said = handmade.index(files)
    store = handmade.build(content=files)
    found = facts_in_files(files, said)
    assert found == stored_facts(store, handmade.KEY, said)
    assert found is not None
    assert [(act.kind, act.name, act.status, act.calls, act.total_ns) for act in found.acts] == [
        ("tool", "search", "ok", 1, 30)
    ]
    assert found.agents == ["boss"]
    row = row_of(handmade.KEY, said)
    assert row_with_facts(store, row) == with_facts(row, found)
    assert acts_of(with_facts(row, found).acts) == found.acts
    for entry in said["files"]:
        entry["bytes"] = 2**30
    assert facts_in_files(files, said) is None
    assert row_with_facts(MemoryStore(), row).acts == ""


def test_a_stamp_changes_with_run_json_and_only_local_stores_have_one(tmp_path: Path) -> None:
    """Time, size and inode."""
    store = LocalStore(tmp_path / "store")
    assert stamp_of(store, handmade.KEY) == ""
    handmade.build(store)
    before = stamp_of(store, handmade.KEY)
    run = store.root / handmade.KEY / "run.json"
    run.write_bytes(run.read_bytes() + b" ")
    assert before != stamp_of(store, handmade.KEY) != ""
    assert stamp_of(handmade.build(), handmade.KEY) == ""


@pytest.mark.parametrize("count", [0, 1, 500, 501])
def test_batches_hold_every_item_once(count: int) -> None:
    """In order, and none is larger than a transaction should be."""
    made = list(batches(range(count)))
    assert [item for batch in made for item in batch] == list(range(count))
    assert all(0 < len(batch) <= 500 for batch in made)


def test_a_row_never_replaces_one_of_a_later_revision_unless_told_to() -> None:
    """Two seals may save in any order."""
    db = connect(None)
    row = row_of(handmade.KEY, handmade.index(handmade.files()))
    save(db, [row._replace(revision=2)])
    save(db, [row])
    assert db.execute("SELECT revision FROM runs").fetchall() == [(2,)]
    save(db, [row], instead=[row.key])
    assert db.execute("SELECT revision FROM runs").fetchall() == [(1,)]
    db.close()


def test_an_index_forgets_the_rows_of_another_folder(tmp_path: Path) -> None:
    """One that took the place of the first under its path; the same folder keeps its rows."""
    store = LocalStore(tmp_path / "store")
    assert folder_identity(store.root) == ""
    store.root.mkdir()
    (tmp_path / "other").mkdir()
    db = connect(None)
    for root, rows in (("1 1", 1), ("1 1", 1), ("2 2", 0)):
        forget_other_root(db, root)
        assert db.execute("SELECT count(*) FROM runs").fetchone()[0] in (0, rows)
        save(db, [problem_row("a", "unsealed")] if rows else [])
        assert db.execute("SELECT count(*) FROM runs").fetchone()[0] == rows
    assert folder_identity(store.root) != folder_identity(tmp_path / "other")
    db.close()


def test_an_index_lies_in_the_cache_folder_and_never_in_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file a store; none if the folder cannot be made."""
    monkeypatch.setenv("RUNBUNDLE_CACHE", str(tmp_path / "cache"))
    first, second = (index_file(LocalStore(tmp_path / name)) for name in ("one", "two"))
    assert first is not None
    assert first != second
    assert first.is_relative_to(tmp_path / "cache")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RUNBUNDLE_CACHE", str(tmp_path / "file" / "below"))
    assert index_file(LocalStore(tmp_path / "one")) is None
