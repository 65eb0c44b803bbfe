"""Runs that are published together: each gets what it would get alone, and none pays for another."""

import fcntl
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import runbundle
from runbundle.bundle.catalog.index import index_of
from runbundle.bundle.reader import Bundle
from runbundle.bundle.search.filters import RunFilter
from runbundle.bundle.verify import verify
from runbundle.errors import StoreError, StoreUnavailable
from runbundle.format.identity import RunKey
from runbundle.journal.spool import folder_of, spooled_runs
from runbundle.journal.writer import JournalWriter
from runbundle.recording import publish as module
from runbundle.recording.publish import publish, publish_together
from runbundle.recording.results import Published, Wanted
from runbundle.recording.sealer import Sealer
from runbundle.recording.writing import segments
from runbundle.store import ArtifactStore, LocalStore, MemoryStore
from runbundle.store.base import Body
from runbundle.testing import Fault, FaultyStore
from tests.support.record_lines import bare_line
from tests.support.records import record

SCOPE: Any = {"name": "x", "version": "", "schema_url": "", "attributes": {}}
TOKEN = "ghp_" + "Zq7Xw2Vt" * 4 + "Zq7X"
RUNS = [RunKey("acme" if number % 2 else "", f"r{number}") for number in range(6)]


def journal(
    spool: Path, run: RunKey, *, writer: str = "w", span_id: str = "b" * 16, **attributes: Any
) -> JournalWriter:
    """Leave a journal with the span of a run, and return its writer, which has not let go of it."""
    made = JournalWriter.open_in(folder_of(spool, run), writer)
    span = record({"runbundle.op": "run", "runbundle.name": "work", **attributes}, "work")
    span |= {"run_id": run.run_id, "tenant_id": run.tenant_id, "trace_id": "a" * 32, "span_id": span_id}
    made.write(bare_line("span", span | {"events": [], "links": [], "scope": SCOPE}))
    return made


def spooled(spool: Path, runs: Sequence[RunKey] = RUNS) -> None:
    """Leave a closed journal of each run, as a recorder leaves it."""
    for run in runs:
        journal(spool, run).close(cut=False)


def together(
    store: ArtifactStore, spool: Path, runs: Sequence[RunKey] = RUNS, *, wait: bool = True
) -> dict[RunKey, Any]:
    """Publish runs together."""
    return publish_together(store, spool, [Wanted(run, wait, None) for run in runs], own="w")


class Watched(LocalStore):
    """Records how many bundles are committed at once."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.commits: list[int] = []

    def commit(self, bundles: Sequence[Mapping[str, Body]]) -> list[StoreError | None]:
        """Commit."""
        self.commits.append(len(bundles))
        return super().commit(bundles)


def test_each_has_the_bundle_that_it_would_have_alone(tmp_path: Path) -> None:
    """The same bytes; the journals are gone, the index has a row of each, and nothing is held open."""
    one, many = LocalStore(tmp_path / "one"), LocalStore(tmp_path / "many")
    spooled(tmp_path / "a")
    spooled(tmp_path / "b")
    for run in RUNS:
        assert publish(one, tmp_path / "a", run, own="w") == Published(run.path, {})
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208
    assert together(many, tmp_path / "b") == {run: Published(run.path, {}) for run in RUNS}
    assert len(os.listdir("/dev/fd")) <= before + 1  # noqa: PTH208 - the index may be open
    assert {key: many.get(key) for key in many.list()} == {key: one.get(key) for key in one.list()}
    assert spooled_runs(tmp_path / "b") == []
    assert not folder_of(tmp_path / "b", RUNS[0]).exists()
    index = index_of(many)
    assert {row.key for row in index.runs(RunFilter())} == {run.path for run in RUNS}
    index.close()


def test_they_are_committed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to a number of runs, of bytes, and of seconds; at least one each time."""
    for limit, value, commits in (
        ("MOST_TOGETHER", 4, [4, 2]), ("_BATCH_BYTES", 1, [1] * 6), ("_BATCH_BYTES", 10**9, [6]),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(module, "_BATCH_S", 60.0)
            patch.setattr(module, limit, value)
            store = Watched(tmp_path / f"{limit}{value}")
            spooled(tmp_path / "spool")
            assert len(together(store, tmp_path / "spool")) == len(RUNS)
            assert store.commits == commits
    now = iter(range(1000))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(now)))
    monkeypatch.setattr(module, "_BATCH_S", 2.5)
    store = Watched(tmp_path / "clock")
    spooled(tmp_path / "spool")
    assert len(together(store, tmp_path / "spool")) == len(RUNS)
    assert store.commits == [2, 2, 2]


def revised(store: LocalStore, spool: Path, run: RunKey) -> Callable[[], object] | None:
    """The run is sealed already."""
    journal(spool, run, span_id="c" * 16).close()
    assert publish(store, spool, run, own="w")
    journal(spool, run).close()


def leaking(store: LocalStore, spool: Path, run: RunKey) -> Callable[[], object] | None:
    """The redactor has a hole."""
    journal(spool, run, **{"gen_ai.response.id": TOKEN}).close()


def long(store: LocalStore, spool: Path, run: RunKey) -> Callable[[], object] | None:
    """Its journals are long."""
    journal(spool, run, **{f"k{number}": "x" * 60_000 for number in range(20)}).close()


def sealed_elsewhere(store: LocalStore, spool: Path, run: RunKey) -> Callable[[], object] | None:
    """Another process is at it."""
    journal(spool, run).close()
    fd = os.open(folder_of(spool, run), os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return lambda: os.close(fd)


def still_written(store: LocalStore, spool: Path, run: RunKey) -> Callable[[], object] | None:
    """A process still writes it."""
    return journal(spool, run).close


def gone(store: LocalStore, spool: Path, run: RunKey) -> Callable[[], object] | None:
    """Somebody has sealed it, or removed it."""


def malformed(store: LocalStore, spool: Path, run: RunKey) -> Callable[[], object] | None:
    """Nothing in its journal is a line."""
    folder_of(spool, run).mkdir(parents=True)
    (folder_of(spool, run) / "w.jsonl").write_bytes(b"nothing\n")


def cut_off(store: LocalStore, spool: Path, run: RunKey) -> Callable[[], object] | None:
    """A seal of it was cut off."""
    journal(spool, run).close()
    store.put(f"{run.path}/events.jsonl", b"something else")


@pytest.mark.parametrize(
    "make",
    [revised, leaking, long, sealed_elsewhere, still_written, gone, malformed, cut_off],
    ids=lambda f: f.__name__,
)
def test_who_is_to_be_published_alone_is_left_alone(
    tmp_path: Path, make: Callable[[LocalStore, Path, RunKey], Callable[[], object] | None]
) -> None:
    """It is not in the answer, its journals stay, the others are sealed; then publishing it alone does what it does."""
    store, spool = LocalStore(tmp_path / "s"), tmp_path / "spool"
    spooled(spool, RUNS[:2] + RUNS[3:])
    free = make(store, spool, RUNS[2])
    before = spooled_runs(spool)
    runs = [store.get(f"{RUNS[2].path}/run.json")] if make is revised else []
    assert together(store, spool) == {run: Published(run.path, {}) for run in RUNS if run != RUNS[2]}
    assert spooled_runs(spool) == [run for run in before if run == RUNS[2]]
    assert [store.get(key) for key in store.list(f"{RUNS[2].path}/run.json")] == runs
    if free is not None:
        free()
    if make not in (gone, malformed):
        assert publish(store, spool, RUNS[2], own="w")
        assert Bundle.open(store, RUNS[2].path).index.revision == (2 if make is revised else 1)


def test_a_journal_that_is_still_written_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """If it was waited for long enough: what is free of the run's journals goes, the other stays."""
    journal(tmp_path / "spool", RUNS[0]).close()
    other = journal(tmp_path / "spool", RUNS[0], writer="x", span_id="c" * 16, **{"runbundle.op": "step"})
    store = MemoryStore()
    assert together(store, tmp_path / "spool", RUNS[:2], wait=False) == {RUNS[0]: Published("r0", {})}
    assert Bundle.open(store, "r0").index.counts.spans == 2
    assert [path.name for path in folder_of(tmp_path / "spool", RUNS[0]).iterdir()] == ["x.jsonl"]
    other.close()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_store_that_fails_for_one_fails_for_one(tmp_path: Path, after: bool) -> None:
    """Whichever of the puts it is: that run is told, and keeps its journals; the next try seals it."""
    whole = MemoryStore()
    spooled(tmp_path / "whole")
    assert len(together(whole, tmp_path / "whole")) == len(RUNS)
    for nth in range(1, 4 * len(RUNS) + 1):
        spool, inner = tmp_path / str(nth), MemoryStore()
        spooled(spool)
        done = together(FaultyStore(inner, [Fault("put", nth, "ENOSPC", after=after)]), spool)
        [failed] = [run for run, it in done.items() if isinstance(it, StoreUnavailable)]
        assert len(done) == len(RUNS)
        assert spooled_runs(spool) == [failed]
        assert all(b"\0" not in path.read_bytes() for path in folder_of(spool, failed).iterdir())
        assert publish(inner, spool, failed, own="w")
        assert {key: inner.get(key) for key in inner.list()} == {key: whole.get(key) for key in whole.list()}


def test_a_journal_that_waits_for_its_store_takes_no_more_room_than_its_lines(tmp_path: Path) -> None:
    """Of a run that is published alone, too; nothing of it is lost."""
    spooled(tmp_path / "spool", RUNS[:1])
    [path] = folder_of(tmp_path / "spool", RUNS[0]).iterdir()
    lines = path.read_bytes().rstrip(b"\0")
    with pytest.raises(StoreUnavailable):
        publish(FaultyStore(MemoryStore(), [Fault("put", 1, "ENOSPC")]), tmp_path / "spool", RUNS[0], own="w")
    assert path.read_bytes() == lines


def test_a_store_that_raises_what_it_must_not_leaves_all_to_be_tried_alone(tmp_path: Path) -> None:
    """Its journals are all there."""

    class Broken(MemoryStore):
        def commit(self, bundles: Any) -> Any:
            raise ZeroDivisionError

    spooled(tmp_path)
    assert together(Broken(), tmp_path) == {}
    assert len(spooled_runs(tmp_path)) == len(RUNS)


def test_runs_that_are_due_at_once_are_sealed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an application: those that ended while the sealer was at work, without waiting for more to come."""
    monkeypatch.setattr(module, "_BATCH_S", 60.0)
    monkeypatch.setattr(segments, "BUSY_RUNS", 1000)  # each has journals, so that the last is sealed as a run alone is
    store = Watched(tmp_path / "s")
    with runbundle.configure(store=store, key=b"a key for these tests", recover=False) as handle:
        with monkeypatch.context() as patch:
            patch.setattr(Sealer, "_start_thread", lambda _: None)
            for number in range(40):
                with runbundle.start_run("r", run_id=f"r{number}"), runbundle.start_tool("t", {"n": number}):
                    pass
        result = handle.flush()
        assert bool(result)
        assert result.sealed == [f"r{number}" for number in range(40)]
        assert store.commits == [32, 8]
        with runbundle.start_run("r", run_id="alone"):
            pass
        assert handle.flush().sealed == ["alone"]
        assert store.commits == [32, 8]
    assert {verify(store, f"r{number}").verdict for number in range(40)} == {"verified"}
