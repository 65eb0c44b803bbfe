"""`FaultyStore` fails what its plan says and nothing else; listings that lag do not confuse readers for good."""

import pytest

from runbundle.bundle.custody.transfer import copy
from runbundle.bundle.verify import verify
from runbundle.errors import StoreUnavailable
from runbundle.store import MemoryStore
from runbundle.testing import Fault, FaultyStore, StoreTests
from tests.conformance.test_stores import TestMemoryStore as MemoryTests
from tests.support.golden import KEY, seal_golden


class TestFaultyStore(MemoryTests):
    """Without a plan it is the store behind it."""

    def make_store(self) -> FaultyStore:  # type: ignore[override]
        """Return a wrapped store."""
        return FaultyStore(MemoryStore())

    def raw_put(self, store: FaultyStore, key: str, data: bytes) -> None:  # type: ignore[override]
        """Write into the dict of the store behind."""
        super().raw_put(store.store, key, data)

    def raw_get(self, store: FaultyStore, key: str) -> bytes | None:  # type: ignore[override]
        """Read from the dict of the store behind."""
        return super().raw_get(store.store, key)


def test_the_nth_call_fails_before_or_after_its_effect() -> None:
    """Counted for each operation; `times` in a row; the reason is in the message."""
    store = FaultyStore(MemoryStore(), [Fault("put", 2, "ENOSPC"), Fault("put", 4, "EROFS", after=True),
                                        Fault("get", 1, "throttled", times=2)])  # fmt: skip
    store.put("a", b"1")
    with pytest.raises(StoreUnavailable, match="No space left"):
        store.put("b", b"2")
    assert not store.exists("b")
    store.put("b", b"2")
    with pytest.raises(StoreUnavailable, match="Read-only"):
        store.put("c", b"3")
    assert store.exists("c")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="503"):
            store.get("a")
    assert store.get("a") == b"1"
    assert store.calls == {"put": 4, "get": 3, "size": 2}


def test_a_late_listing_loses_nothing() -> None:
    """A bundle whose run.json is not listed yet is found by its key, and copied by its pointers."""
    lagging = FaultyStore(MemoryStore(), listing_lag=2)
    seal_golden(lagging)
    assert f"{KEY}/run.json" not in list(lagging.list())
    assert lagging.exists(f"{KEY}/run.json")
    back = MemoryStore()
    assert copy(lagging, KEY, back).outcome == "copied"
    assert verify(back, KEY).verdict == "unchanged"
    lagging.put_all({"x/1": b"", "x/2": b""})
    assert f"{KEY}/run.json" in list(lagging.list())
    assert list(lagging.list_dirs()) == [KEY]


def test_the_suite_is_a_base_class() -> None:
    """It is exported with its hooks: a subclass has only to fill them."""
    assert StoreTests.__abstractmethods__ == {"make_store", "raw_put", "raw_get"}
