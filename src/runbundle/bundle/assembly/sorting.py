"""Sorting more lines than fit in memory: sorted pieces are written to disk and merged when they are read."""

import os
import tempfile
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

MEMORY_BYTES = 16_777_216
"""Bytes that are held before a piece goes to disk. With it a run of 1,000,000 spans takes about 190 MB at its peak."""

_READ_AHEAD_BYTES = 16_777_216  # shared by all pieces
_MOST_READ_AHEAD_BYTES = 262_144
_BLOCK_LINES = 256


class Sorter:
    """Takes lines in any order and yields them sorted by their bytes; it can be iterated several times.

    Lines must not contain line ends. It holds at most `memory_bytes` in memory, and as much again while reading. The
    rest is in one unnamed file in `directory`, which disappears with the process, however it ends. Raises `OSError` if
    that file cannot be written.
    """

    def __init__(self, directory: Path, memory_bytes: int = MEMORY_BYTES) -> None:
        self._directory = directory
        self._limit = memory_bytes
        self._lines: list[bytes] = []
        self._held = 0
        self._file: IO[bytes] | None = None
        self._pieces: list[tuple[int, int]] = []

    def add(self, line: bytes) -> None:
        """Add one line."""
        self._lines.append(line)
        self._held += len(line) + 40  # what an object of bytes takes besides
        if self._held > self._limit:
            self._spill()

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - closed by close()
        self._lines.sort()
        self._file.seek(0, os.SEEK_END)
        start = self._file.tell()
        self._file.writelines(line + b"\n" for line in self._lines)
        self._file.flush()
        self._pieces.append((start, self._file.tell()))
        self._lines, self._held = [], 0

    def __iter__(self) -> Iterator[bytes]:
        self._lines.sort()
        if self._file is None:
            return iter(self._lines)
        ahead = min(_MOST_READ_AHEAD_BYTES, max(4096, _READ_AHEAD_BYTES // len(self._pieces)))
        fd = self._file.fileno()
        held = (self._lines[at : at + _BLOCK_LINES] for at in range(0, len(self._lines), _BLOCK_LINES))
        return _merged([*(_blocks(fd, start, end, ahead) for start, end in self._pieces), held])

    def close(self) -> None:
        """Free memory and disk."""
        self._lines = []
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        self.close()


def _merged(pieces: list[Iterator[list[bytes]]]) -> Iterator[bytes]:
    """Yield the lines of sorted pieces in order. A piece yields its lines in blocks.

    Nothing that is still to be read sorts before the least of the last lines of the blocks that were read. All lines up
    to that one are sorted at once, which takes no comparison in Python, as a merge line by line does.
    """
    none: list[bytes] = []
    held: list[tuple[Iterator[list[bytes]], list[bytes]]] = []
    for piece in pieces:
        block = next(piece, none)
        if block:
            held.append((piece, block))
    while held:
        bound = min(block[-1] for _, block in held)
        now: list[bytes] = []
        later: list[tuple[Iterator[list[bytes]], list[bytes]]] = []
        for piece, block in held:
            place = bisect_right(block, bound)
            now += block[:place]
            rest = block[place:] or next(piece, none)
            if rest:
                later.append((piece, rest))
        now.sort()
        yield from now
        held = later


def _blocks(fd: int, start: int, end: int, ahead: int) -> Iterator[list[bytes]]:
    """Yield the lines of one piece of the file, some at a time; never none."""
    rest = b""
    while start < end:
        chunk = os.pread(fd, min(ahead, end - start), start)
        if not chunk:
            raise OSError("a file of sorted lines was cut short")
        start += len(chunk)
        *whole, rest = (rest + chunk).split(b"\n")
        if whole:
            yield whole
