"""Local disk and memory pass the suite that we ship."""

import errno
import os
from pathlib import Path
from tempfile import mkdtemp

import pytest

from runbundle import ConfigError, StoreUnavailable
from runbundle.store import ArtifactStore, LocalStore, MemoryStore, from_url, placing
from runbundle.testing import StoreTests


class TestLocalStore(StoreTests):
    """Local disk."""

    def make_store(self) -> LocalStore:
        """Return a store in a new folder."""
        return LocalStore(mkdtemp(dir=Path.cwd()))

    def raw_put(self, store: ArtifactStore, key: str, data: bytes) -> None:
        """Write the file."""
        assert isinstance(store, LocalStore)
        (store.root / key).parent.mkdir(parents=True, exist_ok=True)
        (store.root / key).write_bytes(data)

    def raw_get(self, store: ArtifactStore, key: str) -> bytes | None:
        """Read the file."""
        assert isinstance(store, LocalStore)
        return (store.root / key).read_bytes() if (store.root / key).exists() else None


class TestLocalStoreWithNames(TestLocalStore):
    """Local disk, as it is where a file cannot be without a name while it is written."""

    def make_store(self) -> LocalStore:
        """Return a store in a new folder."""
        store = super().make_store()
        placing._NAMED_ONLY.add(store.root)
        return store


class TestMemoryStore(StoreTests):
    """Memory."""

    def make_store(self) -> MemoryStore:
        """Return a new store."""
        return MemoryStore()

    def raw_put(self, store: ArtifactStore, key: str, data: bytes) -> None:
        """Write into the dict."""
        assert isinstance(store, MemoryStore)
        store._data[key] = data

    def raw_get(self, store: ArtifactStore, key: str) -> bytes | None:
        """Read from the dict."""
        assert isinstance(store, MemoryStore)
        return store._data.get(key)


def test_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that runs out of space raises StoreUnavailable with a hint, and no part of it stays."""
    store = LocalStore(tmp_path / "s")
    real = os.write

    def full(fd: int, data: bytes) -> int:
        if len(data) > 4:
            return real(fd, data[:4])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreUnavailable, match="free some space"):
        store.put("run/a", b"12345678")
    monkeypatch.undo()
    assert [p for p in (tmp_path / "s").rglob("*") if p.is_file()] == []


def test_sweeping_removes_only_what_is_old(tmp_path: Path) -> None:
    """What a killed put left a day ago goes; what a put may be writing now stays."""
    store = LocalStore(tmp_path)
    store.put("run/a", b"")
    old, new = tmp_path / ".tmp" / "old", tmp_path / ".tmp" / "new"
    (tmp_path / ".tmp").mkdir(exist_ok=True)
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert store.sweep() == 1
    assert (old.exists(), new.exists()) == (False, True)
    assert MemoryStore().sweep() == 0


def test_a_root_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """A store below a file says so, also for root."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="is a file"):
        LocalStore(tmp_path / "file" / "store").put("a", b"")


def test_files_are_private(tmp_path: Path) -> None:
    """Folders are 0700 and files 0600."""
    LocalStore(tmp_path / "s").put("run/a", b"")
    assert (tmp_path / "s" / "run").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "s" / "run" / "a").stat().st_mode & 0o777 == 0o600


def test_urls_name_stores(tmp_path: Path) -> None:
    """Paths, file:// and memory:// are known; others say what is."""
    store = from_url(str(tmp_path))
    assert isinstance(store, LocalStore)
    again = from_url(store.url)
    assert isinstance(again, LocalStore)
    assert again.root == tmp_path
    assert isinstance(from_url("memory://"), MemoryStore)
    for bad in ("ftp://bucket", "file://host/path"):
        with pytest.raises(ConfigError):
            from_url(bad)
