"""Writers are killed at random times and at every watched call: nothing that was acknowledged is lost."""

import itertools
import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from runbundle.journal import mapped
from runbundle.journal.apart import take_apart
from runbundle.journal.spool import spooled_runs
from runbundle.recording.recovery import recover
from runbundle.store import LocalStore
from tests.crash.harness import Child, Plan, Points, Teller, check, kill_points, put_runs, where
from tests.crash.programs import begin, endless, left_behind, left_in_segments, one_run, whole

AT_RANDOM = 100
AT_LEAST = 300
CAMPAIGNS = {"random", "before", "after", "recover", "half a line"}


@pytest.fixture(scope="module")
def kills() -> Iterator[Counter[str]]:
    """Count the kills; if all campaigns were run, there were enough."""
    counted: Counter[str] = Counter()
    yield counted
    print(f"kills: {sum(counted.values())} {dict(counted)}")
    if counted.keys() >= CAMPAIGNS:
        assert sum(counted.values()) >= AT_LEAST, counted


@pytest.mark.parametrize("durability", ["os", "fsync-batch", "fsync"])
def test_at_random_times(durability: str, tmp_path: Path, kills: Counter[str]) -> None:
    """A process at work is killed at a random moment, again and again: all it had acknowledged is in the bundles."""
    chance = random.Random(durability)
    for number in range(AT_RANDOM // 3 + 1):
        root, delay = tmp_path / str(number), chance.uniform(0, 0.12)
        child = Child(lambda teller, root=root: endless(root, teller, durability=durability))  # type: ignore[misc]
        child.listen(until="ready")
        child.listen(delay)
        child.kill()
        child.wait()
        assert child.killed
        kills["random"] += 1
        where(f"child {number}, killed after {delay:.4f} s", root, lambda: check(root, child.told) and None)  # noqa: B023
        shutil.rmtree(root, ignore_errors=True)


@pytest.mark.parametrize("how", ["before", "after"])
def test_at_every_call(how: str, scratch: Path, kills: Counter[str]) -> None:
    """Journal, seal and revision are cut off between any two system calls: nothing acknowledged is lost."""

    def after(root: Path, child: Child) -> None:
        found = check(root, child.told)
        for run_id, seen in found.items():
            # Sealing once more what is sealed makes no revision, and only the log record was late.
            assert (seen.bundle.index.revision, seen.said.late) in ((1, 0), (2, 1) if run_id == "late" else (1, 0))
        shutil.rmtree(root, ignore_errors=True)

    kills[how] += kill_points(lambda n: scratch / str(n), whole, after, how)
    assert kills[how] > 100


@pytest.mark.parametrize("how", ["before", "after"])
def test_while_recovering(how: str, scratch: Path, kills: Counter[str]) -> None:
    """`recover` itself is killed at every call, and called again: what it had to recover is recovered, once."""
    told = left_behind(scratch / "template")

    def make(number: int) -> Path:
        shutil.copytree(scratch / "template", scratch / str(number))
        return scratch / str(number)

    def work(root: Path, teller: Teller, plan: Plan) -> None:
        Points(plan).install()
        for run in spooled_runs(root / ".spool"):
            assert recover(LocalStore(root), root / ".spool", run).outcome == "recovered"

    def after(root: Path, child: Child) -> None:
        found = check(root, told)
        # Counted twice if it was sealed and its journal still there; see test_known.py.
        assert found["open"].said.dropped in ({"torn_lines": 1}, {"torn_lines": 2})
        assert found["open"].said.state == "crashed"
        assert len(found["open"].interrupted) == 2
        assert (found["late"].bundle.index.revision, found["late"].said.late) == (2, 1)
        shutil.rmtree(root)

    kills["recover"] += kill_points(make, work, after, how)


@pytest.mark.parametrize("how", ["before", "after"])
def test_while_taking_segments_apart(how: str, scratch: Path, kills: Counter[str]) -> None:
    """Runs that are left in a segment get journals and are sealed, once, whenever that is cut off."""
    told = left_in_segments(scratch / "template")

    def make(number: int) -> Path:
        shutil.copytree(scratch / "template", scratch / str(number))
        return scratch / str(number)

    def work(root: Path, teller: Teller, plan: Plan) -> None:
        Points(plan).install()
        take_apart(root / ".spool")
        for run in spooled_runs(root / ".spool"):
            assert recover(LocalStore(root), root / ".spool", run).outcome == "recovered"

    def after(root: Path, child: Child) -> None:
        found = check(root, told)
        assert {run_id: seen.bundle.index.revision for run_id, seen in found.items()} == dict.fromkeys(found, 1)
        assert found["open"].said.dropped == {"torn_lines": 1}
        assert (found["open"].said.state, len(found["open"].interrupted)) == ("crashed", 2)
        shutil.rmtree(root)

    kills["recover"] += kill_points(make, work, after, how)


@pytest.mark.parametrize("place", ["journals", "segments"])
def test_within_a_line(place: Literal["journals", "segments"], scratch: Path, kills: Counter[str]) -> None:
    """The writer dies within a line, at every tenth of it: the lines before it are whole, the torn one is counted."""
    real = mapped.MappedFile.append

    def work(root: Path, teller: Teller, number: int) -> None:
        lines = itertools.count()

        def append(file: mapped.MappedFile, line: bytes) -> None:
            if next(lines) < number:
                real(file, line)
                return
            real(file, line[: max(1, len(line) * (number % 10) // 10)])
            os.kill(os.getpid(), signal.SIGKILL)

        mapped.MappedFile.append = append  # type: ignore[method-assign]
        begin(root)
        put_runs(place)
        one_run(teller, "torn")

    for number in range(10, 25):
        root = scratch / str(number)
        child = Child(lambda teller, root=root, number=number: work(root, teller, number)).wait()  # type: ignore[misc]
        assert child.killed
        kills["half a line"] += 1
        found = check(root, child.told)
        assert found["torn"].said.dropped == {"torn_lines": 1}
        assert found["torn"].said.state == "crashed"
