"""A segment gives each run its own lines back, whoever else wrote between them, and never another's."""

import os
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbundle.format.identity import RunKey
from runbundle.journal import segment as module
from runbundle.journal.apart import runs_in
from runbundle.journal.lines import numbered, parse_line, record_line, start_line
from runbundle.journal.locks import is_held
from runbundle.journal.mapped import FileCut
from runbundle.journal.segment import Outgrown, Segment, SegmentWriter
from runbundle.journal.writer import JournalWriter
from runbundle.store.regular import NotRegular
from tests.support.record_lines import bare_line

TRACE = "a" * 32
RESOURCE: Any = {"attributes": {}, "schema_url": ""}
RUNS = [RunKey("", "one"), RunKey("", "two"), RunKey("acme", "one")]


def span(run: RunKey, number: int, **more: Any) -> bytes:
    """Return the line of a span of a run."""
    record: Any = {"run_id": run.run_id, "tenant_id": run.tenant_id, "name": f"s{number}", "resource": RESOURCE, **more}
    return record_line("span", record, numbered(RESOURCE).number)


@given(st.lists(st.tuples(st.sampled_from(range(3)), st.integers(1, 400)), max_size=40))
@settings(max_examples=60)
def test_whatever_the_order_each_run_reads_what_it_wrote(tmp_path_factory: pytest.TempPathFactory, order: Any) -> None:
    """In this process by places, in another by what the lines say."""
    segment = Segment(tmp_path_factory.mktemp("spool") / ".segments" / "w-s1.lines")
    writers = [SegmentWriter(segment, run) for run in RUNS]
    wrote: dict[RunKey, list[bytes]] = {}
    for number, (which, length) in enumerate(order):
        line = span(RUNS[which], number, status_message="x" * length)
        writers[which].append(line)
        wrote.setdefault(RUNS[which], []).append(line)
    whole = {run: b"".join(lines) for run, lines in wrote.items()}
    assert {w.run: w.lines() for w in writers if w.size_bytes} == whole
    assert {w.run: w.place().lines() for w in writers if w.size_bytes} == whole
    assert runs_in(segment.path) == wrote
    segment.remove()
    assert not segment.path.exists()


def test_a_segment_is_made_once_and_held(tmp_path: Path) -> None:
    """Its folder is private, and a link in the place of that is refused."""
    segment = Segment(tmp_path / ".segments" / "w-s1.lines")
    assert is_held(segment.path)
    assert (segment.path.stat().st_mode & 0o777, segment.path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    with pytest.raises(FileExistsError):
        Segment(segment.path)
    segment.remove()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / ".segments").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotRegular):
        Segment(tmp_path / "spool" / ".segments" / "w-s1.lines")


def test_a_run_that_is_too_long_must_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As must all when the segment is too long; nothing of the line that was too much is in it."""
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    segment = Segment(tmp_path / ".segments" / "w-s1.lines")
    one = SegmentWriter(segment, RUNS[0])
    one.append(b"x" * 900 + b"\n")
    with pytest.raises(Outgrown):
        one.append(b"y" * 100 + b"\n")
    assert one.lines() == b"x" * 900 + b"\n"
    assert not segment.is_full
    monkeypatch.setattr(module, "FULL_BYTES", 200)
    assert segment.is_full
    assert not segment.has_room
    with pytest.raises(Outgrown):
        SegmentWriter(segment, RUNS[1]).append(b"y\n")
    segment.remove()


def test_lines_that_are_elsewhere_are_read_no_more(tmp_path: Path) -> None:
    """Those of a run that is gone; what it writes after that is new."""
    segment = Segment(tmp_path / ".segments" / "w-s1.lines")
    one, two = SegmentWriter(segment, RUNS[0]), SegmentWriter(segment, RUNS[1])
    one.append(span(RUNS[0], 1))
    two.append(span(RUNS[1], 2))
    segment.gone(RUNS[0])
    assert list(runs_in(segment.path)) == [RUNS[1]]
    assert segment.runs == 1
    again = SegmentWriter(segment, RUNS[0])
    again.append(span(RUNS[0], 3))
    assert runs_in(segment.path)[RUNS[0]] == [span(RUNS[0], 3)]
    segment.remove()


def test_what_another_process_cuts_off_is_counted_and_the_rest_is_kept(tmp_path: Path) -> None:
    """A file that was only removed is read to its end, since it is still open."""
    segment = Segment(tmp_path / ".segments" / "w-s1.lines")
    one = SegmentWriter(segment, RUNS[0])
    for number in range(4):
        one.write(bare_line("span", {"name": f"s{number}", "resource": RESOURCE, "attributes": {}}))
    whole = one.lines()
    assert whole is not None
    segment.path.rename(tmp_path / "moved")
    (tmp_path / "moved").unlink()
    assert segment.has_all()
    assert one.left() == (whole, 0)
    cut = len(whole) - len(whole.splitlines()[-1]) - 10  # within the last but one
    os.truncate(f"/proc/self/fd/{segment._file.fd}", cut + one._parts[0][0])
    assert one.lines() is None
    left, lost = one.left()
    assert lost == 2
    assert whole.startswith(left)
    assert [entry["k"] for line in left.splitlines() if (entry := parse_line(line))] == ["resource", "span", "span"]
    os.truncate(f"/proc/self/fd/{segment._file.fd}", 0)
    assert not segment.has_all()
    with pytest.raises(FileCut):
        one.append(b"more\n")
    assert segment.is_full  # nobody begins there any more
    segment.remove()


def test_zeros_in_the_place_of_lines_are_no_lines(tmp_path: Path) -> None:
    """As where the file was emptied and has grown again."""
    segment = Segment(tmp_path / ".segments" / "w-s1.lines")
    one = SegmentWriter(segment, RUNS[0])
    one.write(bare_line("span", {"name": "s", "resource": RESOURCE, "attributes": {}}))
    os.truncate(segment.path, 0)
    os.truncate(segment.path, 65_536)
    assert one.lines() is None
    assert one.place().lines() is None
    assert one.left() == (b"", 1)
    segment.remove()


def test_who_interrupts_an_append_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither lines nor that a run is gone, which the next line is behind; the run that it moves meanwhile is told."""
    segment = Segment(tmp_path / ".segments" / "w-s1.lines")
    one, two = SegmentWriter(segment, RUNS[0]), SegmentWriter(segment, RUNS[1])
    one.append(start_line(TRACE, "1" * 16, "", 10**18, "", is_run=True))
    real = segment._file.append

    def interrupted(line: bytes) -> None:
        monkeypatch.setattr(segment._file, "append", real)
        with pytest.raises(Outgrown):
            two.append(span(RUNS[1], 2))
        one.moved_to = cast("JournalWriter", object())
        segment.gone(RUNS[0])
        real(line)

    monkeypatch.setattr(segment._file, "append", interrupted)
    with pytest.raises(Outgrown):
        one.append(span(RUNS[0], 1))
    assert two.size_bytes == 0
    assert list(runs_in(segment.path)) == [RUNS[0]]
    two.append(span(RUNS[1], 2))
    assert runs_in(segment.path) == {RUNS[1]: [span(RUNS[1], 2)]}
    segment.remove()


def test_who_interrupts_the_note_that_a_run_is_gone_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one of the two would be written over the other."""
    segment = Segment(tmp_path / ".segments" / "w-s1.lines")
    one, two = SegmentWriter(segment, RUNS[0]), SegmentWriter(segment, RUNS[1])
    one.append(span(RUNS[0], 1))
    real = segment._file.append

    def interrupted(line: bytes) -> None:
        with pytest.raises(Outgrown):
            two.append(span(RUNS[1], 2))
        real(line)

    with monkeypatch.context() as patch:
        patch.setattr(segment._file, "append", interrupted)
        segment.gone(RUNS[0])
    two.append(span(RUNS[1], 3))
    assert runs_in(segment.path) == {RUNS[1]: [span(RUNS[1], 3)]}
    segment.remove()


def test_a_note_that_comes_while_another_is_written_is_written_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a signal's handler: both runs are elsewhere."""
    segment = Segment(tmp_path / ".segments" / "w-s1.lines")
    for number, run in enumerate(RUNS[:2]):
        SegmentWriter(segment, run).append(span(run, number))
    real, runs = segment._file.append, [RUNS[1]]

    def interrupted(line: bytes) -> None:
        if runs:
            segment.gone(runs.pop())
        real(line)

    monkeypatch.setattr(segment._file, "append", interrupted)
    segment.gone(RUNS[0])
    assert runs_in(segment.path) == {}
    monkeypatch.undo()
    segment.remove()


def test_a_note_that_a_full_disk_refused_comes_before_the_next_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else who reads the segment after a crash would take the run for one that is only there."""
    segment = Segment(tmp_path / ".segments" / "w-s1.lines")
    one, two = SegmentWriter(segment, RUNS[0]), SegmentWriter(segment, RUNS[1])
    one.append(span(RUNS[0], 1))

    def full(_: bytes) -> None:
        raise OSError("full")

    with monkeypatch.context() as patch:
        patch.setattr(segment._file, "append", full)
        segment.gone(RUNS[0])
        with pytest.raises(Outgrown):
            SegmentWriter(segment, RUNS[0]).append(span(RUNS[0], 2))
    two.append(span(RUNS[1], 3))
    assert runs_in(segment.path) == {RUNS[1]: [span(RUNS[1], 3)]}
    segment.remove()


def test_a_segment_that_was_taken_apart_before_it_was_locked_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would find it after the death of the process."""
    path, real = tmp_path / ".segments" / "w-s1.lines", module.fcntl.flock

    def flock(fd: int, how: int) -> None:
        path.unlink()
        real(fd, how)

    monkeypatch.setattr(module.fcntl, "flock", flock)
    with pytest.raises(BlockingIOError, match=r"taken w-s1\.lines apart"):
        Segment(path)
    monkeypatch.undo()
    Segment(path).remove()
