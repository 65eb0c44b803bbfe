"""Defects that the crash tests have found, each reduced to the smallest test. All are mended."""

import contextlib
import errno
import fcntl
import itertools
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runbundle
from runbundle.bundle.verify import verify
from runbundle.format.identity import RunKey
from runbundle.journal import mapped
from runbundle.journal.lines import start_line
from runbundle.journal.locks import free_files, sole_sealer
from runbundle.journal.reader import JournalReader
from runbundle.journal.spool import spooled_runs
from runbundle.journal.writer import JournalWriter
from runbundle.recording import publish
from runbundle.recording.recovery import recover
from runbundle.recording.results import BegunElsewhere, StillWritten
from runbundle.store import LocalStore
from tests.conftest import headers_from
from tests.crash.harness import KEY, Child, Teller, Told, active_handle, check, look
from tests.crash.programs import begin, one_run


def test_a_child_forked_during_a_seal_does_not_hold_its_lock(tmp_path: Path) -> None:
    """A process forks while a thread of it seals: as long as the child lives, nobody could seal that run again."""
    (tmp_path / "run").mkdir()
    mine, theirs = os.pipe()
    with sole_sealer(tmp_path / "run") as alone:
        assert alone
        pid = os.fork()
        if pid == 0:
            os.close(theirs)
            os.read(mine, 1)
            os._exit(0)
    os.close(mine)
    fd = os.open(tmp_path / "run", os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(fd)
        os.close(theirs)
        os.waitpid(pid, 0)


def test_a_journal_that_cannot_be_cut_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cutting the file fails once: its lock is free all the same, else the run is never sealed and nobody says so."""

    def fail(fd: int, length: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    writer = JournalWriter(tmp_path / "run" / "w.jsonl")
    writer.append(start_line("a" * 32, "b" * 16, "", 1, ""))
    with monkeypatch.context() as patch, contextlib.suppress(OSError):
        patch.setattr(os, "ftruncate", fail)
        writer.close()
    with free_files([writer.path]) as free:
        assert free == [writer.path]


def test_a_run_that_was_not_sealed_is_not_passed_over(tmp_path: Path) -> None:
    """Cutting the file fails: the run is sealed, or flush() says that it is not."""

    def work(teller: Teller) -> None:
        begin(tmp_path)

        def fail(fd: int, length: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        os.ftruncate = fail
        one_run(teller, "r", turns=1)
        teller.flush()

    (flushed,) = Child(work).wait().told.flushes
    assert flushed["sealed"] == ["r"] or "r" in flushed["failed"] or flushed["pending"], flushed


def test_a_journal_is_gone_on_with_where_its_lines_end(tmp_path: Path) -> None:
    """A file that ends in allocated space is opened again: what is appended then is read, too."""
    path = tmp_path / "run" / "w.jsonl"
    line = start_line("a" * 32, "b" * 16, "", 1, "")
    path.parent.mkdir()
    path.write_bytes(line + bytes(5000))
    writer = JournalWriter(path)
    writer.append(line)
    writer.close()
    assert len(list(JournalReader([path]))) == 2


def test_a_child_of_a_child_has_a_lane_of_its_own(tmp_path: Path) -> None:
    """A forked process forks once more, and both go on: no two spans have the same lane and ordinal."""

    def work(teller: Teller) -> None:
        begin(tmp_path)
        with teller.span(runbundle.start_run("work", run_id="r")):
            in_fork(lambda: (in_fork(lambda: tool(teller)), tool(teller)))

    found = check(tmp_path, Child(work).wait().told)
    assert len(set(found["r"].places)) == len(found["r"].places) == 3, found["r"].places


def in_fork(body: Callable[[], object]) -> None:
    """Run `body` in a forked process and wait for it."""
    pid = os.fork()
    if pid == 0:
        try:
            body()
            active_handle().flush()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def tool(teller: Teller) -> None:
    """Call a tool."""
    with teller.span(runbundle.start_tool("t", {})):
        pass


def test_files_of_a_seal_that_was_cut_off_go_even_if_the_next_is_cut_off_too(tmp_path: Path) -> None:
    """One seal dies at run.json, more comes, the next dies right after run.json: recover makes a bundle that verifies.

    Without the third of these the bundle fails with RB203, and for good.
    """
    store, spool = LocalStore(tmp_path), tmp_path / ".spool"

    def cut_off(teller: Teller) -> None:
        LocalStore.put = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
        recover(store, spool, RunKey("", "r"))

    def again(teller: Teller) -> None:
        LocalStore.delete = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
        recover(store, spool, RunKey("", "r"))

    def first(teller: Teller) -> None:
        begin(tmp_path)
        with teller.span(runbundle.start_run("work", run_id="r")):
            teller.say("headers", json.dumps(runbundle.carrier()))
            os.kill(os.getpid(), signal.SIGKILL)

    told = Child(first).wait().told
    headers = json.loads(told.marks[0].partition(" ")[2])

    def more(teller: Teller) -> None:
        begin(tmp_path, orphans=False)  # else it may seal, while it lives, what the first left
        with runbundle.continue_run(headers), teller.span(runbundle.start_tool("t", {})):
            os.kill(os.getpid(), signal.SIGKILL)

    assert Child(cut_off).wait().killed
    told.merge(Child(more).wait().told)
    assert Child(again).wait().killed
    found = recover(store, spool, RunKey("", "r"))
    assert found.outcome == "recovered"
    assert verify(store, "r").verdict != "failed", verify(store, "r").findings


def test_an_empty_journal_does_not_stay(tmp_path: Path) -> None:
    """A writer died between opening its journal and its first line: there is nothing to recover, and nothing stays."""
    JournalWriter(tmp_path / ".spool" / "r" / "w.jsonl").close()
    recover(LocalStore(tmp_path), tmp_path / ".spool", RunKey("", "r"))
    assert spooled_runs(tmp_path / ".spool") == []


def test_a_log_record_during_a_try_does_not_undo_the_run(tmp_path: Path) -> None:
    """While the sealer finds that another process still writes, a late record comes: the run is sealed all the same."""
    real = publish.publish

    def work(teller: Teller) -> None:
        begin(tmp_path)
        tries = itertools.count()

        def published(*args: Any, **options: Any) -> Any:
            if next(tries) == 0:
                afterwards()
                raise StillWritten("another process is writing")
            if options["parts"] is False:
                raise BegunElsewhere("another process is writing")
            return real(*args, **options)

        publish.publish = published  # type: ignore[assignment]
        with runbundle.start_run("work", run_id="r"):
            afterwards = runbundle.in_context(teller.log)
        teller.flush()

    (flushed,) = Child(work).wait().told.flushes
    assert flushed["sealed"] or flushed["failed"] or flushed["pending"], flushed


def test_a_loss_counts_once(tmp_path: Path) -> None:
    """Two local roots are open when one record is lost: the bundle says that one record was lost."""

    def lose(writer: JournalWriter, record: Any) -> None:
        JournalWriter.write = real  # type: ignore[method-assign]
        raise OSError(errno.ENOSPC, "No space left on device")

    real = JournalWriter.write

    def work(teller: Teller) -> None:
        begin(tmp_path)
        with runbundle.start_run("work", run_id="r"):
            headers = runbundle.carrier()
        with runbundle.continue_run(headers):
            first, second = (runbundle.start_step(name).start() for name in ("first", "second"))
            with first.attached(), runbundle.start_tool("t", {}):
                JournalWriter.write = lose  # type: ignore[method-assign, assignment]
        first.finish()
        second.finish()
        teller.flush()

    (flushed,) = Child(work).wait().told.flushes
    assert flushed["dropped"] == {"journal": 1}
    assert check(tmp_path, Told())["r"].said.dropped == {"journal": 1}


def test_a_torn_line_counts_once(tmp_path: Path) -> None:
    """`recover` died between the seal and the removal of a journal with half a line: it is one torn line, not two."""
    store, spool = LocalStore(tmp_path), tmp_path / ".spool"
    line = start_line("a" * 32, "b" * 16, "", 1, "", is_run=True)
    (spool / "r").mkdir(parents=True)
    (spool / "r" / "w.jsonl").write_bytes(line + line[:30])
    (spool / "r" / "again.jsonl").write_bytes(line + line[:30])
    shutil.copytree(spool / "r", tmp_path / ".copy")
    assert recover(store, spool, RunKey("", "r")).outcome == "recovered"
    shutil.copytree(tmp_path / ".copy", spool / "r")
    assert recover(store, spool, RunKey("", "r")).outcome == "recovered"
    said = look(store, "r")
    assert (said.said.dropped, said.bundle.index.revision) == ({"torn_lines": 2}, 1)


def test_closing_twice_waits_for_nobody(tmp_path: Path) -> None:
    """A worker has a part of a run; `Handle.shutdown` closes its recorder twice: the second has nothing to wait for."""

    def work(teller: Teller) -> None:
        handle = begin(tmp_path)
        with runbundle.continue_run(headers_from("elsewhere", key=KEY)):
            tool(teller)
        handle.recorder.close()
        teller.say(str(handle.recorder.flush(timeout_s=0.5).pending))

    assert Child(work).wait().told.marks == ["0"]


def test_a_log_record_in_a_continued_run_is_part_of_it(tmp_path: Path) -> None:
    """Another process continues the run by headers and logs in it: the record is in the bundle, as a span would be."""

    def work(teller: Teller) -> None:
        begin(tmp_path)
        with runbundle.start_run("work", run_id="r"):
            headers = runbundle.carrier()
        teller.flush()
        teller.say(json.dumps(headers))

    def other(teller: Teller) -> None:
        begin(tmp_path)
        with runbundle.continue_run(headers), teller.span(runbundle.start_tool("t", {})):
            assert runbundle.current_run().run_id in ("r", "")
            teller.log()
        teller.flush()

    headers = json.loads(Child(work).wait().told.marks[0])
    Child(other).wait()
    assert len(look(LocalStore(tmp_path), "r").logs) == 1


def test_a_signal_handler_may_shut_down(tmp_path: Path) -> None:
    """SIGTERM comes while a record is being appended, and its handler shuts down, as servers do: that must not hang."""
    real = mapped.MappedFile.append

    def work(teller: Teller) -> None:
        handle = begin(tmp_path)
        signal.signal(signal.SIGTERM, lambda *_: (handle.shutdown(), os._exit(0)))

        def append(file: mapped.MappedFile, line: bytes) -> None:
            real(file, line)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(2)
            signal.raise_signal(signal.SIGTERM)

        with runbundle.start_run("work", run_id="r"):
            writer: Any = handle.recorder._runs[RunKey("", "r")].writer
            writer.append = lambda line: append(writer._file, line)

    assert Child(work).wait().status == 0
