"""The ledger of losses says what a process lost when the process is gone."""

import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from runbundle.format.identity import RunKey
from runbundle.recording import losses
from runbundle.recording.losses import Losses, read_losses

R = RunKey("", "r")


def test_what_was_counted_is_read_back(tmp_path: Path) -> None:
    """Counts by reason, runs by reason, and what was given up."""
    ledger = Losses(tmp_path)
    ledger.count("journal_lost", 3, R)
    ledger.count("journal_lost", 2, RunKey("acme", "r"))
    ledger.count("spool_limit")
    ledger.state("unsampled", 4)
    ledger.gave_up(R, "no space left")
    ledger.write(now=True)
    (loss,) = read_losses(tmp_path)
    assert loss.counts == {"journal_lost": 5, "spool_limit": 1, "unsampled": 4}
    assert loss.runs == {"journal_lost": ["r", "acme/r"]}
    assert loss.failed == {"r": "no space left"}
    assert (loss.pid, loss.total) == (os.getpid(), 10)
    assert ledger.counts() == {"journal_lost": 5, "spool_limit": 1}


def test_who_counts_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler may have interrupted the ledger, and wait for a lock of whoever counts; memory is bounded meanwhile."""
    monkeypatch.setattr(losses, "_NOTED", 2)
    ledger = Losses(tmp_path)
    with ledger._lock:
        counting = threading.Thread(target=lambda: [ledger.count("journal") for _ in range(5)], daemon=True)
        counting.start()
        counting.join(20)
        assert not counting.is_alive()
    ledger.count("journal")
    assert len(ledger._noted) == 0
    assert ledger.counts() == {"journal": 6}


def test_a_handler_in_the_middle_of_adding_up_loses_nothing(tmp_path: Path) -> None:
    """What it counts, and what was being added up, is in what it is told, and once in what is written."""
    told: list[dict[str, int]] = []

    class Interrupted(RunKey):
        @property
        def path(self) -> str:
            """Stand for a moment in which a signal's handler runs."""
            if not told:
                ledger.count("journal", 10)
                told.append(ledger.counts())
                ledger.write(now=True)
            return "r"

    ledger = Losses(tmp_path)
    ledger.count("journal_lost", 3, Interrupted("", "r"))
    ledger.count("journal", 1)
    assert ledger.counts() == {"journal_lost": 3, "journal": 11}
    assert told[0]["journal"] == 11
    assert told[0]["journal_lost"] >= 3
    ledger.write(now=True)
    (loss,) = read_losses(tmp_path)
    assert loss.counts["journal"] == 11
    assert loss.runs == {"journal_lost": ["r"]}


def test_a_handler_in_the_middle_of_writing_raises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may ask for the counts, by which another reason gets its first run."""
    ledger = Losses(tmp_path)
    ledger.count("journal_lost", 1, R)
    ledger.counts()

    class Interrupted(dict[str, None]):
        def __iter__(self) -> Any:
            """Stand for a moment in which a signal's handler runs."""
            if "journal" not in ledger.counts():
                ledger.count("journal", 1, R)
                assert ledger.counts()["journal"] == 1
            return super().__iter__()

    monkeypatch.setitem(ledger._runs, "journal_lost", Interrupted(ledger._runs["journal_lost"]))
    ledger.write(now=True)
    assert read_losses(tmp_path)[0].runs == {"journal_lost": ["r"]}
    ledger.write(now=True)
    (loss,) = read_losses(tmp_path)
    assert (loss.counts, loss.runs) == ({"journal_lost": 1, "journal": 1}, {"journal_lost": ["r"], "journal": ["r"]})


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """0600 in a folder of 0700."""
    ledger = Losses(tmp_path)
    ledger.count("journal")
    ledger.write(now=True)
    (file,) = (tmp_path / ".losses").iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)] == [0o600, 0o700]


def test_a_process_that_lost_nothing_writes_nothing(tmp_path: Path) -> None:
    """So that the ledger is no list of processes."""
    Losses(tmp_path).write(now=True)
    assert not (tmp_path / ".losses").exists()


def test_it_is_written_at_most_once_a_second(tmp_path: Path) -> None:
    """However often something is lost; but at the end it is."""
    ledger = Losses(tmp_path)
    ledger.count("journal")
    ledger.write()
    ledger.count("journal")
    ledger.write()
    assert read_losses(tmp_path)[0].counts == {"journal": 1}
    assert time.monotonic() < ledger.write_at < time.monotonic() + 1
    ledger.write(now=True)
    assert read_losses(tmp_path)[0].counts == {"journal": 2}


def test_a_run_sealed_after_all_was_not_given_up(tmp_path: Path) -> None:
    """As one that was recovered in the same process."""
    ledger = Losses(tmp_path)
    ledger.gave_up(R, "no space left")
    ledger.sealed(R)
    ledger.write(now=True)
    assert read_losses(tmp_path)[0].failed == {}


def test_a_child_says_only_what_it_lost_itself(tmp_path: Path) -> None:
    """After a fork the counts begin anew, in a file of the child's."""
    ledger = Losses(tmp_path)
    ledger.count("journal", 5)
    ledger.write(now=True)
    child = os.fork()
    if child == 0:
        ledger.reset()
        ledger.count("journal", 1)
        ledger.write(now=True)
        os._exit(0)
    os.waitpid(child, 0)
    assert sorted(loss.counts["journal"] for loss in read_losses(tmp_path)) == [1, 5]


def test_runs_named_files_and_age_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts go on."""
    monkeypatch.setattr(losses, "_FILES", 3)
    ledger = Losses(tmp_path)
    for number in range(250):
        ledger.count("journal", 1, RunKey("", f"r{number}"))
        ledger.gave_up(RunKey("", f"r{number}"), "why")
    ledger.write(now=True)
    (loss,) = read_losses(tmp_path)
    assert (loss.counts["journal"], len(loss.runs["journal"]), len(loss.failed)) == (250, 100, 100)
    old = tmp_path / ".losses" / "1-old.json"
    old.write_bytes((tmp_path / ".losses" / loss.file).read_bytes())
    os.utime(old, (time.time() - 31 * 86_400,) * 2)
    for _ in range(5):
        ledger.reset()
        ledger.count("journal")
        ledger.write(now=True)
    assert len(read_losses(tmp_path)) == 3
    assert not old.exists()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", orjson.dumps({"counts": 1}), orjson.dumps({"pid": []})])
def test_what_is_no_ledger_is_passed_over(tmp_path: Path, body: bytes) -> None:
    """Whoever put it there."""
    (tmp_path / ".losses").mkdir()
    (tmp_path / ".losses" / "x.json").write_bytes(body)
    assert read_losses(tmp_path) == []


def test_a_spool_that_cannot_be_written_is_nobodys_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts are still in the result of `flush()`."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    ledger = Losses(tmp_path)
    ledger.count("journal")
    monkeypatch.setattr(Path, "mkdir", refuse)
    ledger.write(now=True)
    assert ledger.counts() == {"journal": 1}
