"""A bundle on hold stays; the hold is outside the seal, and damage to it is no way around it."""

import pytest

from runbundle.bundle.custody.holds import Hold, hold, hold_of, release
from runbundle.bundle.custody.retention import remove
from runbundle.errors import KeyNotFound
from runbundle.store import MemoryStore
from tests.support.handmade import KEY, build


def test_a_hold_is_read_back_and_released() -> None:
    """What was put on says why and since when; released it is gone, and released twice is said."""
    store = build()
    assert hold_of(store, KEY) is None
    put = hold(store, KEY, "case 1")
    assert hold_of(store, KEY) == put == Hold("case 1", put.since)
    release(store, KEY)
    assert hold_of(store, KEY) is None
    with pytest.raises(KeyNotFound):
        release(store, KEY)


def test_a_hold_that_cannot_be_read_holds() -> None:
    """Damage to the file of a hold is no way to have a bundle removed."""
    store = build()
    store.put(f"{KEY}/hold.json", b"{")
    assert remove(store, KEY) is False


def test_only_bundles_are_held() -> None:
    """A hold on nothing is an error."""
    with pytest.raises(KeyNotFound):
        hold(MemoryStore(), "nothing", "why")
