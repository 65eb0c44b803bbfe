"""How processes end: each leaves what it had acknowledged, and the bundle says how it was."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from runbundle.format.identity import RunKey
from runbundle.journal.spool import spooled_runs
from tests.crash.harness import Seen, Told, check

REPOSITORY = Path(__file__).parents[2]
PRELUDE = """
import atexit, ctypes, os, signal, sys, threading
from pathlib import Path
import runbundle
from tests.crash.harness import Teller
from tests.crash.programs import begin, one_run
root, teller = Path(sys.argv[1]), Teller(int(sys.argv[2]))
handle = begin(root)
"""
IN_A_TOOL = """
with teller.span(runbundle.start_run("work", run_id="r")):
    with teller.span(runbundle.start_tool("done", {})):
        pass
    with teller.span(runbundle.start_tool("open", {})):
        teller.log()
        %s
"""


def ending(root: Path, program: str) -> tuple[int, Told]:
    """Run a program in a process of its own to its end; return the exit code and what it said."""
    mine, theirs = os.pipe()
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(program), str(root), str(theirs)]
    process = subprocess.Popen(command, cwd=REPOSITORY, pass_fds=(theirs,), stderr=subprocess.DEVNULL)
    os.close(theirs)
    told = Told()
    with os.fdopen(mine) as lines:
        for line in lines:
            told.take(line.rstrip("\n"))
    return process.wait(), told


def shape(seen: Seen) -> tuple[str, str, int, int]:
    """Return status, state, and how many spans ended and were interrupted."""
    return seen.bundle.index.status, seen.said.state, len(seen.ended), len(seen.interrupted)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("os.kill(os.getpid(), signal.SIGTERM)", -15),
        ("os._exit(3)", 3),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("os.kill(os.getpid(), signal.SIGSEGV)", -11),
        ("ctypes.string_at(0)", -11),
        ("os.abort()", -6),
    ],
)
def test_without_a_chance_to_clean_up(how: str, code: int, tmp_path: Path) -> None:
    """The process is gone at once: recover seals the run as crashed, with its open spans."""
    exit_code, told = ending(tmp_path, IN_A_TOOL % how)
    assert exit_code == code
    assert spooled_runs(tmp_path / ".spool") == [RunKey("", "r")]
    assert shape(check(tmp_path, told)["r"]) == ("interrupted", "crashed", 1, 2)


@pytest.mark.parametrize(
    ("before", "how", "code"),
    [
        ("", "sys.exit(4)", 4),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))", "os.kill(os.getpid(), signal.SIGTERM)", 5),
        ("", "raise ValueError", 1),
        ("", "os.kill(os.getpid(), signal.SIGINT)", -2),
    ],
    ids=["sys.exit", "SIGTERM with a handler", "an exception", "SIGINT"],
)
def test_with_an_exception_that_ends_all_spans(before: str, how: str, code: int, tmp_path: Path) -> None:
    """The exception passes through the spans and ends them: the process seals the run itself at its exit."""
    exit_code, told = ending(tmp_path, f"{before}\n{IN_A_TOOL % how}")
    assert exit_code == code
    assert spooled_runs(tmp_path / ".spool") == []
    seen = check(tmp_path, told_of_starts(told))["r"]
    assert shape(seen) == ("cancelled" if code == -2 else "error", "complete", 3, 0)


def told_of_starts(told: Told) -> Told:
    """Return what was told, with the spans that the exception ended as ended: they could not say so."""
    told.ends["r"] = list(told.starts["r"])
    return told


def test_at_exit_with_open_spans(tmp_path: Path) -> None:
    """Nobody ended the run: at its exit the process seals it, open spans interrupted."""
    program = """
    runbundle.start_run("work", run_id="r").__enter__()
    runbundle.start_tool("open", {}).__enter__()
    """
    exit_code, told = ending(tmp_path, program)
    assert exit_code == 0
    assert spooled_runs(tmp_path / ".spool") == []
    assert shape(check(tmp_path, told)["r"]) == ("interrupted", "crashed", 0, 2)


def test_an_exception_in_a_thread(tmp_path: Path) -> None:
    """A thread of the run dies of an exception: its span is an error, the run goes on and is complete."""
    program = """
    def fail():
        with runbundle.start_tool("fails", {}):
            raise ValueError

    with teller.span(runbundle.start_run("work", run_id="r")):
        thread = threading.Thread(target=runbundle.in_context(fail))
        thread.start()
        thread.join()
    """
    exit_code, told = ending(tmp_path, program)
    assert exit_code == 0
    seen = check(tmp_path, told)["r"]
    assert shape(seen) == ("ok", "complete", 2, 0)
    assert seen.bundle.index.counts.errors == 1


def test_daemon_threads_that_still_run(tmp_path: Path) -> None:
    """Daemon threads are in the middle of runs when the interpreter stops: nothing that they acknowledged is lost."""
    program = """
    begun = threading.Barrier(4)

    def work(name):
        for number in range(3):
            one_run(teller, f"{name}-{number}", turns=1)
        with teller.span(runbundle.start_run("work", run_id=name)):
            teller.log()
            begun.wait()
            while True:  # some of these come after the seal at the exit
                with teller.span(runbundle.start_tool("late", {})):
                    stop.wait(0.01)

    stop = threading.Event()
    for name in "abc":
        threading.Thread(target=work, args=(name,), daemon=True).start()
    begun.wait()
    """
    exit_code, told = ending(tmp_path, program)
    assert exit_code == 0
    found = check(tmp_path, told)
    assert {"a", "b", "c", "a-2", "b-2", "c-2"} <= set(found)
    assert {found[name].said.state for name in "abc"} == {"crashed"}


def test_a_forked_child_exits_within_the_span_of_its_parent(tmp_path: Path) -> None:
    """`sys.exit` in the child passes through spans that are the parent's: they are the parent's to end."""
    program = """
    with teller.span(runbundle.start_run("work", run_id="r")):
        pid = os.fork()
        if pid == 0:
            with teller.span(runbundle.start_tool("child", {})):
                pass
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        with teller.span(runbundle.start_tool("parent", {})):
            pass
    """
    exit_code, told = ending(tmp_path, program)
    assert exit_code == 0
    seen = check(tmp_path, told)["r"]
    assert shape(seen) == ("ok", "complete", 3, 0)
    assert seen.said.spans_expected == 3
