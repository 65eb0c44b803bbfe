"""What was appended is brought to the disk with the folders that hold its name, and no descriptor is left."""

import os
import threading
from pathlib import Path

import pytest

from runbundle.journal.writer import JournalWriter
from runbundle.recording.writing import syncing
from runbundle.recording.writing.syncing import Unsynced, bring_to_disk, sync_in_turns


def open_files() -> int:
    """Return how many files this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


def test_a_closed_journal_is_synced_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file, its folder, the folder above and the spool are synced; the descriptor is closed; nothing is said."""
    spool = tmp_path / "spool"
    writer = JournalWriter(spool / "run" / "w.jsonl")
    before = open_files()
    writer.append(b"{}\n")
    unsynced, said = Unsynced(print), []
    unsynced.note(writer)
    unsynced.note(writer)  # nothing was appended since
    synced: set[tuple[int, int]] = set()
    real = os.fsync

    def fsync(fd: int) -> None:
        state = os.fstat(fd)
        synced.add((state.st_dev, state.st_ino))
        real(fd)

    writer.close()
    monkeypatch.setattr(os, "fsync", fsync)
    bring_to_disk(unsynced.take(), spool, said.append)
    wanted = {(p.stat().st_dev, p.stat().st_ino) for p in (writer.path, writer.path.parent, spool)}
    assert wanted <= synced
    assert said == []
    assert open_files() == before - 1
    assert unsynced.take() == []


def test_what_the_system_refuses_is_said_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that fails is no exception, and costs no descriptor."""
    writer = JournalWriter(tmp_path / "spool" / "run" / "w.jsonl")
    writer.append(b"{}\n")
    unsynced, said = Unsynced(print), []
    unsynced.note(writer)

    def refused(*_: object) -> None:
        raise OSError(5, "input/output error")

    before = open_files()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refused)
        bring_to_disk(unsynced.take(), tmp_path / "spool", said.append)
    assert said[0] == "records are not on the disk: input/output error"
    assert open_files() == before - 1
    writer.close()


def test_a_forked_child_closes_what_waits(tmp_path: Path) -> None:
    """The parent syncs its own."""
    writer = JournalWriter(tmp_path / "spool" / "run" / "w.jsonl")
    writer.append(b"{}\n")
    before = open_files()
    unsynced = Unsynced(print)
    unsynced.note(writer)
    unsynced.forget()
    assert (unsynced.take(), open_files()) == ([], before)
    writer.close()


def test_turns_end_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread syncs again and again, and ends."""
    monkeypatch.setattr(syncing, "SYNC_EVERY_S", 0.001)
    twice, stop = threading.Semaphore(0), threading.Event()
    thread = sync_in_turns(twice.release, stop)
    assert twice.acquire(timeout=10)
    assert twice.acquire(timeout=10)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
