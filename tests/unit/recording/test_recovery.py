"""Each way in which the recovery of a run comes out has a name, and none of them is an exception."""

from collections.abc import Callable
from pathlib import Path

import pytest

import runbundle
from runbundle.errors import StoreUnavailable
from runbundle.format.identity import RunKey
from runbundle.journal.spool import spooled_runs
from runbundle.recording import recovery
from runbundle.recording.recovery import Outcome, Recovered, recover
from runbundle.recording.results import BegunElsewhere, StillWritten
from runbundle.store import LocalStore, MemoryStore

RUN = RunKey("", "r")


def test_a_run_that_is_written_is_alive_and_one_that_is_not_there_is_gone(
    configured: Callable[..., runbundle.Handle],
) -> None:
    """Recovery leaves a run alone while this process writes it; sealed, there is nothing left to recover."""
    handle = configured()
    store, spool = handle.store, handle.recorder.spool
    with runbundle.start_run("r", run_id="r"):
        assert recover(store, spool, RUN).outcome is Outcome.ALIVE
        assert spooled_runs(spool) == [RUN]
    assert handle.flush().sealed == ["r"]
    assert recover(store, spool, RUN) == Recovered(RUN, Outcome.GONE)


@pytest.mark.parametrize(
    ("error", "outcome", "again"),
    [
        (StillWritten("held"), Outcome.ALIVE, False),
        (BegunElsewhere("a part"), Outcome.PART, False),
        (StoreUnavailable("away"), Outcome.FAILED, True),
        (RecursionError(), Outcome.FAILED, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_keeps_a_run_from_its_seal_is_an_outcome(
    monkeypatch: pytest.MonkeyPatch, error: Exception, outcome: Outcome, again: bool
) -> None:
    """Whatever publishing raises is named, with a note, and `again` if it may pass by itself."""

    def publish(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(recovery, "publish", publish)
    found = recover(MemoryStore(), Path("none"), RUN)
    assert (found.outcome, found.again, found.key) == (outcome, again, "")
    assert found.note


def test_an_outcome_is_printed_as_its_word(tmp_path: Path) -> None:
    """In text and in JSON an outcome is its one word."""
    found = recover(LocalStore(tmp_path), tmp_path / "spool", RUN)
    assert f"{found.outcome}" == "gone" == found.outcome
    assert {str(outcome) for outcome in Outcome} == {"recovered", "alive", "part", "failed", "gone"}
