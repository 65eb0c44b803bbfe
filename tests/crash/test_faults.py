"""System calls fail under a process at work: the agent never sees it, and each loss is counted exactly once."""

import shutil
from pathlib import Path

import pytest

import runbundle
from tests.crash.harness import Child, Plan, Points, Teller, Told, check, pipelined, put_runs, where
from tests.crash.programs import begin, late, one_run


def faulty(root: Path, teller: Teller, plan: Plan) -> None:
    """Do as the killed ones do, with failing calls; the disk is well again before the end."""
    begin(root)
    points = Points(plan).install()
    put_runs("journals")
    one_run(teller, "run0", turns=1)
    teller.flush()
    put_runs("segments")
    one_run(teller, "run1", turns=1)
    late(teller, "late")
    teller.flush()
    points.over = True
    with teller.span(runbundle.start_run("work", run_id="after")):
        pass
    teller.flush()
    teller.say(f"{next(points.calls)}", *points.hit)


@pytest.mark.parametrize(("lasting", "step"), [(False, 1), (True, 4)], ids=["once", "lasting"])
def test_at_every_call(lasting: bool, step: int, scratch: Path) -> None:
    """The n-th call fails, or all from the n-th on: nothing acknowledged and uncounted is missing afterwards."""
    errors = ["ENOSPC", "EIO", "EROFS"]

    def start(number: int) -> tuple[Path, Child]:
        root, plan = scratch / str(number), Plan(number * step, errors[number % 3], lasting)
        return root, Child(lambda teller: faulty(root, teller, plan))

    for number, root, child in pipelined(start):
        assert child.status == 0
        calls, *hit = child.told.marks[-1].split()
        where(f"call {number * step}: {hit}", root, lambda: counted(root, child.told, hit))  # noqa: B023
        shutil.rmtree(root)
        if not hit:
            break
    assert int(calls) > 150


def counted(root: Path, told: Told, hit: list[str]) -> None:
    """What is not in a bundle is in `dropped`; what was not sealed, flush() had said of; the bundles know of it."""
    dropped = told.flushes[-1]["dropped"]
    assert set(dropped) <= {"journal"}
    spoken_of = {run_id for flush in told.flushes for run_id in (*flush["sealed"], *flush["failed"])}
    # What became of a run whose journal cannot be cut, flush() does not say; see test_known.py.
    assert spoken_of >= told.runs() or "ftruncate" in hit, told.runs() - spoken_of
    found = check(root, told, dropped=sum(dropped.values()))
    for run_id in ("run0", "run1"):
        seen = found.get(run_id)
        if seen is None:
            assert len(told.ends[run_id]) + len(told.logs[run_id]) <= dropped["journal"]
            continue
        lost = {*told.ends[run_id], *told.logs[run_id]} - {*seen.ended, *seen.logs}
        if seen.said.state == "crashed":
            assert lost  # the run's own end, of all
        else:
            assert seen.said.dropped.get("journal", 0) == len(lost)
            assert (seen.said.state == "lossy") == bool(lost)
