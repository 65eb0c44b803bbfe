"""A baseline names runs by digest, with who and why; its entries are never changed, and its runs are kept."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbundle.bundle.catalog.keys import list_keys
from runbundle.bundle.custody import baselines
from runbundle.bundle.custody.holds import hold, hold_of
from runbundle.bundle.custody.retention import plan
from runbundle.bundle.custody.transfer import copy
from runbundle.bundle.reader import Bundle
from runbundle.errors import ConfigError, KeyNotFound, MalformedBundle, StoreUnavailable, WriteConflict
from runbundle.format.canonical import sha256_hex
from runbundle.format.evaluation import Gate
from runbundle.store import LocalStore, MemoryStore
from tests.support.golden import INDEX, KEY, V1


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """Hold the golden bundle."""
    made = LocalStore(tmp_path / "s")
    copy(V1, KEY, made)
    return made


def add(store: LocalStore, name: str = "main", **more: str) -> baselines.Kept:
    """Add an entry with the golden run."""
    return baselines.add(store, name, [Bundle.open(store, KEY)], **{"by": "ada", "reason": "release 1", **more})


def test_an_entry_names_its_runs_by_digest_and_follows_the_one_before(store: LocalStore) -> None:
    """Read back as it was made; no listing of runs shows it."""
    first = add(store)
    second = add(store, reason="release 2")
    assert first.entry.subjects[0].run_sha256 == sha256_hex(INDEX)
    assert (first.entry.number, first.entry.previous) == (1, None)
    assert (second.entry.number, second.entry.previous) == (2, first.sha256)
    assert baselines.latest(store, "main") == second
    assert list(baselines.history(store, "main")) == [first, second]
    assert baselines.names(store) == ["main"]
    assert list(list_keys(store)) == [KEY]
    assert first.ref.sha256 == first.sha256


def test_its_runs_are_kept_from_gc_and_a_hold_that_is_there_stays(store: LocalStore) -> None:
    """With the name of the baseline as the reason."""
    add(store)
    held = hold_of(store, KEY)
    assert held is not None
    assert held.reason == "baseline main"
    later = datetime(2100, 1, 1, tzinfo=UTC)
    assert [item.action for item in plan(store, older_than=None, keep_last=0, now=later)] == ["held"]
    other = LocalStore(store.root.parent / "t")
    copy(V1, KEY, other)
    hold(other, KEY, "case 4711")
    add(other)
    kept = hold_of(other, KEY)
    assert kept is not None
    assert kept.reason == "case 4711"


def test_an_entry_that_was_edited_is_refused(store: LocalStore) -> None:
    """Also one that stands in the place of another, and a broken chain."""
    add(store)
    add(store)
    place = baselines.place_of(store)
    good = place.get("main/1.json")
    place.put("main/1.json", good.replace(b"ada", b"bob"), overwrite=True)
    with pytest.raises(MalformedBundle, match="was edited"):
        baselines.read(store, "main", 1)
    place.put("main/1.json", place.get("main/2.json"), overwrite=True)
    with pytest.raises(MalformedBundle, match="was edited"):
        baselines.read(store, "main", 1)
    place.put("main/1.json", good, overwrite=True)
    place.delete("main/1.json")
    with pytest.raises(MalformedBundle, match="does not follow"):
        list(baselines.history(store, "main"))


def test_of_two_who_add_the_same_entry_one_is_told(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry of the other stays."""
    first = add(store)
    monkeypatch.setattr(baselines, "_numbers", lambda *_: [])
    with pytest.raises(WriteConflict):
        add(store, reason="meanwhile")
    monkeypatch.undo()
    assert baselines.latest(store, "main") == first


def test_what_is_no_baseline_is_refused(store: LocalStore) -> None:
    """A name that is none, no reason, nobody, no runs, one twice; and a store that has no place for it."""
    for name in ("", "../x", "a b", "x" * 65, "a."):
        with pytest.raises(ConfigError):
            add(store, name)
    for missing in ("by", "reason"):
        with pytest.raises(ConfigError):
            add(store, **{missing: " "})
    bundle = Bundle.open(store, KEY)
    for bundles in ([], [bundle, bundle]):
        with pytest.raises(ConfigError):
            baselines.add(store, "main", bundles, by="a", reason="b")
    with pytest.raises(KeyNotFound, match="no baseline none"):
        baselines.latest(store, "none")
    add(store)
    with pytest.raises(KeyNotFound) as refused:
        baselines.latest(store, "none")
    assert refused.value.hint == "there are main"
    with pytest.raises(KeyNotFound, match="no entry 7"):
        baselines.read(store, "main", 7)
    with pytest.raises(StoreUnavailable):
        baselines.names(MemoryStore())


def test_a_folder_that_is_no_baseline_hides_none(store: LocalStore) -> None:
    """One without an entry, and one with a name that none can have: a file browser leaves such."""
    add(store)
    for name in ("empty", "New folder", "old."):
        (store.root / ".baselines" / name).mkdir()
    (store.root / ".baselines" / "New folder" / "1.json").write_text("{}")
    assert baselines.names(store) == ["main"]


def test_gates_are_kept_beside_a_baseline_by_their_digest(store: LocalStore) -> None:
    """Once each; an edit is refused."""
    add(store)
    gate = Gate(subjects=[], verdict="pass", criteria=[])
    digest = baselines.keep_gate(store, "main", gate)
    assert baselines.keep_gate(store, "main", gate) == digest
    [(kept, found)] = baselines.gates(store, "main")
    assert (kept, found.verdict) == (digest, "pass")
    place = baselines.place_of(store)
    place.put(f"main/gates/{digest}.json", b"{}", overwrite=True)
    with pytest.raises(MalformedBundle, match="was edited"):
        list(baselines.gates(store, "main"))
