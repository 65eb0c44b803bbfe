"""Runs that are published together are cut off anywhere: each bundle is whole or absent, and no record is lost."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from runbundle.bundle.verify import verify
from runbundle.errors import StoreUnavailable
from runbundle.format.identity import RunKey
from runbundle.journal.spool import spooled_runs
from runbundle.recording import publish, sealer
from runbundle.recording.publish import publish_together
from runbundle.recording.recovery import recover
from runbundle.recording.results import Published, Wanted
from runbundle.store import ArtifactStore, LocalStore
from tests.crash.harness import Child, Plan, Points, Teller, Told, check, kill_points, pipelined, where
from tests.crash.programs import begin, one_run
from tests.crash.test_store_faults import FaultyStore, copy

RUNS = [RunKey("", f"run{number}") for number in range(5)]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all of them in one batch, however slow the machine is."""
    monkeypatch.setattr(publish, "_BATCH_S", 60.0)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """A spool with runs that have ended and that nobody has sealed."""
    root = tmp_path_factory.mktemp("left")

    def leave(teller: Teller) -> None:
        sealer.Sealer._start_thread = lambda _: None  # type: ignore[method-assign]
        begin(root)
        for run in RUNS:
            one_run(teller, run.run_id, turns=1)
        os.kill(os.getpid(), signal.SIGKILL)

    child = Child(leave).wait()
    assert child.killed
    assert spooled_runs(root / ".spool") == RUNS
    return root, child.told


def at_once(store: ArtifactStore, spool: Path) -> dict[RunKey, Published | StoreUnavailable]:
    """Publish all of them together."""
    return publish_together(store, spool, [Wanted(run, True, None) for run in RUNS], own="")


@pytest.mark.parametrize("how", ["before", "after"])
def test_killed_at_every_call(how: str, left: tuple[Path, Told], scratch: Path) -> None:
    """Between any two system calls, the two syncs of the file system among them."""
    folder, told = left

    def make(number: int) -> Path:
        return Path(shutil.copytree(folder, scratch / str(number)))

    def work(root: Path, teller: Teller, plan: Plan) -> None:
        Points(plan).install()
        assert len(at_once(LocalStore(root), root / ".spool")) == len(RUNS)

    def after(root: Path, child: Child) -> None:
        found = check(root, told)
        assert {seen.bundle.index.revision for seen in found.values()} == {1}
        assert {verify(LocalStore(root), run.run_id).verdict for run in RUNS} == {"verified"}
        shutil.rmtree(root)

    assert kill_points(make, work, after, how) > 100


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
def test_failing_at_every_call(lasting: bool, left: tuple[Path, Told], scratch: Path) -> None:
    """The n-th call fails, or all from then on: who is said to be in the store is there, others are recovered."""
    folder, told = left
    step = 4 if lasting else 1

    def start(number: int) -> tuple[Path, Child]:
        root = Path(shutil.copytree(folder, scratch / str(number)))

        def work(teller: Teller) -> None:
            points = Points(Plan(number * step, ["ENOSPC", "EIO", "EMFILE"][number % 3], lasting)).install()
            done = at_once(LocalStore(root), root / ".spool")
            points.over = True
            for run, it in done.items():
                assert isinstance(it, StoreUnavailable) or LocalStore(root).exists(f"{run.run_id}/run.json")
            teller.say(f"{next(points.calls)}", *points.hit)

        return root, Child(work)

    def after(root: Path) -> None:
        assert {seen.bundle.index.revision for seen in check(root, told).values()} == {1}
        assert {verify(LocalStore(root), run.run_id).verdict for run in RUNS} == {"verified"}
        shutil.rmtree(root)

    for number, root, child in pipelined(start):
        assert child.status == 0
        _, *hit = child.told.marks[-1].split()
        where(f"call {number * step}: {hit}", root, lambda: after(root))  # noqa: B023
        if not hit:
            break
    assert number * step > 100


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_store_fails_at_every_operation(when: str, lasting: bool, left: tuple[Path, Told], scratch: Path) -> None:
    """A reader at any moment sees no bundle that fails; who has no bundle has its journals, and is sealed later."""
    folder, _ = left
    number, operations = 0, 1
    while number < operations:
        number += 1
        inner, spool = copy(folder, scratch / str(number))
        store = FaultyStore(inner, number, when, lasting=lasting)
        done = at_once(store, spool)
        operations = store.operations
        sealed = {run for run, it in done.items() if isinstance(it, Published)}
        assert set(spooled_runs(spool)) == set(RUNS) - sealed
        for run in set(RUNS) - sealed:
            assert recover(inner, spool, run).outcome == "recovered"
        assert {verify(inner, run.run_id).verdict for run in RUNS} == {"verified"}
    assert number > 20
