"""Many processes, forks and threads: one run is one bundle, and many runs are as many."""

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import runbundle
from runbundle.bundle.verify import verify
from runbundle.recording.writing.segments import Segments
from runbundle.store import LocalStore
from tests.crash.harness import Child, Seen, Teller, active_handle, check, put_runs
from tests.crash.programs import begin, one_run
from tests.crash.worker import THREADS, TOOLS_A_THREAD, exit_after, four_threads, work

REPOSITORY = Path(__file__).parents[2]


def spawned(root: Path, teller: Teller, role: str) -> subprocess.Popen[bytes]:
    """Start a worker that shares nothing with this process but the headers."""
    headers = json.dumps(runbundle.carrier())
    command = [sys.executable, "-m", "tests.crash.worker", str(root), str(teller.fd), role, headers]
    return subprocess.Popen(command, cwd=REPOSITORY, pass_fds=(teller.fd,))


@pytest.mark.parametrize("orderly", [True, False], ids=["the root ends last", "the root ends first"])
def test_four_processes_with_forks_and_threads_on_one_run(orderly: bool, tmp_path: Path) -> None:
    """Two forked and two spawned workers, each of which forks and has threads: one bundle, which counts all of it."""

    def root_process(teller: Teller) -> None:
        begin(tmp_path)
        fork = multiprocessing.get_context("fork")
        with teller.span(runbundle.start_run("work", run_id="one")):
            programs = [spawned(tmp_path, teller, f"spawned{n}") for n in range(2)]
            workers = [fork.Process(target=work, args=(teller, f"forked{n}")) for n in range(2)]
            for worker in workers:
                worker.start()
            four_threads(teller, "root")
            if orderly:
                finish(workers, programs)
        if not orderly:
            finish(workers, programs)
        teller.flush()

    told = Child(root_process).wait().told
    assert all(not flush["failed"] and not flush["dropped"] for flush in told.flushes)
    found = check(tmp_path, told)
    assert list(found) == ["one"]
    one = found["one"]
    tools = 9 * THREADS * TOOLS_A_THREAD * 2  # the root, and four workers with a fork each
    assert len(told.ends["one"]) == tools + 1
    assert (one.said.spans_expected, one.said.spans_seen) == (tools + 1, tools + 1)
    assert one.bundle.index.counts.tool_calls == tools
    assert one.bundle.index.counts.logs == len(told.logs["one"]) > 0
    assert one.said.state == "complete"
    assert verify(LocalStore(tmp_path), "one").verdict == "verified"
    assert len(set(one.places)) == len(one.places) == tools + 1


def finish(workers: list[multiprocessing.context.ForkProcess], programs: list[subprocess.Popen[bytes]]) -> None:
    """Wait for all workers; none has failed."""
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    for program in programs:
        assert program.wait() == 0


def test_a_server_that_forks_its_workers_beforehand(tmp_path: Path) -> None:
    """As gunicorn does: configured in the master, requests in the children, each a run of its own."""

    def master(teller: Teller) -> None:
        begin(tmp_path)
        pids: list[int] = []
        for worker in range(4):
            pid = os.fork()
            if pid == 0:
                exit_after(lambda worker=worker: [one_run(teller, f"r{worker}-{n}", turns=1) for n in range(3)])
            pids.append(pid)
            one_run(teller, f"master-{worker}", turns=1)
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4
        teller.flush()

    # Under load a worker may end before its last late record is sealed: that waits in the spool, and check() recovers.
    found = check(tmp_path, Child(master).wait().told)
    assert sorted(found) == sorted(
        [f"r{w}-{n}" for w in range(4) for n in range(3)] + [f"master-{w}" for w in range(4)]
    )
    assert {seen.said.state for seen in found.values()} == {"complete"}


def test_a_queue_whose_worker_works_after_the_root_has_ended(tmp_path: Path) -> None:
    """As Celery does: tasks of one run, one after another in another process, become revisions of one bundle."""

    def root_process(teller: Teller) -> None:
        begin(tmp_path)
        with teller.span(runbundle.start_run("work", run_id="one")):
            teller.say(json.dumps(runbundle.carrier()))
        teller.flush()

    root = Child(root_process).wait().told
    headers = json.loads(root.marks[0])

    def worker(teller: Teller) -> None:
        begin(tmp_path)
        for number in range(3):
            with runbundle.continue_run(headers), teller.span(runbundle.start_tool(f"task{number}", {})):
                pass
            teller.flush()

    told = Child(worker).wait().told
    assert [flush["sealed"] for flush in told.flushes] == [["one"]] * 3
    root.merge(told)
    one = check(tmp_path, root)["one"]
    assert (one.bundle.index.revision, one.said.late) == (4, 3)
    assert (one.said.state, one.said.spans_seen, one.said.spans_expected) == ("complete", 4, 4)
    assert verify(LocalStore(tmp_path), "one").verdict == "verified"


def test_a_task_that_is_killed_is_a_revision_too(tmp_path: Path) -> None:
    """The worker dies in its second task, and another does that again: the bundle has all three, one interrupted."""

    def root_process(teller: Teller) -> None:
        begin(tmp_path)
        with teller.span(runbundle.start_run("work", run_id="one")):
            teller.say(json.dumps(runbundle.carrier()))
        teller.flush()

    def worker(teller: Teller, tasks: list[int]) -> None:
        begin(tmp_path)
        for number in tasks:
            with runbundle.continue_run(headers), teller.span(runbundle.start_tool(f"task{number}", {})):
                if number == 1:
                    os.kill(os.getpid(), 9)
            teller.flush()

    root = Child(root_process).wait().told
    headers = json.loads(root.marks[0])
    root.merge(Child(lambda teller: worker(teller, [0, 1])).wait().told)
    root.merge(Child(lambda teller: worker(teller, [2])).wait().told)
    seen: Seen = check(tmp_path, root)["one"]
    assert (len(seen.ended), len(seen.interrupted)) == (3, 1)
    assert seen.said.state == "lossy"
    assert verify(LocalStore(tmp_path), "one").verdict == "incomplete"


def test_a_child_that_outlives_its_parent_holds_nothing(tmp_path: Path) -> None:
    """A process forks within a run and is killed; while the child lives, the parent's run is recovered."""

    def parent(teller: Teller) -> None:
        begin(tmp_path)
        with teller.span(runbundle.start_run("work", run_id="one")), teller.span(runbundle.start_tool("t", {})):
            if os.fork() == 0:
                os.close(theirs)
                teller.say("child")
                exit_after(lambda: os.read(mine, 1))
            teller.say("parent")
            os.kill(os.getpid(), 9)

    mine, theirs = os.pipe()
    child = Child(parent)
    while len(child.told.marks) < 2:
        assert child.listen(until="child" if "parent" in child.told.marks else "parent")
    child.reap()
    try:
        found = check(tmp_path, child.told)
        assert len(found["one"].interrupted) == 2
    finally:
        os.close(theirs)
        os.close(mine)
        child.wait()


@pytest.fixture(autouse=True, params=["journals", "segments"])
def _places(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do all of it with runs in journals of their own, and in segments."""
    monkeypatch.setattr(Segments, "_is_busy", Segments._is_busy)  # pyright: ignore[reportPrivateUsage]
    put_runs(request.param)


@pytest.fixture(autouse=True)
def _no_children_left() -> Iterator[None]:
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_active_handles_do_not_leak_into_this_process() -> None:
    """All of this happened in children: here nothing is configured."""
    with pytest.raises(AssertionError):
        active_handle()
