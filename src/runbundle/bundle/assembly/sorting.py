"""Sorting more lines than fit in memory: sorted pieces are written to disk and merged when they are read."""

import os
import tempfile
from collections.abc import Generator, Iterator
from heapq import merge
from pathlib import Path
from types import TracebackType
from typing import IO, Self

MEMORY_BYTES = 16_777_216
"""Bytes that are held before a piece goes to disk. With it a run of 1,000,000 spans takes about 150 MB at its peak."""

_READ_AHEAD_BYTES = 16_777_216  # shared by all pieces
_MOST_READ_AHEAD_BYTES = 262_144


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
        return merge(*(_lines(self._file.fileno(), *piece, ahead) for piece in self._pieces), self._lines)

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


def _lines(fd: int, start: int, end: int, ahead: int) -> Generator[bytes]:
    rest = b""
    while start < end:
        chunk = os.pread(fd, min(ahead, end - start), start)
        if not chunk:
            raise OSError("a file of sorted lines was cut short")
        start += len(chunk)
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
