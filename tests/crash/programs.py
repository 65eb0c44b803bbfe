"""What the children of the crash tests do: agent-like loops that tell what they have recorded."""

import itertools
import os
import signal
import threading
from pathlib import Path

import runbundle
from runbundle.format.identity import RunKey
from runbundle.journal.apart import runs_in
from runbundle.journal.spool import spooled_runs
from runbundle.recording import publish
from tests.crash.harness import GRACE_S, KEY, Child, Plan, Points, Teller, Told, put_runs, small_steps


def begin(root: Path, *, durability: str = "os", orphans: bool = True) -> runbundle.Handle:
    """Configure as all children do."""
    small_steps()
    return runbundle.configure(
        store=root,
        key=KEY,
        grace_s=GRACE_S,
        durability=durability,
        recover=orphans,  # type: ignore[arg-type]
    )


def one_run(teller: Teller, run_id: str, *, turns: int = 2) -> None:
    """Do one run: nested tools, a thread, logs."""
    with teller.span(runbundle.start_run("work", run_id=run_id, config={"turns": turns})):
        for turn in range(turns):
            with teller.span(runbundle.start_agent("planner")):
                teller.log()
                with teller.span(runbundle.start_tool("outer", {"turn": turn})):
                    with teller.span(runbundle.start_tool("inner", {"turn": turn})):
                        pass
                    thread = threading.Thread(target=runbundle.in_context(lambda: in_thread(teller)))
                    thread.start()
                    thread.join()
        teller.log()


def in_thread(teller: Teller) -> None:
    """Do what a thread of a run does."""
    with teller.span(runbundle.start_step("threaded")):
        teller.log()


def late(teller: Teller, run_id: str) -> None:
    """Log in a run that has ended already."""
    scope = runbundle.start_run("work", run_id=run_id)
    with teller.span(scope):
        say_late = runbundle.in_context(teller.log)
    teller.flush()
    say_late()


def whole(root: Path, teller: Teller, plan: Plan) -> None:
    """Do a run with a journal of its own, and two in a segment. To the last a log record comes late: a revision."""
    begin(root)
    Points(plan).install()
    put_runs("journals")
    one_run(teller, "run0", turns=1)
    teller.flush()
    put_runs("segments")
    one_run(teller, "run1", turns=1)
    late(teller, "late")
    teller.flush()


def endless(root: Path, teller: Teller, *, durability: str = "os") -> None:
    """Do runs one after another, without waiting for their seals, until killed."""
    begin(root, durability=durability)
    teller.say("ready")
    for number in itertools.count():
        put_runs("segments" if number % 4 < 2 else "journals")
        one_run(teller, f"run{number}")
        late(teller, f"late{number}") if number % 3 == 2 else None


def left_in_segments(root: Path) -> Told:
    """Leave a segment as crashes do: a run that nobody has sealed, one that is sealed, one cut off within a line."""

    def leave(teller: Teller) -> None:
        begin(root)
        put_runs("segments")
        one_run(teller, "sealed", turns=1)
        with teller.span(runbundle.start_run("work", run_id="open")), teller.span(runbundle.start_tool("t", {"n": 1})):
            teller.flush()
            publish.publish_together = lambda *_, **__: threading.Event().wait()  # type: ignore[assignment, return-value]
            one_run(teller, "whole", turns=1)
            teller.log()
            os.kill(os.getpid(), signal.SIGKILL)

    child = Child(leave).wait()
    assert child.killed
    assert spooled_runs(root / ".spool") == []
    (torn,) = (root / ".spool" / ".segments").iterdir()
    assert set(runs_in(torn)) == {RunKey("", "open"), RunKey("", "whole")}
    body = torn.read_bytes().rstrip(b"\0")
    torn.write_bytes(body + body.splitlines()[-1][:30] + bytes(5000))
    return child.told


def left_behind(root: Path) -> Told:
    """Leave a spool as crashes do: a run with late data, one that nobody has sealed, one cut off within a line."""

    def leave(teller: Teller) -> None:
        begin(root)
        with teller.span(runbundle.start_run("work", run_id="late")):
            afterwards = runbundle.in_context(teller.log)
        teller.flush()
        publish.publish = lambda *_, **__: threading.Event().wait()  # type: ignore[assignment, return-value]
        afterwards()
        one_run(teller, "whole", turns=1)
        with teller.span(runbundle.start_run("work", run_id="open")), teller.span(runbundle.start_tool("t", {"n": 1})):
            teller.log()
            os.kill(os.getpid(), signal.SIGKILL)

    child = Child(leave).wait()
    assert child.killed
    torn = next((root / ".spool" / "open").glob("*.jsonl"))
    body = torn.read_bytes().rstrip(b"\0")
    torn.write_bytes(body + body.splitlines()[-1][:30] + bytes(5000))
    assert spooled_runs(root / ".spool") == [RunKey("", "late"), RunKey("", "open"), RunKey("", "whole")]
    return child.told
