"""With a full spool the agent is held up once, and not by a look through the spool at each record."""

import time
from collections.abc import Callable

import pytest

import runbundle
from runbundle.recording.sealer import Sealer
from runbundle.recording.writing import open_runs, spool_limit


def test_a_full_spool_is_not_looked_through_at_each_record(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full spool is not looked through at each record."""
    handle = configured(spool_limit_bytes=1)
    looks: list[int] = []

    def slow(*_: object) -> int:
        looks.append(1)
        time.sleep(0.1)  # a spool of many runs
        return 1000

    monkeypatch.setattr(open_runs, "written_bytes", slow)
    with runbundle.start_run("r"):
        for _ in range(30):
            with runbundle.start_step("s"):
                pass
    assert len(looks) < 12
    assert handle.recorder.flush(0.1).dropped["spool_limit"] > 20


def test_after_a_flush_there_is_room(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the last look through the full spool took, and the next is not due yet."""
    monkeypatch.setattr(spool_limit, "_LOOK_SHARE", 1_000_000)
    handle = configured(spool_limit_bytes=100_000)
    with runbundle.start_run("r"):
        for _ in range(300):
            with runbundle.start_step("s"):
                pass
    lost = handle.flush().dropped
    assert lost["spool_limit"] > 0
    with runbundle.start_run("r", run_id="after"):
        pass
    result = handle.flush()
    assert (result.sealed, result.dropped) == (["after"], lost)


def test_many_runs_that_wait_take_no_more_room_than_their_lines(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few journals have room to spare, which costs nothing to leave; all are sealed whole."""
    monkeypatch.setattr(open_runs, "_FEW", 2)
    with monkeypatch.context() as patch:
        patch.setattr(Sealer, "_start_thread", lambda _: None)
        handle = configured()
        for number in range(6):
            with runbundle.start_run("r", run_id=f"r{number}"):
                pass
        zeros = {path.parent.name: b"\0" in path.read_bytes() for path in handle.recorder.spool.glob("r*/*.jsonl")}
    assert zeros == {f"r{number}": number < 3 for number in range(6)}
    assert len(handle.flush().sealed) == 6
