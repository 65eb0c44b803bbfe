"""A file that grows through shared memory: what was appended outlives the process, without a system call a line.

The pages of a shared mapping belong to the kernel, as those of `write()` do: SIGKILL takes none of them back. A
`write()` costs more than its 5 µs, too: it lets go of the interpreter lock, and with a second thread at work each line
then pays for two thread switches (measured: 40 µs a span of 300).

Space is allocated before it is mapped, so a full disk is an `OSError` here and not a fault at the next store into a
page. Until it is closed the file ends in zero bytes, which a reader must take for the end.

If somebody else cuts the file short, a store into a page behind its new end would end this process (SIGBUS). So the
kernel is asked for the page before each store, in a call that keeps the interpreter lock (0.4 µs; `fstat` lets go of
it, and with a busy second thread then takes 1 ms): the answer is a `FileCut` instead. What remains is a file that is
cut between that and the store, some 100 ns later. A file system that cannot map a file is written to by `pwrite`.
"""

import contextlib
import errno
import fcntl
import mmap
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from runbundle.process.disk import create, sync_folder

_FIRST_BYTES = 65_536
_MOST_AT_ONCE_BYTES = 4_194_304
_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE of Linux 5.14: fault pages in as a store would; EFAULT where that faults
_UNSUPPORTED = {errno.EINVAL, errno.ENODEV, errno.ENOSYS, errno.EOPNOTSUPP}


class FileCut(OSError):
    """Somebody else has made the file shorter than what was written to it."""


class MappedFile:
    """Appends to a file of its own. Not thread-safe: its owner holds a lock."""

    def __init__(self, path: Path, *, sync_each: bool = False, plain: bool = False) -> None:
        """Open or create `path`, 0600, to go on after what it holds. Raises `OSError`.

        `whole` tells whether that ends with a line end.

        With `sync_each` a line is on the disk, and so is the file's name, before `append` returns. `plain`: do not map.
        """
        self.fd = create(path, os.O_RDWR)
        self._space = os.fstat(self.fd).st_size
        self._end, self.whole = end_of_lines(self.fd, self._space)
        self._synced = self._end
        self._map: mmap.mmap | None = None
        self._plain = plain
        self._sync_each = sync_each
        if sync_each:
            sync_folder(path.parent)
            sync_folder(path.parent.parent)

    @property
    def size_bytes(self) -> int:
        """How much the file holds."""
        return self._end

    def append(self, line: bytes) -> None:
        """Append one line. Raises `OSError` if the disk is full, and `FileCut`; then nothing of it is in the file."""
        start = self._end
        end = start + len(line)
        if end > self._space or self._map is None:
            self._grow(end)
        held = self._map
        if held is None:
            self._write(line)
        else:
            page = start & -mmap.PAGESIZE
            _look[0](self.fd, held, page, end, self._space)
            held[start:end] = line
            if self._sync_each:
                try:
                    held.flush(page, end - page)
                except OSError:
                    held[start:end] = bytes(len(line))
                    raise
        self._end = end

    def held_bytes(self) -> int:
        """Return how much of what was appended is still in the file; -1 if the file has no name any more."""
        state = os.fstat(self.fd)
        if state.st_nlink == 0:
            return -1
        if state.st_size == self._space or not self._end:
            return self._end
        if state.st_size >= self._end and os.pread(self.fd, 1, 0) in (b"", b"\0"):
            return 0  # it was emptied, and has grown again
        return min(state.st_size, self._end)

    def duplicate_if_unsynced(self) -> int:
        """Return a new descriptor of the file if something was appended since the last call, else -1."""
        if self.fd < 0 or self._synced == self._end:
            return -1
        copy = os.dup(self.fd)
        self._synced = self._end  # only now: if there are no descriptors left, it must be tried again
        return copy

    def close(self) -> None:
        """Cut the file to what was appended, if nobody else has cut it shorter, and close it."""
        if self.fd >= 0:
            try:
                self._unmap()
                if os.fstat(self.fd).st_size > self._end:
                    os.ftruncate(self.fd, self._end)
            finally:
                with contextlib.suppress(OSError):
                    fcntl.flock(self.fd, fcntl.LOCK_UN)  # a child that was forked meanwhile may have a copy
                self.abandon()

    def cut_to_lines(self) -> None:
        """Take away what is left of a line after somebody else has cut the file."""
        size = min(os.fstat(self.fd).st_size, self._end)
        end, whole = end_of_lines(self.fd, size)
        while end > 0 and not whole:
            start = max(0, end - _FIRST_BYTES)
            last = os.pread(self.fd, end - start, start).rfind(b"\n")
            end, whole = (start + last + 1, True) if last >= 0 else (start, False)
        os.ftruncate(self.fd, end)
        self._end = end

    def abandon(self) -> None:
        """Let go of the file and leave it as it is: in a forked child, it is the parent's to cut."""
        if self.fd >= 0:
            self._unmap()
            os.close(self.fd)
            self.fd = -1

    def _grow(self, needed: int) -> None:
        if self._plain:
            return
        if os.fstat(self.fd).st_size < self._space:
            raise FileCut(errno.EIO, "somebody has truncated the file")
        step = min(max(self._space, _FIRST_BYTES), _MOST_AT_ONCE_BYTES)
        space = -(-max(needed, self._space + step) // mmap.PAGESIZE) * mmap.PAGESIZE
        try:
            _allocate(self.fd, self._space, space - self._space)
        except OSError:
            os.ftruncate(self.fd, self._space)
            raise
        if self._sync_each:
            os.fsync(self.fd)  # the new size: without it the lines would lie behind the end of the file
        self._unmap()
        try:
            self._map = mmap.mmap(self.fd, space)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            self._plain = True
            os.ftruncate(self.fd, self._end)
        self._space = space

    def _write(self, line: bytes) -> None:
        """Append without a map."""
        if os.fstat(self.fd).st_size < self._end:
            raise FileCut(errno.EIO, "somebody has truncated the file")
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(self.fd, line[written:], self._end + written)
            if self._sync_each:
                os.fsync(self.fd)
        except OSError:
            os.ftruncate(self.fd, self._end)
            raise

    def _unmap(self) -> None:
        if self._map is not None:
            self._map.close()
            self._map = None


def _populate(fd: int, held: mmap.mmap, start: int, end: int, space: int) -> None:
    """Have the pages ready for a store. Raises `FileCut` where the store would end the process."""
    try:
        held.madvise(_POPULATE_WRITE, start, end - start)
    except AttributeError:
        _measure(fd, held, start, end, space)
    except OSError as error:
        if error.errno == errno.EFAULT:
            raise FileCut(errno.EIO, "somebody has truncated the file") from None
        if error.errno not in _UNSUPPORTED:
            raise
        _look[0] = _measure  # an older kernel
        _measure(fd, held, start, end, space)


def _measure(fd: int, held: mmap.mmap, start: int, end: int, space: int) -> None:  # noqa: ARG001 - as `_populate`
    """Compare the size of the file with that of the map. Raises `FileCut` if it is smaller."""
    if _lseek()(fd, 0, os.SEEK_END) < space:
        raise FileCut(errno.EIO, "somebody has truncated the file")


_look: list[Callable[[int, mmap.mmap, int, int, int], None]] = [_populate if sys.platform == "linux" else _measure]
"""How this machine tells, before a store, that a page is gone."""


@cache
def _lseek() -> Callable[[int, int, int], int]:
    """Return a `lseek` that keeps the interpreter lock (0.9 µs), which `os.lseek` does not."""
    try:
        import ctypes

        function = ctypes.PyDLL(None).lseek
        function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int)
        function.restype = ctypes.c_int64
        return function
    except (ImportError, OSError, AttributeError):
        return os.lseek


def end_of_lines(fd: int, size: int) -> tuple[int, bool]:
    """Return where the zeros at the end of a file begin, and whether a line ends there."""
    while size > 0:
        start = max(0, size - _FIRST_BYTES)
        held = os.pread(fd, size - start, start).rstrip(b"\0")
        if held:
            return start + len(held), held.endswith(b"\n")
        size = start
    return 0, True


def _allocate(fd: int, start: int, length: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, start, length)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        else:
            return
    while length > 0:  # macOS, and file systems that cannot
        written = os.pwrite(fd, bytes(min(length, _FIRST_BYTES)), start)
        start, length = start + written, length - written
