"""A run leaves its segment whole, whoever interrupts that and whatever fails."""

import time
from collections.abc import Callable
from typing import Any

import pytest

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from tests.unit.recording.writing.test_segments import late_step

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
