"""The store on local disk: what it promises beyond the suite that all stores pass."""

import errno
import os
import sys
from pathlib import Path

import pytest

from runbundle.errors import AlreadyExists, ConfigError, KeyNotFound, StoreUnavailable
from runbundle.process import disk
from runbundle.store import ArtifactStore, LocalStore, MemoryStore, placing
from runbundle.store.base import Body

UNNAMED = hasattr(os, "O_TMPFILE") and sys.platform == "linux"
BUNDLES = [{f"run{n}/{name}": f"{n} {name}".encode() for name in ("a", "b", "run.json")} for n in range(6)]


@pytest.fixture(params=["unnamed", "named"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have each test with files that have no name while they are written, and with files that have one."""
    monkeypatch.setattr(placing, "_NAMED_ONLY", set())
    if request.param == "named":
        monkeypatch.setattr(placing, "create_unnamed", lambda _: None)
    elif not UNNAMED:
        pytest.skip("this system has no unnamed files")
    return request.param


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
    assert scratch_files(store) == []


def scratch_files(store: LocalStore) -> list[str]:
    """Return the names of the files that are still being written."""
    return [path.name for path in (store.root / ".tmp").glob("*")]


def test_a_file_that_needs_no_name_gets_none(tmp_path: Path, way: str) -> None:
    """Only where unnamed files are missing there is a folder for scratch files; an overwrite needs it in any case."""
    store = LocalStore(tmp_path / "s")
    store.put("run/a", b"x")
    assert (store.root / ".tmp").exists() == (way == "named")
    store.put("run/a", b"y", overwrite=True)
    assert (store.root / ".tmp").exists()
    assert (store.get("run/a"), scratch_files(store)) == (b"y", [])


def test_an_unnamed_file_that_cannot_be_linked_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: list[tuple[int, int]]
) -> None:
    """Where /proc is missing, the first put finds that out, and the next asks no more."""
    asked: list[str] = []

    def refuse(fd: int, name: str, dir_fd: int) -> bool:
        asked.append(name)
        return False

    monkeypatch.setattr(placing, "link_unnamed", refuse)
    store = LocalStore(tmp_path / "s")
    for name in ("a", "b"):
        store.put(f"run/{name}", b"x")
        assert _id(store.root / "run" / name) in synced
    assert asked in (["a"], [])
    assert list(store.list()) == ["run/a", "run/b"]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the syncs of the file system, and the names that files get, in their order."""
    seen: list[str] = []
    link, sync = os.link, disk.sync_file_system

    def linked(source: str, name: str, **options: object) -> None:
        link(source, name, **options)  # type: ignore[arg-type]
        seen.append(name)

    def synced(fd: int) -> None:
        sync(fd)
        seen.append("sync")

    monkeypatch.setattr(os, "link", linked)
    monkeypatch.setattr(disk, "sync_file_system", synced)
    return seen


together = pytest.mark.skipif(not disk.can_sync_file_systems(), reason="this system cannot sync a file system")


@together
def test_many_bundles_cost_two_syncs_and_no_mark_comes_before_the_first(
    tmp_path: Path, steps: list[str], synced: list[tuple[int, int]]
) -> None:
    """All files have names before the first sync, and no mark has one; nothing else is synced below the root."""
    store = LocalStore(tmp_path / "s")
    store.put("first", b"")
    steps.clear()
    synced.clear()
    assert store.commit(BUNDLES) == [None] * 6
    assert steps == [*["a", "b"] * 6, "sync", *["run.json"] * 6, "sync"]
    assert set(synced) <= {_id(store.root)}  # for the folder of scratch files
    assert {key: store.get(key) for key in store.list("run")} == {k: v for files in BUNDLES for k, v in files.items()}
    assert scratch_files(store) == []
    assert (store.root / "run0").stat().st_mode & 0o777 == 0o700
    assert (store.root / "run0" / "run.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("count", [1, 3])
def test_few_bundles_are_synced_file_by_file(
    tmp_path: Path, count: int, steps: list[str], synced: list[tuple[int, int]]
) -> None:
    """What others write to the file system costs them nothing."""
    store = LocalStore(tmp_path / "s")
    assert store.commit(BUNDLES[:count]) == [None] * count
    assert "sync" not in steps
    assert {_id(store.root / key) for files in BUNDLES[:count] for key in files} <= set(synced)


def test_where_a_file_system_cannot_be_synced_each_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: list[tuple[int, int]]
) -> None:
    """As on other systems, and on kernels that keep quiet about what did not reach the disk."""
    monkeypatch.setattr("runbundle.store.local.can_sync_file_systems", lambda: False)
    store = LocalStore(tmp_path / "s")
    assert store.commit(BUNDLES) == [None] * 6
    assert {_id(store.root / key) for files in BUNDLES for key in files} <= set(synced)


@together
def test_the_refusal_of_one_bundle_is_its_own(tmp_path: Path) -> None:
    """A taken file, a taken mark, a link on the way: three have no mark of ours, and the other three are stored."""
    store = LocalStore(tmp_path / "s")
    store.put("run0/b", b"taken")
    store.put("run1/run.json", b"taken")
    (tmp_path / "aside").mkdir()
    (store.root / "run2").symlink_to(tmp_path / "aside")
    outcomes = store.commit(BUNDLES)
    assert [type(outcome) for outcome in outcomes] == [
        AlreadyExists,
        AlreadyExists,
        StoreUnavailable,
        *[type(None)] * 3,
    ]
    assert "run0/b exists already" in str(outcomes[0])
    assert not store.exists("run0/run.json")
    assert (store.get("run0/b"), store.get("run1/run.json")) == (b"taken", b"taken")
    assert list((tmp_path / "aside").iterdir()) == []
    assert [store.get(f"run{n}/run.json") for n in (3, 4, 5)] == [b"3 run.json", b"4 run.json", b"5 run.json"]
    assert scratch_files(store) == []


@together
@pytest.mark.parametrize("nth", [1, 2])
def test_a_sync_that_fails_fails_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """After the first no mark is there; after the second nobody knows, so nobody is told that it is."""
    calls: list[int] = []
    sync = disk.sync_file_system

    def broken(fd: int) -> None:
        calls.append(fd)
        if len(calls) == nth:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(fd)

    monkeypatch.setattr(disk, "sync_file_system", broken)
    store = LocalStore(tmp_path / "s")
    assert all(isinstance(outcome, StoreUnavailable) for outcome in store.commit(BUNDLES))
    assert len(calls) == 2 if nth == 2 else not any(store.exists(f"run{n}/run.json") for n in range(6))


@together
def test_a_bundle_on_another_file_system_is_synced_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: list[tuple[int, int]]
) -> None:
    """The folder of a tenant may be a mount: the sync of the root's file system would not reach it."""
    store = LocalStore(tmp_path / "s")
    real = placing.Placing.device
    monkeypatch.setattr(placing.Placing, "device", lambda self, key: real(self, key) + key.startswith("run4/"))
    assert store.commit(BUNDLES) == [None] * 6
    assert {_id(store.root / key) for key in BUNDLES[4]} <= set(synced)
    assert not {_id(store.root / key) for key in BUNDLES[3]} & set(synced)


@together
def test_a_full_disk_costs_only_the_bundles_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are stored; nothing of a file that did not fit is left."""
    real = os.write

    def full(fd: int, data: bytes) -> int:
        if bytes(data).startswith((b"1 b", b"2 run.json")):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(os, "write", full)
    store = LocalStore(tmp_path / "s")
    outcomes = store.commit(BUNDLES)
    assert [outcome is None for outcome in outcomes] == [True, False, False, True, True, True]
    assert "free some space" in str(outcomes[1])
    assert list(store.list("run1/")) == ["run1/a"]
    assert list(store.list("run2/")) == ["run2/a", "run2/b"]
    assert scratch_files(store) == []


@together
def test_a_store_with_a_put_of_its_own_commits_by_it(tmp_path: Path) -> None:
    """Whoever builds on this store, and changes how a file is written, is not gone around."""

    class Shouting(LocalStore):
        def put(self, key: str, data: Body, *, overwrite: bool = False) -> None:
            assert isinstance(data, bytes)
            super().put(key, data.upper(), overwrite=overwrite)

    store = Shouting(tmp_path / "s")
    assert store.commit(BUNDLES) == [None] * 6
    assert store.get("run0/run.json") == b"0 RUN.JSON"


@together
def test_an_invalid_key_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    """Not only its bundle: it is a mistake of the caller."""
    with pytest.raises(ConfigError):
        LocalStore(tmp_path / "s").commit([*BUNDLES, {"run/../x": b""}])
    assert not (tmp_path / "s").exists()


@together
def test_a_root_that_cannot_be_opened_fails_all(tmp_path: Path) -> None:
    """Each bundle is told."""
    (tmp_path / "file").write_text("")
    outcomes = LocalStore(tmp_path / "file").commit(BUNDLES)
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)


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
    (tmp_path / ".tmp").mkdir(exist_ok=True)
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
