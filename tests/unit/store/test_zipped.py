"""A zip file as a store: what it takes, what it refuses to read, and what becomes of damage."""

import stat
import warnings
import zipfile
from pathlib import Path

import pytest

from runbundle.bundle.catalog.locate import resolve
from runbundle.bundle.custody.transfer import copy
from runbundle.bundle.verify import verify
from runbundle.errors import AlreadyExists, ConfigError, KeyNotFound, OddEntry, StoreUnavailable
from runbundle.store import MemoryStore, from_url
from runbundle.store.zipped import ZipStore
from tests.support import handmade


@pytest.fixture
def zipped(tmp_path: Path) -> Path:
    """A zip with one bundle."""
    path = tmp_path / "run.zip"
    store = ZipStore(path, make=True)
    assert copy(handmade.build(), handmade.KEY, store).outcome == "copied"
    store.close()
    return path


def test_a_bundle_comes_back_as_it_was(zipped: Path) -> None:
    """By its path alone it is found and verified; copied into a store, its files are the same bytes."""
    store, key = resolve(MemoryStore(), str(zipped))
    original = handmade.build()
    assert verify(store, key).verdict == verify(original, key).verdict
    target = MemoryStore()
    assert copy(store, key, target).outcome == "copied"
    assert {name: target.get(name) for name in target.list()} == {name: original.get(name) for name in original.list()}
    assert list(store.list_dirs()) == [key]
    assert from_url(store.url).get(f"{key}/run.json") == original.get(f"{key}/run.json")


def test_the_same_bundle_gives_the_same_zip(zipped: Path, tmp_path: Path) -> None:
    """No clock and no owner is in it; only this user can read it."""
    other = ZipStore(tmp_path / "other.zip", make=True)
    copy(handmade.build(), handmade.KEY, other)
    other.close()
    assert zipped.read_bytes() == (tmp_path / "other.zip").read_bytes()
    assert stat.S_IMODE(zipped.stat().st_mode) == 0o600


def test_ranges_are_those_of_the_unpacked_bytes(zipped: Path) -> None:
    """Beyond the end there are none."""
    store, events = ZipStore(zipped), handmade.files()["events.jsonl"]
    key = f"{handmade.KEY}/events.jsonl"
    assert store.get_range(key, 7, 11) == events[7:18]
    assert store.get_range(key, len(events) - 1, 10) == events[-1:]
    assert store.get_range(key, len(events) + 5, 10) == b""
    assert store.size(key) == len(events)
    with pytest.raises(ConfigError):
        store.get_range(key, -1, 1)


def test_a_zip_takes_entries_only_while_it_is_made(zipped: Path) -> None:
    """None is overwritten or removed, and no file is written over."""
    store = ZipStore(zipped)
    with pytest.raises(StoreUnavailable):
        store.put("a/new.txt", b"")
    with pytest.raises(AlreadyExists):
        store.put(f"{handmade.KEY}/run.json", b"")
    with pytest.raises(StoreUnavailable):
        store.delete(f"{handmade.KEY}/run.json")
    with pytest.raises(KeyNotFound):
        store.delete("a/none")
    with pytest.raises(AlreadyExists):
        ZipStore(zipped, make=True)


def test_what_is_no_plain_file_is_named_and_never_read(tmp_path: Path) -> None:
    """Links, doubles, names that lead out: `odd` lists them, reading one raises."""
    path = tmp_path / "odd.zip"
    link = zipfile.ZipInfo("r/link.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the double
        made.writestr(link, "/etc/passwd")
        for name in ("../out.txt", "/abs.txt", "r/.hidden", "r/a.txt", "r/b.txt", "r/b.txt"):
            made.writestr(name, "x")
        made.mkdir("r/empty")
    store = ZipStore(path)
    assert dict(store.odd()) == {
        "../out.txt": "an entry whose name is no key", "/abs.txt": "an entry whose name is no key",
        "r/.hidden": "an entry whose name is no key", "r/b.txt": "one of two entries of that name",
        "r/link.txt": "a link",
    }  # fmt: skip
    assert list(store.list()) == ["r/a.txt"]
    for name in ("r/link.txt", "r/b.txt"):
        with pytest.raises(OddEntry):
            store.get(name)
    assert not store.exists("r/none.txt")


def test_damage_is_an_error_and_not_other_bytes(zipped: Path) -> None:
    """Each byte of the packed part may be wrong: what is read is what was written, or nothing."""
    whole = zipped.read_bytes()
    original = handmade.build()
    for at in range(0, len(whole), 97):
        zipped.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            store = ZipStore(zipped)
            for key in store.list():
                if original.exists(key):
                    assert store.get(key) == original.get(key)
        except (StoreUnavailable, KeyNotFound):
            continue


def test_what_is_no_zip_is_said(tmp_path: Path) -> None:
    """And a zip with no bundle, or with two, is no bundle."""
    (tmp_path / "no.zip").write_bytes(b"not a zip")
    with pytest.raises(StoreUnavailable, match="cannot be used as a zip"):
        from_url(str(tmp_path / "no.zip"))
    with pytest.raises(ConfigError):
        from_url(str(tmp_path / "missing.zip"))
    ZipStore(tmp_path / "empty.zip", make=True).close()
    with pytest.raises(KeyNotFound, match="no bundles"):
        resolve(MemoryStore(), str(tmp_path / "empty.zip"))
