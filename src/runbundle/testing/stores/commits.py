"""The guarantees of `ArtifactStore.commit`, as tests: a part of the suite."""

import contextlib
import hashlib
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

import pytest

from runbundle.errors import AlreadyExists, ConfigError, StoreUnavailable
from runbundle.store import ArtifactStore
from runbundle.testing.stores.faults import Fault, FaultyStore

_NAMES = ("a.json", "b.json", "run.json")
_BUNDLES = [
    {f"run{number}/{name}": hashlib.sha256(f"{number}{name}".encode()).digest() * 64 for name in _NAMES}
    for number in range(6)
]
"""More than a few: a store may do with many what it does not do with one."""


class CommitTests(ABC):
    """What holds of bundles that are committed together. `StoreTests` says what the hooks are."""

    faults: tuple[str, ...]

    @abstractmethod
    def make_store(self) -> ArtifactStore:
        """Return a new, empty store."""

    @abstractmethod
    def raw_get(self, store: ArtifactStore, key: str) -> bytes | None:
        """Return the bytes of `key` in the backend; None if there are none."""

    @abstractmethod
    def failing(self, store: ArtifactStore, kind: str) -> AbstractContextManager[None]:
        """Return a context in which the backend of `store` fails."""

    @pytest.mark.parametrize("count", [0, 1, 3, 6])
    def test_committed_bundles_are_there(self, count: int) -> None:
        """As many as there are, each file lies where a put would lay it."""
        store = self.make_store()
        assert store.commit(_BUNDLES[:count]) == [None] * count
        for files in _BUNDLES[:count]:
            assert {key: self.raw_get(store, key) for key in files} == files
        assert len(list(store.list())) == count * len(_NAMES)

    def test_the_refusal_of_one_is_none_of_the_others(self) -> None:
        """A bundle of which a file or the mark is taken is refused, and what was there stays; the others are stored."""
        store = self.make_store()
        store.put("run1/b.json", b"taken")
        store.put("run4/run.json", b"taken")
        outcomes = store.commit(_BUNDLES)
        assert [type(outcome) for outcome in outcomes if outcome is not None] == [AlreadyExists, AlreadyExists]
        assert (outcomes[1] is None, outcomes[4] is None) == (False, False)
        assert self.raw_get(store, "run1/run.json") is None
        assert (store.get("run1/b.json"), store.get("run4/run.json")) == (b"taken", b"taken")
        for number in (0, 2, 3, 5):
            assert {key: store.get(key) for key in _BUNDLES[number]} == _BUNDLES[number]

    def test_an_invalid_key_is_refused_before_anything_is_stored(self) -> None:
        """It is a mistake of the caller, and so of all."""
        store = self.make_store()
        with pytest.raises(ConfigError):
            store.commit([*_BUNDLES, {"run/../x": b""}])
        assert list(store.list()) == []

    def test_failed_commits_are_whole_or_unmarked(self) -> None:
        """After each kind of fault a bundle without an error is whole, and no mark is there without its files."""
        for kind in self.faults:
            store = self.make_store()
            with self.failing(store, kind):
                outcomes = store.commit(_BUNDLES)
            for files, outcome in zip(_BUNDLES, outcomes, strict=True):
                _whole_or_unmarked(store, files, done=outcome is None)

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_a_commit_that_is_cut_off_anywhere_leaves_whole_bundles(self, after: bool) -> None:
        """Whichever put fails, before its effect or after, one bundle has the error, and a mark only if it is whole."""
        for nth in range(1, len(_BUNDLES) * len(_NAMES) + 1):
            store = self.make_store()
            outcomes = FaultyStore(store, [Fault("put", nth, "ENOSPC", after=after)]).commit(_BUNDLES)
            assert [type(outcome) for outcome in outcomes if outcome is not None] == [StoreUnavailable]
            for files, outcome in zip(_BUNDLES, outcomes, strict=True):
                _whole_or_unmarked(store, files, done=outcome is None)


def _whole_or_unmarked(store: ArtifactStore, files: dict[str, bytes], *, done: bool) -> None:
    *others, mark = files
    if done or store.exists(mark):
        assert {key: store.get(key) for key in files} == files
        return
    for key in others:
        with contextlib.suppress(KeyError):  # KeyNotFound is one
            assert store.get(key) == files[key]
