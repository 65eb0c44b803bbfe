"""The conformance suite of artifact stores. It needs pytest and hypothesis.

The author of a store subclasses `StoreTests`, provides three hooks, and lets pytest run the class. The raw hooks bypass
the store, so that a mistake shared by its `put` and `get` is found. With the fourth hook, `failing`, the faults of a
backend become part of the suite.
"""

import contextlib
import hashlib
import io
import threading
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from runbundle.errors import AlreadyExists, ConfigError, KeyChanged, KeyNotFound, StoreError, StoreUnavailable
from runbundle.store import ArtifactStore
from runbundle.testing.stores.commits import CommitTests
from runbundle.testing.stores.faults import Fault, FaultyStore


class StoreTests(CommitTests):
    """The guarantees of every `ArtifactStore`, as tests.

    class TestMyStore(StoreTests):
        def make_store(self): ...
        def raw_put(self, store, key, data): ...
        def raw_get(self, store, key): ...
    """

    @abstractmethod
    def make_store(self) -> ArtifactStore:
        """Return a new, empty store."""

    @abstractmethod
    def raw_put(self, store: ArtifactStore, key: str, data: bytes) -> None:
        """Write the bytes of `key` into the backend, without the store's own methods."""

    @abstractmethod
    def raw_get(self, store: ArtifactStore, key: str) -> bytes | None:
        """Return the bytes of `key` in the backend, without the store's own methods; None if there are none."""

    faults: tuple[str, ...] = ()
    """The kinds of failure that `failing` can cause, such as `timeout`, `partial write`, `throttled`."""

    examples = 25
    """The number of random sequences of operations to compare with a dictionary; set fewer for a slow backend."""

    def failing(self, store: ArtifactStore, kind: str) -> AbstractContextManager[None]:
        """Return a context in which the backend of `store` fails in the way `kind` names. Needed only with `faults`."""
        raise NotImplementedError(kind)

    def test_put_writes_what_others_can_read(self) -> None:
        """The backend holds the bytes of a put, byte for byte."""
        store = self.make_store()
        store.put("run/a.json", b"\x00one\n")
        assert self.raw_get(store, "run/a.json") == b"\x00one\n"

    def test_put_all_stores_each_and_is_create_only(self) -> None:
        """All files lie where one `put` each would lay them; a key that is taken is refused and keeps its bytes."""
        store = self.make_store()
        store.put_all({"run/a.json": b"one", "run/sub/b.json": b"two"})
        assert (self.raw_get(store, "run/a.json"), self.raw_get(store, "run/sub/b.json")) == (b"one", b"two")
        with pytest.raises(AlreadyExists):
            store.put_all({"run/c.json": b"three", "run/a.json": b"other"})
        assert store.get("run/a.json") == b"one"

    def test_get_reads_what_others_wrote(self) -> None:
        """get, get_range, open and size return the bytes that the backend holds."""
        store = self.make_store()
        self.raw_put(store, "run/a.json", b"0123456789")
        assert store.get("run/a.json") == b"0123456789"
        assert store.get_range("run/a.json", 3, 4) == b"3456"
        assert store.get_range("run/a.json", 8, 99) == b"89"
        assert store.size("run/a.json") == 10
        with store.open("run/a.json") as file:
            assert file.read() == b"0123456789"

    def test_ranges_do_not_count_backwards(self) -> None:
        """A negative start or length is refused; a start beyond the end gives nothing."""
        store = self.make_store()
        store.put("run/a", b"0123")
        for start, length in ((-1, 2), (0, -1)):
            with pytest.raises(ConfigError):
                store.get_range("run/a", start, length)
        assert store.get_range("run/a", 9, 2) == b""

    def test_put_is_create_only(self) -> None:
        """A taken key is refused and keeps its bytes, unless overwriting is asked for."""
        store = self.make_store()
        store.put("run/a", b"first")
        with pytest.raises(AlreadyExists):
            store.put("run/a", b"second")
        assert store.get("run/a") == b"first"
        store.put("run/a", b"third", overwrite=True)
        assert store.get("run/a") == b"third"

    def test_of_many_writers_one_wins(self) -> None:
        """Of sixteen writers of one key exactly one succeeds, and its bytes are whole."""
        store = self.make_store()
        won: list[int] = []

        def write(number: int) -> None:
            try:
                store.put("run/contested", bytes([number]) * 10_000)
            except AlreadyExists:
                return
            won.append(number)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert store.get("run/contested") == bytes([won[0]]) * 10_000

    def test_files_are_stored_from_their_beginning(self) -> None:
        """A file is stored whole, wherever it was read to, and stays open; twice over gives the same."""
        store = self.make_store()
        with io.BytesIO(bytes(range(256)) * 9_000) as file:
            file.seek(100)
            store.put("run/a", file)
            store.put_all({"run/b": file})
            assert self.raw_get(store, "run/a") == self.raw_get(store, "run/b") == file.getvalue()

    def test_replace_is_conditional(self) -> None:
        """Only the expected bytes are replaced; anything else, or nothing, is left as it is."""
        store = self.make_store()
        with pytest.raises(KeyNotFound):
            store.replace("run/a", b"new", expected=b"")
        store.put("run/a", b"first")
        with pytest.raises(KeyChanged):
            store.replace("run/a", b"new", expected=b"other")
        store.replace("run/a", b"second", expected=b"first")
        assert self.raw_get(store, "run/a") == b"second"

    def test_of_many_replacers_one_wins_each_time(self) -> None:
        """A counter that eight threads raise by replacing it ends at the number of their successes.

        Each writes bytes of its own, for of two that write the same both may succeed. Where an answer was lost on the
        way, a replacement that took place may be told as `KeyChanged` when the next one came before it was tried again.
        """
        store = self.make_store()
        store.put("run/counter", b"0 by none")
        won: list[bytes] = []

        def count(name: int) -> None:
            for _ in range(10):
                seen = store.get("run/counter")
                try:
                    store.replace("run/counter", b"%d by %d" % (int(seen.split()[0]) + 1, name), expected=seen)
                except KeyChanged:
                    continue
                won.append(seen)

        threads = [threading.Thread(target=count, args=[name]) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won
        assert len(set(won)) == len(won)  # nothing was replaced twice
        last = int(store.get("run/counter").split()[0])
        assert last == len(won) or (store.remote and last > len(won))

    def test_list_is_sorted_and_by_prefix(self) -> None:
        """Listing yields the keys that begin with the prefix, sorted; folders only where there are keys."""
        store = self.make_store()
        for key in ("b/2", "a/1", "a/sub/3", "ab/4"):
            store.put(key, b"")
        assert list(store.list()) == ["a/1", "a/sub/3", "ab/4", "b/2"]
        assert list(store.list("a/")) == ["a/1", "a/sub/3"]
        assert list(store.list("none/")) == []
        assert list(store.list_dirs()) == ["a", "ab", "b"]
        assert list(store.list_dirs("a")) == ["sub"]

    def test_missing_keys_raise_key_not_found(self) -> None:
        """Reading or deleting what is not there raises KeyNotFound; exists says no."""
        store = self.make_store()
        for method in (store.get, store.size, store.delete, store.open):
            with pytest.raises(KeyNotFound):
                method("no/such")
        assert not store.exists("no/such")

    def test_delete_removes_only_its_key(self) -> None:
        """Deleting leaves the neighbours."""
        store = self.make_store()
        store.put("a/1", b"x")
        store.put("a/2", b"y")
        store.delete("a/1")
        assert list(store.list()) == ["a/2"]

    def test_a_folder_is_not_a_key(self) -> None:
        """The beginning of a key is not itself stored, and a key has no folders below it."""
        store = self.make_store()
        store.put("a/1", b"x")
        for method in (store.get, store.size, store.delete, store.open):
            with pytest.raises(KeyNotFound):
                method("a")
        assert list(store.list_dirs("a/1")) == []
        assert list(store.list()) == ["a/1"]

    def test_deleting_does_not_disturb_writers_beside_it(self) -> None:
        """Writers that delete what they wrote, in one folder, never make each other fail."""
        store = self.make_store()
        failures: list[Exception] = []

        def churn(number: int) -> None:
            try:
                for _ in range(100):
                    store.put(f"run/{number}", b"")
                    store.delete(f"run/{number}")
            except StoreError as error:
                failures.append(error)

        threads = [threading.Thread(target=churn, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert list(store.list()) == []

    @pytest.mark.parametrize(
        "key", ["", "/", "a//b", "../x", "a/../b", "/etc/passwd", ".hidden", "a/.b", "a\x00b", "a b", "ä"]
    )
    def test_keys_are_never_a_way_out(self, key: str) -> None:
        """Anything but plain segments is refused before it becomes a path."""
        store = self.make_store()
        with pytest.raises(ConfigError):
            store.put(key, b"")
        with pytest.raises(ConfigError):
            store.get(key)

    # -- capabilities: what a store says that it has must be so; what it says that it has not is not looked at ---------

    def test_a_folder_holds_each_key_as_a_file(self) -> None:
        """`folder`: what was put lies there as a file, what is put there is in the store, what was deleted is gone."""
        store = self.make_store()
        if store.folder is None:
            pytest.skip("this store is no folder")
        assert store.folder.is_absolute()
        store.put("run/a.json", b"one")
        assert (store.folder / "run" / "a.json").read_bytes() == b"one"
        (store.folder / "run" / "b.json").write_bytes(b"two")
        assert store.get("run/b.json") == b"two"
        assert list(store.list()) == ["run/a.json", "run/b.json"]
        for key in ("run/a.json", "run/b.json"):
            store.delete(key)
        assert not (store.folder / "run").exists()

    def test_a_remote_store_is_no_folder_and_serves_many_at_once(self) -> None:
        """`remote`: it has no folder on this machine; eight readers at once each read what they asked for."""
        store = self.make_store()
        if not store.remote:
            pytest.skip("this store is not remote")
        assert store.folder is None
        files = {f"run/{number}": b"%d" % number for number in range(8)}
        store.put_all(files)
        read: dict[str, bytes] = {}

        def reader(key: str) -> threading.Thread:
            return threading.Thread(target=lambda: read.update({key: store.get(key)}))

        threads = [reader(key) for key in files]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert read == files

    def test_what_lies_beside_is_none_of_the_stores_keys(self) -> None:
        """`beside`: a whole store of its own; neither sees the other's keys, and the same name is the same place."""
        store = self.make_store()
        beside = store.beside("index")
        if beside is None:
            pytest.skip("nothing can lie beside this store")
        store.put("run/a", b"of the store")
        beside.put("run/a", b"beside")
        beside.put("rows/b", b"beside")
        assert (store.get("run/a"), beside.get("run/a")) == (b"of the store", b"beside")
        assert list(store.list()) == ["run/a"]
        assert list(store.list_dirs()) == ["run"]
        assert list(store.odd()) == []
        again, other = store.beside("index"), store.beside("other")
        assert again is not None
        assert list(again.list()) == ["rows/b", "run/a"]
        assert other is not None
        assert list(other.list()) == []
        with pytest.raises(AlreadyExists):
            again.put("rows/b", b"other")
        store.delete("run/a")
        assert beside.get("run/a") == b"beside"

    def test_discarding_minds_no_key_that_is_gone(self) -> None:
        """`discard` removes what is there of several keys, and nothing else."""
        store = self.make_store()
        store.put_all({"run/a": b"1", "run/b": b"2", "run/c": b"3"})
        store.delete("run/b")
        store.discard(["run/a", "run/b"])
        store.discard([])
        assert list(store.list()) == ["run/c"]

    def test_behaves_like_a_dict(self) -> None:
        """Whatever is done to it in whatever order, it says what a dict says."""
        from runbundle.testing.stores.machine import check_against_a_dict

        check_against_a_dict(self.make_store, examples=self.examples)

    def test_the_last_of_put_all_comes_last(self) -> None:
        """If any other file is refused, the last one, which may be a commit mark, is not stored."""
        store = self.make_store()
        store.put("run/b", b"taken")
        with pytest.raises(AlreadyExists):
            store.put_all({"run/a": b"1", "run/b": b"2", "run/c": b"3", "run/z": b"last"})
        assert self.raw_get(store, "run/z") is None
        assert store.get("run/b") == b"taken"

    def test_failed_writes_are_whole_or_absent(self) -> None:
        """After each kind of fault a key holds all bytes or none, and the same put again settles it."""
        for number, kind in enumerate(self.faults):
            store, key, data = self.make_store(), f"run/{number}", bytes(range(256)) * 500
            with self.failing(store, kind), contextlib.suppress(StoreUnavailable):
                store.put(key, data)
            assert self.raw_get(store, key) in (None, data), kind
            with contextlib.suppress(AlreadyExists):
                store.put(key, data)
            assert self.raw_get(store, key) == data, kind

    def test_failed_replacements_are_whole_or_absent(self) -> None:
        """After each kind of fault a replaced key holds the old bytes or the new ones."""
        for kind in self.faults:
            store, old, new = self.make_store(), b"old" * 1000, b"new" * 2000
            store.put("run/a", old)
            with self.failing(store, kind), contextlib.suppress(StoreUnavailable):
                store.replace("run/a", new, expected=old)
            assert self.raw_get(store, "run/a") in (old, new), kind

    def test_two_writers_of_the_same_bundle_leave_one(self) -> None:
        """Several that commit the same files at the same moment, the mark last, leave each file once, and whole."""
        store = self.make_store()
        failures = _at_once(4, lambda: _commit(store))
        assert failures == []
        assert {key: store.get(key) for key in store.list("run/")} == {**_FILES, **_MARK}

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_a_commit_cut_off_anywhere_is_finished_later(self, after: bool) -> None:
        """Whichever put fails, before its effect or after, the mark is there only if all is; the next try is whole."""
        for nth in range(1, len(_FILES) + 2):
            store = self.make_store()
            with pytest.raises(StoreUnavailable):
                _commit(FaultyStore(store, [Fault("put", nth, "ENOSPC", after=after)]))
            left = {key: store.get(key) for key in store.list("run/")}
            assert left == {**_FILES, **_MARK} or not _MARK.keys() & left.keys()
            _commit(store)
            assert {key: store.get(key) for key in store.list("run/")} == {**_FILES, **_MARK}


_FILES = {f"run/{name}.json": hashlib.sha256(name.encode()).digest() * 64 for name in ("a", "b", "c")}
_MARK = {"run/run.json": b'{"stands for": "run.json"}'}


def _commit(store: ArtifactStore) -> None:
    """Write a bundle as a seal does: files first, then the mark. Files that exist already must be the same."""
    for files in (_FILES, _MARK):
        try:
            store.put_all(files)
        except AlreadyExists:
            for key, data in files.items():
                with contextlib.suppress(AlreadyExists):
                    store.put(key, data)
                assert store.get(key) == data


def _at_once(count: int, work: Callable[[], object]) -> list[Exception]:
    failures: list[Exception] = []
    ready = threading.Barrier(count)

    def run() -> None:
        ready.wait()
        try:
            work()
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures
