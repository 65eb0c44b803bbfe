"""A process seals for an agent, and one of them is killed in the middle: no run is lost, and none is sealed twice."""

import os
import select
import signal
from pathlib import Path

import pytest

import runbundle
from runbundle.recording.sealing.process import SEAL_PROCESS
from tests.crash.harness import GRACE_S, KEY, Child, Teller, active_handle, check, put_runs, small_steps, where
from tests.crash.programs import one_run

RUNS, ROUNDS = 12, 10


def record(root: Path, teller: Teller) -> None:
    """Have runs sealed by a process, and say which it is."""
    small_steps()
    runbundle.configure(store=root, key=KEY, grace_s=GRACE_S, recover=False, seal="process")
    assert SEAL_PROCESS.ready(60)
    teller.say("sealer", str(SEAL_PROCESS.pid))
    for number in range(RUNS):
        put_runs("segments" if number % 3 else "journals")
        one_run(teller, f"run{number}", turns=1)
        teller.say("done", str(number))


def sealer_of(child: Child) -> int:
    """Return the id of the process that seals for a child."""
    return int(next(mark for mark in child.told.marks if mark.startswith("sealer")).split()[1])


def sealed_once(root: Path, child: Child) -> None:
    """Every record is in one bundle, whose first revision is its last.

    An agent that is killed may have begun the next run and not have said so.
    """
    found, told = check(root, child.told), child.told.runs()
    begins = {f"run{len(told)}"} if child.killed else set[str]()
    assert told <= set(found) <= told | begins
    assert {seen.bundle.index.revision for seen in found.values()} == {1}


@pytest.mark.parametrize("at", range(1, ROUNDS + 1))
def test_the_process_is_killed_while_it_seals(at: int, scratch: Path) -> None:
    """At some run: the agent's thread seals the rest, what was in hand too, and tells of all of them."""
    root = scratch / str(at)

    def work(teller: Teller) -> None:
        record(root, teller)
        result = active_handle().flush()
        assert sorted(result.sealed) == sorted(f"run{number}" for number in range(RUNS)), result
        active_handle().shutdown()

    child = Child(work)
    assert child.listen(until=f"done {at}")
    os.kill(sealer_of(child), signal.SIGKILL)
    child.wait()
    assert child.status == 0
    where(f"killed at {at}", root, lambda: sealed_once(root, child))


@pytest.mark.parametrize("at", range(1, ROUNDS + 1))
def test_the_agent_is_killed_while_the_process_seals(at: int, scratch: Path) -> None:
    """The process finishes what it has in hand, and ends; all else is recovered, also while it is at it."""
    root = scratch / str(at)

    def work(teller: Teller) -> None:
        record(root, teller)
        signal.pause()

    child = Child(work)
    assert child.listen(until=f"done {at}")
    child.kill()
    child.wait()
    assert child.killed
    where(f"killed at {at}", root, lambda: sealed_once(root, child))
    assert ends(sealer_of(child))


def ends(pid: int) -> bool:
    """Tell whether a process has ended, or does so within ten seconds."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], 10)[0])
    finally:
        os.close(process)
