"""A signal's handler may record and flush in the middle of anything, and nobody waits for ever, or for the timeout."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import runbundle
from runbundle.errors import StoreUnavailable
from runbundle.format.identity import RunKey
from runbundle.journal.apart import segments_in
from runbundle.journal.segment import Segment
from runbundle.process.mutex import Mutex
from runbundle.recording.due import Due, DueRuns
from runbundle.recording.writing import segments
from tests.unit.recording.writing.test_segments import one_run


@pytest.mark.usefixtures("_busy")
def test_a_flush_in_the_middle_of_a_record_seals_runs_in_segments(configured: Callable[..., runbundle.Handle]) -> None:
    """As SIGTERM's handler does: the sealer cannot have the lock that the interrupted code holds until it returns."""
    handle = configured()
    one_run("before")
    handle.flush()  # detectors are loaded now
    spool, began = handle.recorder.spool, time.monotonic()
    with handle.recorder._open_runs.segments.lock:  # pyright: ignore[reportPrivateUsage]
        for number in range(5):
            one_run(f"r{number}")
        result = handle.recorder.flush(30)
    assert (len(result.sealed), result.pending) == (5, 0)
    assert time.monotonic() - began < 15
    assert handle.flush()
    assert segments_in(spool) == []


@pytest.mark.usefixtures("_busy")
def test_what_must_leave_a_segment_meanwhile_is_tried_again(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its seal fails for now, and says so; an open run stays where it is."""
    monkeypatch.setattr(segments, "LEAVE_S", 0.01)
    handle = configured()
    inside = handle.recorder._open_runs.segments  # pyright: ignore[reportPrivateUsage]
    failed: list[StoreUnavailable] = []

    def leave() -> None:
        inside.tidy(now=time.monotonic() + 100)
        try:
            inside.leave(RunKey("", "ended"))
        except StoreUnavailable as error:
            failed.append(error)

    with runbundle.start_run("work", run_id="open"):
        with inside.lock:
            one_run("ended")
            thread = threading.Thread(target=leave)
            thread.start()
            thread.join(10)
            assert not thread.is_alive()
        assert len(failed) == 1
        assert RunKey("", "open") in inside
    assert sorted(handle.flush().sealed) == ["ended", "open"]


def test_a_flush_never_holds_what_a_recording_thread_waits_for_without_its_lock(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a handler that records waits for that thread, and that thread for it."""
    handle = configured()
    one_run("before")
    handle.flush()
    inside = handle.recorder._open_runs.segments  # pyright: ignore[reportPrivateUsage]
    held: list[bool] = []
    hurry, untried = DueRuns.hurry, DueRuns.untried

    def noted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            held.append(inside.lock.is_mine)
            return function(*arguments)

        return call

    monkeypatch.setattr(DueRuns, "hurry", noted(hurry))
    monkeypatch.setattr(DueRuns, "untried", noted(untried))
    one_run("r")
    assert "r" in handle.flush().sealed
    assert len(held) >= 2
    assert all(held)


def test_a_run_that_a_handler_adds_while_those_due_are_gone_through_waits_too() -> None:
    """And nothing is raised into the agent that flushes."""
    due = DueRuns()

    class Interrupted(Due):
        def __getattribute__(self, name: str) -> Any:
            if name == "tries":
                due.expect(RunKey("", f"n{len(due)}"), Due(0.0, 0.0))
            return super().__getattribute__(name)

    due.expect(RunKey("", "a"), Interrupted(0.0, 0.0))
    due.expect(RunKey("", "b"), Due(0.0, 0.0))
    due.hurry(1.0)
    assert RunKey("", "b") in due.untried()
    assert len(due) == 4


@pytest.mark.usefixtures("_busy")
def test_no_agent_waits_while_an_empty_segment_is_removed(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To free its space takes the file system milliseconds."""
    handle, held, remove = configured(), list[bool](), Segment.remove
    lock = handle.recorder._open_runs.segments.lock  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(Segment, "remove", lambda segment: held.append(lock.is_mine) or remove(segment))
    one_run()
    assert handle.flush().sealed == ["r"]
    assert held == [False]


def test_a_lock_that_others_keep_is_given_up() -> None:
    """One that is free, or this thread's already, is held and released."""
    lock = Mutex()
    with lock.within(0) as mine, lock.within(0) as again:
        assert mine
        assert again
        with_others: list[bool] = []

        def other() -> None:
            with lock.within(0.01) as theirs:
                with_others.append(theirs)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert with_others == [False]
    assert not lock.is_mine
