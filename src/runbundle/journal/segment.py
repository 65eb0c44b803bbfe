"""Segments: files in which short runs of a busy process lie one after another, so that none needs a file of its own.

To make a folder and a journal, to lock, list and remove them again costs a run about a millisecond. A segment is made
once for many runs. It has the lines of a journal, and two more kinds. A `run` line says whose the lines behind it are,
up to the next one. A `gone` line says that what came before it of a run is elsewhere: in a bundle that is sealed, or in
a journal. The process that writes a segment holds its lock. One whose process is dead is read by `journal.apart`.
"""

import contextlib
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from runbundle.format.identity import RunKey
from runbundle.journal.lines import parse_line, run_line
from runbundle.journal.locks import is_still_at
from runbundle.journal.mapped import FileCut, MappedFile
from runbundle.journal.writer import JournalWriter, RunWriter
from runbundle.process.disk import make_folder
from runbundle.store.regular import descriptor_at, refuse_link

FULL_BYTES = 1_048_576
"""Of a segment: then it takes no more runs. Those that it has may add three times as much."""
MOST_BYTES = 262_144
"""Of the lines of a run in a segment: a longer run has a journal of its own."""


class Outgrown(OSError):
    """A run cannot go on in its segment: it is too long, or was moved. Nothing that counts was written."""


class Segment:
    """A file with the lines of several runs. Not thread-safe: its owner holds a lock.

    A signal's handler may come to it in the middle of an append. It writes nothing then: what it appends goes to a
    journal.
    """

    def __init__(self, path: Path) -> None:
        """Make the file and lock it. Raises `OSError`, which is `FileExistsError` if it is there."""
        make_folder(path.parent)
        refuse_link(path.parent)
        self.path = path
        self.runs = 0
        """How many runs have lines here that are not elsewhere."""
        self.has_failed = False
        """Whether it could not grow."""
        self._whose: RunKey | None = None
        if os.path.lexists(path):
            raise FileExistsError(f"there is a segment {path.name} already")
        self._file = MappedFile(path)
        self._is_cut = self._at_work = False
        self._owed: list[RunKey] = []  # what `gone` could not write yet
        try:
            fcntl.flock(self._file.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not is_still_at(path, self._file.fd):
                raise BlockingIOError(f"another process has just taken {path.name} apart")
        except OSError:
            self._file.abandon()
            raise

    @property
    def is_full(self) -> bool:
        """Whether it takes no more runs."""
        return self._is_cut or self.has_failed or self._file.size_bytes >= FULL_BYTES

    @property
    def has_room(self) -> bool:
        """Whether the runs that it has may go on in it."""
        return self._file.size_bytes < 4 * FULL_BYTES

    def append(self, run: RunKey, line: bytes) -> int:
        """Append a line of a run; return where it begins. Raises `FileCut`, and `Outgrown`, also if it cannot grow."""
        if self._at_work:
            raise Outgrown("a signal's handler cannot append to a segment while the code that it interrupted does")
        if self._owed:
            self._say_gone()
            if run in self._owed:  # said later, it would take what is new
                raise Outgrown("that the lines of a run are elsewhere cannot be written")
        self._at_work = True
        try:
            if run is not self._whose:
                self._whose = None  # a signal's handler may raise
                self._file.append(run_line("run", run))
                self._whose = run
            start = self._file.size_bytes
            self._file.append(line)
        except FileCut:
            self._is_cut = True
            raise
        except OSError as error:
            self.has_failed = True
            raise Outgrown(f"a segment cannot grow: {error.strerror or error}") from error  # a journal may, or says why
        finally:
            self._at_work = False
        return start

    def gone(self, run: RunKey) -> None:
        """Take note that the lines of a run are elsewhere now. Never raises: what cannot be written now is written
        before the next line.
        """
        self.runs -= 1
        self._owed.append(run)
        if not self._at_work:
            self._say_gone()

    def has_all(self) -> bool:
        """Tell whether the file has the page of its last line; one that was removed has it, too. Raises `OSError`."""
        return self._file.has_last_page()

    def read(self, start: int, end: int) -> bytes:
        """Return what lies between two positions; less if it is not there any more. Raises `OSError`."""
        return os.pread(self._file.fd, end - start, start)

    def _say_gone(self) -> None:
        self._at_work, self._whose = True, None
        try:
            with contextlib.suppress(OSError):
                while self._owed:  # a signal's handler adds to the end
                    self._file.append(run_line("gone", self._owed[0]))
                    del self._owed[0]
        finally:
            self._at_work = False

    def remove(self) -> None:
        """Remove the file. Raises `OSError`."""
        try:
            self.path.unlink(missing_ok=True)
        finally:
            self._file.close(cut=False)

    def abandon_after_fork(self) -> None:
        """Close the descriptor in a forked child. The file, and the lock on it, stay with the parent."""
        self._file.abandon()


class SegmentLines(NamedTuple):
    """Where the lines of a run that has ended lie in a segment, for another process of ours."""

    path: Path
    parts: Sequence[tuple[int, int]]
    size_bytes: int

    def lines(self) -> bytes | None:
        """Return all lines; None if some are missing. Raises `OSError`."""
        fd = descriptor_at(self.path)
        try:
            found = b"".join(os.pread(fd, end - start, start) for start, end in self.parts)
        finally:
            os.close(fd)
        return _if_whole(found, self.size_bytes)


class SegmentWriter(RunWriter):
    """Appends the records of one run to a segment, and reads them again."""

    def __init__(self, segment: Segment, run: RunKey) -> None:
        super().__init__()
        self.segment = segment
        self.run = run
        self.moved_to: JournalWriter | None = None
        """Where its lines are now, if they were moved."""
        self.size_bytes = 0
        """The number of bytes of its lines."""
        self._parts: list[tuple[int, int]] = []  # where the lines lie, one behind another
        segment.runs += 1

    def append(self, line: bytes) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Append a line. Raises `Outgrown` and `FileCut`; then it is to go to a journal, with what had been appended
        before.
        """
        if self.size_bytes + len(line) > MOST_BYTES or not self.segment.has_room:
            raise Outgrown("a run has become too long for a segment")
        parts, length = self._parts, len(line)
        start = self.segment.append(self.run, line)
        # From here on nothing is called, so that no signal's handler comes between.
        if self.moved_to is not None:
            raise Outgrown("a signal's handler has moved the run")
        if parts and parts[-1][1] == start:
            parts[-1] = parts[-1][0], start + length
        else:
            parts += ((start, start + length),)
        self.size_bytes += length

    def lines(self) -> bytes | None:
        """Return all lines; None if another process has cut the file, so that some are missing. Raises `OSError`."""
        return _if_whole(self._read(), self.size_bytes)

    def place(self) -> SegmentLines:
        """Return where the lines lie."""
        return SegmentLines(self.segment.path, self._parts, self.size_bytes)

    def left(self) -> tuple[bytes, int]:
        """Return the lines that can still be read, and how many records are lost. Raises `OSError`."""
        whole = self.lines()
        if whole is not None:
            return whole, 0
        read = [(line, parse_line(line)) for line in self._read().splitlines(keepends=True)]
        kept = [(line, entry["k"]) for line, entry in read if entry is not None]
        lost = self.records - sum(kind in ("span", "log") for _, kind in kept)
        return b"".join(line for line, _ in kept), max(0, lost)

    def _read(self) -> bytes:
        return b"".join(self.segment.read(start, end) for start, end in self._parts)


def _if_whole(lines: bytes, size_bytes: int) -> bytes | None:
    return lines if len(lines) == size_bytes and b"\0" not in lines else None
