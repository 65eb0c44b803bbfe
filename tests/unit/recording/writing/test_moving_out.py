"""A run leaves its segment whole, whoever interrupts that and whatever fails."""

import errno
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.format.identity import RunKey
from runbundle.journal.lines import start_line
from runbundle.journal.spool import spooled_runs
from runbundle.recording.waiting import unsealed_runs
from tests.unit.recording.writing.test_segments import R, late_step

pytestmark = pytest.mark.usefixtures("_busy")


def interrupted(run: Callable[..., Any], handler: Callable[[], None]) -> Callable[..., Any]:
    """Return a function which a signal's handler interrupts, the first time."""
    handlers = [handler]

    def wrapped(*arguments: Any) -> Any:
        if handlers:
            handlers.pop()()
        return run(*arguments)

    return wrapped


def test_what_a_handler_records_while_its_run_is_moved_is_moved_too(
    configured: Callable[..., runbundle.Handle], idle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came to the segment, from which all had been read already."""
    handle = configured()
    segments = handle.recorder._open_runs.segments
    monkeypatch.setattr(segments, "_journal", interrupted(segments._journal, late_step))
    with runbundle.start_run("work", run_id="r"):
        segments.tidy(now=time.monotonic() + 60)
    idle()
    assert handle.flush().sealed == ["r"]
    assert Bundle.open(handle.store, "r").index.counts.spans == 2
    assert verify(handle.store, "r").verdict == "verified"


def test_a_handler_that_moves_a_run_which_is_being_moved_moves_it_once(
    configured: Callable[..., runbundle.Handle], idle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What both have written is one and the same, and nothing of it is counted twice."""
    handle = configured()
    segments = handle.recorder._open_runs.segments
    later = time.monotonic() + 60
    monkeypatch.setattr(segments, "_journal", interrupted(segments._journal, lambda: segments.tidy(now=later)))
    with runbundle.start_run("work", run_id="r"):
        late_step()
        segments.tidy(now=later)
        late_step()
    idle()
    result = handle.flush()
    assert (result.sealed, result.dropped) == (["r"], {})
    assert Bundle.open(handle.store, "r").index.counts.spans == 3
    assert verify(handle.store, "r").verdict == "verified"


def test_many_runs_that_are_moved_do_not_keep_an_agent_waiting(
    configured: Callable[..., runbundle.Handle], idle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets the lock between two of them."""
    recorder = configured().recorder
    segments, begun, moved = recorder._open_runs.segments, threading.Event(), []
    for number in range(50):
        line = start_line(f"{number + 1:032x}", "1" * 16, "", 10**18, "", is_run=True)
        recorder.started(RunKey("", f"r{number}"), line, is_run=True)

    def agent() -> None:
        begun.wait(30)
        with recorder._lock:
            moved.append(len(spooled_runs(recorder.spool)))

    thread = threading.Thread(target=agent)
    thread.start()
    monkeypatch.setattr(segments, "_journal", interrupted(segments._journal, begun.set))
    segments.tidy(now=time.monotonic() + 60)
    thread.join(30)
    assert len(spooled_runs(recorder.spool)) == 50
    assert moved[0] < 50
    idle()


def test_a_run_that_cannot_be_moved_when_its_process_ends_is_said_to_be_in_the_segment(
    configured: Callable[..., runbundle.Handle], idle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not lost: a recovery finds it."""
    recorder = configured().recorder
    step = runbundle.start_run("work", run_id="r")
    step.__enter__()
    late_step()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    idle()
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        recorder.close()
        result = recorder.flush()
    assert (result.dropped, list(result.failed)) == ({}, ["r"])
    assert "full" in result.failed["r"]
    assert [run.key for run in unsealed_runs(recorder.spool)] == [R]
    step.__exit__(None, None, None)


def test_when_a_segment_cannot_grow_its_runs_go_on_in_journals(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that begin within the next second, too: files may have a limit that only a long one meets."""
    handle = configured()
    segments = handle.recorder._open_runs.segments
    with runbundle.start_run("work", run_id="r0"):
        late_step()
        current = segments._current

        def full(_: bytes) -> None:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

        monkeypatch.setattr(current._file, "append", full)
        late_step()
        assert len(spooled_runs(handle.recorder.spool)) == 1
        for number in range(1, 4):
            with runbundle.start_run("work", run_id=f"r{number}"):
                assert RunKey("", f"r{number}") not in segments
    result = handle.flush()
    assert sorted(result.sealed) == ["r0", "r1", "r2", "r3"]
    assert result.dropped == {}
    assert Bundle.open(handle.store, "r0").index.counts.spans == 3
    segments._rests_until = 0.0
    with runbundle.start_run("work", run_id="r4"):
        assert RunKey("", "r4") in segments


def test_a_run_that_a_handler_forgets_meanwhile_is_gone_once(
    configured: Callable[..., runbundle.Handle], idle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted twice, a segment would be empty while another run is in it."""
    handle = configured()
    segments = handle.recorder._open_runs.segments
    for run_id in ("r0", "r1"):
        with runbundle.start_run("work", run_id=run_id):
            pass
    ended, key = segments._ended, RunKey("", "r0")

    class Handled(dict[RunKey, Any]):
        def get(self, one: RunKey, default: Any = None) -> Any:
            found = super().get(one, default)
            if handlers:
                handlers.pop()()
            return found

    handlers = [lambda: segments.sealed(key)]
    segments._ended = Handled(ended)
    segments._sealed.append(ended[key])
    with segments.lock:
        segments._forget_sealed()
    assert segments._current.runs == 1
    idle()
    assert "r1" in handle.flush().sealed
