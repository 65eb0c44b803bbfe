"""The store on local disk: what it promises beyond the suite that all stores pass."""

import errno
import os
from pathlib import Path

import pytest

from runbundle.errors import AlreadyExists, KeyNotFound, StoreUnavailable
from runbundle.store import ArtifactStore, LocalStore, MemoryStore


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Record the device and inode of everything that is synced."""
    seen: list[tuple[int, int]] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        status = os.fstat(fd)
        seen.append((status.st_dev, status.st_ino))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


def _id(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def test_put_syncs_the_file_and_its_folder_once(tmp_path: Path, synced: list[tuple[int, int]]) -> None:
    """In a folder that is there, a put costs two syncs: the file first, then the folder that names it."""
    store = LocalStore(tmp_path / "s")
    store.put("run/a", b"x")
    synced.clear()
    store.put("run/b", b"x")
    assert synced == [_id(store.root / "run" / "b"), _id(store.root / "run")]


def test_new_folders_are_synced_into_those_above(tmp_path: Path, synced: list[tuple[int, int]]) -> None:
    """A new run's folder outlives the loss of power: every folder above it is synced, up to that of the root."""
    store = LocalStore(tmp_path / "s")
    store.put("tenant/run/a", b"x")
    for folder in (tmp_path, store.root, store.root / "tenant", store.root / "tenant" / "run"):
        assert _id(folder) in synced


def test_a_root_that_is_a_file_is_not_a_taken_key(tmp_path: Path) -> None:
    """A root that is itself a file is a store that cannot be written, not a key that exists."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="name another place"):
        LocalStore(tmp_path / "file").put("run/a", b"")


def test_a_key_below_a_key_is_not_a_taken_key(tmp_path: Path) -> None:
    """On disk a file has no files below it; the error says so, and the file stays as it is."""
    store = LocalStore(tmp_path)
    store.put("run", b"x")
    with pytest.raises(StoreUnavailable, match="is a file"):
        store.put("run/a", b"")
    assert store.get("run") == b"x"


def test_a_taken_key_is_named_in_the_error(tmp_path: Path) -> None:
    """AlreadyExists names the key, and no scratch file stays."""
    store = LocalStore(tmp_path)
    store.put("run/a", b"x")
    with pytest.raises(AlreadyExists, match="run/a exists already"):
        store.put("run/a", b"y")
    assert list((store.root / ".tmp").iterdir()) == []


def test_a_full_disk_while_overwriting_keeps_the_old_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An overwrite that runs out of space leaves what was there, whole."""
    store = LocalStore(tmp_path)
    store.put("run/a", b"before")

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreUnavailable):
        store.put("run/a", b"after", overwrite=True)
    assert store.get("run/a") == b"before"
    assert list(store.list()) == ["run/a"]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that takes three bytes at a time still gets them all."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:3]))
    store = LocalStore(tmp_path)
    store.put("run/a", b"0123456789")
    monkeypatch.undo()
    assert store.get("run/a") == b"0123456789"


def test_scratch_files_of_a_killed_writer_are_not_keys(tmp_path: Path) -> None:
    """What a killed put left behind is never listed."""
    store = LocalStore(tmp_path)
    store.put("run/a", b"x")
    (tmp_path / ".tmp" / "left").write_bytes(b"half")
    (tmp_path / "run" / ".hidden").write_bytes(b"half")
    assert list(store.list()) == ["run/a"]
    assert list(store.list_dirs()) == ["run"]


@pytest.mark.parametrize("make", [LocalStore, lambda _: MemoryStore()], ids=["local", "memory"])
def test_exists_reads_nothing(make: type[LocalStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exists asks for the size and does not open."""
    store: ArtifactStore = make(tmp_path)
    store.put("run/a", b"x")

    def never(key: str) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr(store, "open", never)
    assert store.exists("run/a")
    assert not store.exists("run")
    assert not store.exists("other/a")


def test_reading_from_a_root_that_is_not_there(tmp_path: Path) -> None:
    """A store that was never written has no keys, and reading it makes no folder."""
    store = LocalStore(tmp_path / "none")
    assert list(store.list()) == []
    assert list(store.list_dirs()) == []
    with pytest.raises(KeyNotFound):
        store.get("run/a")
    assert not (tmp_path / "none").exists()
