"""A hold and a removal at the same time: whoever is told that a bundle is held can rely on it."""

from collections.abc import Callable
from pathlib import Path

import pytest

import runbundle
from runbundle.bundle.custody.holds import hold
from runbundle.bundle.custody.retention import remove
from runbundle.errors import KeyNotFound
from runbundle.store import LocalStore
from runbundle.store.base import Body


class _Between(LocalStore):
    """Does something right after the removal mark was written, or right before the hold is."""

    def __init__(self, root: Path, name: str, then: Callable[[], None], *, before: bool = False) -> None:
        super().__init__(root)
        self._name, self._then, self._before = name, then, before

    def put(self, key: str, data: Body, *, overwrite: bool = False) -> None:
        if self._before and key.endswith(self._name):
            self._then()
        super().put(key, data, overwrite=overwrite)
        if not self._before and key.endswith(self._name):
            self._then()


@pytest.fixture
def root(configured: Callable[..., runbundle.Handle]) -> Path:
    """Return a store with one bundle, `r`."""
    handle = configured()
    with runbundle.start_run("r", run_id="r"):
        pass
    assert handle.flush()
    assert isinstance(handle.store, LocalStore)
    return handle.store.root


def test_no_hold_is_granted_on_a_bundle_that_is_going(root: Path) -> None:
    """No hold is granted on a bundle that is going."""
    told: list[str] = []

    def held() -> None:
        try:
            hold(LocalStore(root), "r", "audit")
            told.append("held")
        except KeyNotFound:
            told.append("refused")

    remove(_Between(root, "removing.json", held), "r")
    assert (root / "r" / "run.json").exists() == (told == ["held"])


def test_a_hold_on_a_bundle_that_went_meanwhile_is_refused(root: Path) -> None:
    """A hold on a bundle that went meanwhile is refused, and leaves nothing."""
    gone = _Between(root, "hold.json", lambda: remove(LocalStore(root), "r") and None, before=True)
    with pytest.raises(KeyNotFound):
        hold(gone, "r", "audit")
    assert not (root / "r" / "hold.json").exists()
