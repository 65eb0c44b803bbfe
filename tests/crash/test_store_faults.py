"""A store fails before or after the effect of any of its operations: a reader never sees a bundle that fails."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from runbundle.bundle.verify import verify
from runbundle.errors import StoreUnavailable
from runbundle.format.identity import RunKey
from runbundle.journal.spool import spooled_runs
from runbundle.recording.recovery import recover
from runbundle.store import ArtifactStore, LocalStore, MemoryStore
from runbundle.store.base import Body
from tests.crash.harness import Told, look, never_failed, true
from tests.crash.programs import left_behind


class FaultyStore(ArtifactStore):
    """A store of which one operation, or each from that on, fails before or after its effect.

    After every operation all bundles that are sealed are verified, as a reader at that moment would see them.
    """

    def __init__(self, inner: ArtifactStore, at: int, when: str, *, lasting: bool = False) -> None:
        self.inner = inner
        self.operations = 0
        self._at, self._when, self._lasting = at, when, lasting

    def _do(self, method: str, *args: Any, **options: Any) -> Any:
        self.operations += 1
        due = self.operations == self._at or (self._lasting and self.operations > self._at > 0)
        if due and self._when == "before":
            raise StoreUnavailable(f"planned, before {method}")
        try:
            result = getattr(self.inner, method)(*args, **options)
        finally:
            never_failed(self.inner)
        if due:
            raise StoreUnavailable(f"planned, after {method}")
        return result

    @property
    def url(self) -> str:
        return self.inner.url

    def put(self, key: str, data: Body, *, overwrite: bool = False) -> None:
        self._do("put", key, data, overwrite=overwrite)

    def put_all(self, files: Mapping[str, Body]) -> None:
        # One by one, so that it can fail between them.
        for key, data in files.items():
            self.put(key, data)

    def replace(self, key: str, data: bytes, *, expected: bytes) -> None:
        self._do("replace", key, data, expected=expected)

    def get(self, key: str) -> bytes:
        return self._do("get", key)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self._do("get_range", key, start, length)

    def open(self, key: str) -> BinaryIO:
        return self._do("open", key)

    def size(self, key: str) -> int:
        return self._do("size", key)

    def list(self, prefix: str = "") -> Iterator[str]:
        return iter([*self._do("list", prefix)])

    def list_dirs(self, prefix: str = "") -> Iterator[str]:
        return iter([*self._do("list_dirs", prefix)])

    def delete(self, key: str) -> None:
        self._do("delete", key)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """A store and a spool as a killed process leaves them, once for all."""
    root = tmp_path_factory.mktemp("left")
    return root, left_behind(root)


def copy(left: Path, root: Path) -> tuple[MemoryStore, Path]:
    """Return a store in memory and a spool that hold what was left."""
    store, source = MemoryStore(), LocalStore(left)
    for key in source.list():
        store.put(key, source.get(key))
    for journal in (left / ".spool").rglob("*.jsonl"):
        copied = root / journal.relative_to(left / ".spool")
        copied.parent.mkdir(parents=True)
        copied.write_bytes(journal.read_bytes())
    return store, root


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_each_operation_fails(when: str, lasting: bool, left: tuple[Path, Told], scratch: Path) -> None:
    """Seals and a revision fail at each operation in turn; the next try succeeds, nothing is lost or there twice."""
    folder, told = left
    for number in itertools.count(1):
        inner, spool = copy(folder, scratch / str(number))
        store = FaultyStore(inner, number, when, lasting=lasting)
        outcomes = {run_id: recover(store, spool, RunKey("", run_id)).outcome for run_id in ("late", "open", "whole")}
        if store.operations < number:
            assert set(outcomes.values()) == {"recovered"}
            break
        failed = [run_id for run_id, outcome in outcomes.items() if outcome == "failed"]
        assert failed or when == "after"
        assert {run.run_id for run in spooled_runs(spool)} == set(failed)
        for run_id in failed:
            assert recover(inner, spool, RunKey("", run_id)).outcome == "recovered"
        assert spooled_runs(spool) == []
        for run_id in ("late", "open", "whole"):
            report = verify(inner, run_id)
            assert report.verdict == ("incomplete" if run_id == "open" else "verified"), (number, report.findings)
            seen = look(inner, run_id)
            true(seen)
            assert sorted(seen.ended) == sorted(told.ends[run_id])
            assert sorted(seen.logs) == sorted(told.logs[run_id])
        assert look(inner, "late").bundle.index.revision == 2
    assert number > 15
