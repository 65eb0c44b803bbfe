"""The file that grows through shared memory."""

import errno
import os
import signal
from pathlib import Path

import pytest

from runbundle.journal.lines import start_line
from runbundle.journal.mapped import MappedFile, cut_zeros, end_of_lines
from runbundle.journal.reader import JournalReader
from runbundle.journal.writer import JournalWriter

LINE = start_line("a" * 32, "b" * 16, "", 1, "")


def test_lines_are_there_after_close_and_reopening(tmp_path: Path) -> None:
    """Across every size at which the file grows; closed, it holds the lines and nothing else."""
    path = tmp_path / "f"
    lines = [bytes([65 + n % 26]) * (n * 37 % 9000) + b"\n" for n in range(400)]
    file = MappedFile(path)
    for line in lines[:200]:
        file.append(line)
    file.close()
    file.close()
    file = MappedFile(path)
    for line in lines[200:]:
        file.append(line)
    file.close()
    assert path.read_bytes() == b"".join(lines)


@pytest.mark.parametrize("mapped", [True, False])
def test_what_an_interrupted_append_left_behind_the_lines_goes_when_the_file_is_closed(
    tmp_path: Path, *, mapped: bool
) -> None:
    """Half a line behind the last one would be read as a damaged line."""
    path = tmp_path / "f"
    file = MappedFile(path, mapped=mapped)
    file.append(b"one\n")
    os.pwrite(file.fd, b"tw", file.size_bytes)
    file.close()
    assert path.read_bytes() == b"one\n"


def test_what_was_appended_survives_sigkill(tmp_path: Path) -> None:
    """The writer dies between two lines without closing: every line it had appended is read, none is torn."""
    path = tmp_path / "run" / "w.jsonl"
    child = os.fork()
    if child == 0:
        writer = JournalWriter(path)
        for _ in range(1000):
            writer.append(LINE)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    journal = JournalReader([path])
    assert (len(list(journal)), journal.torn) == (1000, 0)


def test_a_line_cut_off_by_death_is_counted(tmp_path: Path) -> None:
    """Half a line before the allocated space is one torn line; the lines before it are whole."""
    path = tmp_path / "w.jsonl"
    path.write_bytes(LINE + LINE[:20] + bytes(5000))
    journal = JournalReader([path])
    assert (len(list(journal)), journal.torn) == (1, 1)


def test_a_full_disk_is_an_error_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line at fault is not there, those before it are, and appending goes on when there is space again."""
    file = MappedFile(tmp_path / "f")
    file.append(b"one\n")
    with monkeypatch.context() as patch:

        def full(fd: int, start: int, length: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match="No space"):
            file.append(b"x" * 100_000 + b"\n")
    file.append(b"two\n")
    file.append(b"y" * 100_000 + b"\n")
    file.close()
    assert (tmp_path / "f").read_bytes() == b"one\ntwo\n" + b"y" * 100_000 + b"\n"


def test_a_forked_child_leaves_the_journal_to_its_parent(tmp_path: Path) -> None:
    """After a fork the child abandons the file, which neither cuts it nor frees the parent's lock."""
    writer = JournalWriter(tmp_path / "w.jsonl")
    writer.append(LINE)
    child = os.fork()
    if child == 0:
        writer.abandon_after_fork()
        os._exit(0)
    os.waitpid(child, 0)
    writer.append(LINE)
    with pytest.raises(BlockingIOError):
        JournalWriter(tmp_path / "w.jsonl")
    writer.close()
    assert (tmp_path / "w.jsonl").read_bytes() == LINE * 2


@pytest.mark.parametrize("lines", [1, 3_000, 30_000])
def test_a_file_that_is_closed_uncut_ends_in_few_zeros_and_is_continued_before_them(tmp_path: Path, lines: int) -> None:
    """At most 64 KiB; none after `cut_zeros`, which leaves a file that ends with its lines."""
    for number in (1, 2):
        file = MappedFile(tmp_path / "f")
        for _ in range(lines):
            file.append(LINE)
        file.close(cut=False)
        size, held = number * lines * len(LINE), (tmp_path / "f").read_bytes()
        assert held.rstrip(b"\0") == LINE * (number * lines)
        assert len(held) - size <= 65_536
    for _ in range(2):
        fd = os.open(tmp_path / "f", os.O_RDWR)
        cut_zeros(fd)
        assert os.fstat(fd).st_size == size
        os.close(fd)


def test_the_end_of_the_lines_is_found_before_any_number_of_zeros(tmp_path: Path) -> None:
    """And whether a line ends there; only the first bytes asked for count."""
    path = tmp_path / "f"
    for held, whole in ((b"", True), (b"one\n", True), (b"one\ntw", False), (b"\0\0one\n", True)):
        for zeros in (0, 1, 65_536, 200_000):
            path.write_bytes(held + bytes(zeros))
            fd = os.open(path, os.O_RDONLY)
            assert end_of_lines(fd, len(held) + zeros) == (len(held), whole)
            os.close(fd)
    path.write_bytes(b"one\ntwo\n")
    fd = os.open(path, os.O_RDONLY)
    assert end_of_lines(fd, 6) == (6, False)
    os.close(fd)


def test_the_remaining_bytes_are_those_that_nobody_cut_off(tmp_path: Path) -> None:
    """All, some, none, or -1 for a file that was removed; what remains can be cut to whole lines and written on."""
    path = tmp_path / "f"
    file = MappedFile(path)
    assert file.remaining_bytes() == 0
    for line in (b"one\n", b"two\n"):
        file.append(line)
    assert file.remaining_bytes() == file.size_bytes == 8
    os.truncate(path, 6)
    assert file.remaining_bytes() == 6
    file.cut_to_lines()
    assert (file.size_bytes, path.read_bytes()) == (4, b"one\n")
    os.truncate(path, 0)
    assert file.remaining_bytes() == 0
    path.unlink()
    assert file.remaining_bytes() == -1
    file.close()


def test_only_unsynced_lines_are_worth_a_descriptor(tmp_path: Path) -> None:
    """A file that was opened with lines in it has nothing to sync."""
    (tmp_path / "f").write_bytes(b"one\n")
    file = MappedFile(tmp_path / "f")
    assert file.duplicate_if_unsynced() == -1
    file.append(b"two\n")
    fd = file.duplicate_if_unsynced()
    assert os.fstat(fd).st_ino == (tmp_path / "f").stat().st_ino
    os.close(fd)
    file.close()
    assert file.duplicate_if_unsynced() == -1
