"""A file that grows through shared memory: an appended line survives the process, without a system call for each line.

The kernel owns the pages of a shared mapping, as it owns those of `write()`: SIGKILL takes none of them back. A
`write()` costs more than its 5 µs, because it releases the interpreter lock; with a second busy thread, each line then
pays for two thread switches (measured: 40 µs of the 300 µs of a span).

Space is allocated before it is mapped, so a full disk raises `OSError` here, and no fault later when a page is stored
to. Until the file is closed it ends in zero bytes, which a reader must take for its end.

If another process cuts the file short, a store to a page behind the new end would kill this process (SIGBUS). So before
each store the kernel is asked for the page, by a call that keeps the interpreter lock (0.4 µs; `fstat` releases it, and
takes 1 ms beside a busy second thread), and a missing page raises `FileCut`. A cut in the 100 ns between that call and
the store still kills the process. On a file system that cannot map files, lines are written by `pwrite`.
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
    """Raised when another process has made the file shorter than the data written to it."""


class MappedFile:
    """Appends lines to a file. Not thread-safe: its owner holds a lock.

    `fd` is the open descriptor, -1 once the file is closed. `whole` tells whether the file ended with a whole line when
    it was opened.
    """

    def __init__(self, path: Path, *, sync_each: bool = False, mapped: bool = True) -> None:
        """Open or create `path`, with mode 0600, and continue after the data in it. Raises `OSError`.

        With `sync_each`, a line and the name of the file are on the disk before `append` returns. Without `mapped`,
        lines are written and not stored through a mapping.
        """
        self.fd = create(path, os.O_RDWR)
        self._space = os.fstat(self.fd).st_size
        self._end, self.whole = end_of_lines(self.fd, self._space)
        self._synced = self._end
        self._map: mmap.mmap | None = None
        self._mapped = mapped
        self._sync_each = sync_each
        if sync_each:
            sync_folder(path.parent)
            sync_folder(path.parent.parent)

    @property
    def size_bytes(self) -> int:
        """The number of bytes appended so far, with those found when the file was opened."""
        return self._end

    def append(self, line: bytes) -> None:
        """Append one line.

        Raises `OSError` if the disk is full, and `FileCut` if another process has cut the file. Then nothing of the
        line is in the file.
        """
        start = self._end
        end = start + len(line)
        if end > self._space or self._map is None:
            self._grow(end)
        held = self._map
        if held is None:
            self._write(line)
        else:
            page = start & -mmap.PAGESIZE
            _page_check[0](self.fd, held, page, end, self._space)
            held[start:end] = line
            if self._sync_each:
                try:
                    held.flush(page, end - page)
                except OSError:
                    held[start:end] = bytes(len(line))
                    raise
        self._end = end

    def remaining_bytes(self) -> int:
        """Return how many of the appended bytes the file still has; -1 if the file was removed."""
        state = os.fstat(self.fd)
        if state.st_nlink == 0:
            return -1
        if state.st_size == self._space or not self._end:
            return self._end
        if state.st_size >= self._end and os.pread(self.fd, 1, 0) in (b"", b"\0"):
            return 0  # another process emptied the file, and it has grown again
        return min(state.st_size, self._end)

    def has_last_page(self) -> bool:
        """Tell whether the page with the end of the last line is there, by a call that keeps the interpreter lock.

        A file that another process has cut within that page has it. Raises `OSError`.
        """
        if self._map is None or not self._end:
            return os.fstat(self.fd).st_size >= self._end
        try:
            _page_check[0](self.fd, self._map, (self._end - 1) & -mmap.PAGESIZE, self._end, self._space)
        except FileCut:
            return False
        return True

    def duplicate_if_unsynced(self) -> int:
        """Return a duplicate of the descriptor if lines were appended since the last call, else -1.

        The caller syncs and closes the duplicate.
        """
        if self.fd < 0 or self._synced == self._end:
            return -1
        copy = os.dup(self.fd)
        self._synced = self._end  # after `dup`: if no descriptor is left, the next call must try again
        return copy

    def close(self, *, cut: bool = True) -> None:
        """Close the file, after cutting off the zeros behind the last line.

        Without `cut` up to 64 KiB of them stay, for a journal that is sealed and removed in a moment: to cut one takes
        the file system 0.2 ms, or 3 ms while it is busy, of a caller's time. `cut_zeros` is for one that has to wait
        after all. If another process has cut the file shorter, it stays as it is.
        """
        if self.fd >= 0:
            try:
                self._unmap()
                most = self._end + (0 if cut else _FIRST_BYTES)
                # Without a map nobody counts the space; an append that was interrupted may have left a part of a line.
                if (self._space > most or not self._mapped) and os.fstat(self.fd).st_size > most:
                    os.ftruncate(self.fd, self._end)
            finally:
                with contextlib.suppress(OSError):
                    fcntl.flock(
                        self.fd, fcntl.LOCK_UN
                    )  # a forked child may hold a copy of the descriptor, and with it the lock
                self.abandon()

    def cut_to_lines(self) -> None:
        """Cut the file to its last whole line, after another process has cut it within a line."""
        size = min(os.fstat(self.fd).st_size, self._end)
        end, whole = end_of_lines(self.fd, size)
        while end > 0 and not whole:
            start = max(0, end - _FIRST_BYTES)
            last = os.pread(self.fd, end - start, start).rfind(b"\n")
            end, whole = (start + last + 1, True) if last >= 0 else (start, False)
        os.ftruncate(self.fd, end)
        self._end = end

    def abandon(self) -> None:
        """Close the descriptor and leave the file as it is. For a forked child, whose parent still writes the file."""
        if self.fd >= 0:
            self._unmap()
            os.close(self.fd)
            self.fd = -1

    def _grow(self, needed: int) -> None:
        if not self._mapped:
            return
        if self._space and os.fstat(self.fd).st_size < self._space:
            raise FileCut(errno.EIO, "another process has truncated the file")
        step = min(max(self._space, _FIRST_BYTES), _MOST_AT_ONCE_BYTES)
        space = -(-max(needed, self._space + step) // mmap.PAGESIZE) * mmap.PAGESIZE
        try:
            _allocate(self.fd, self._space, space - self._space)
        except OSError:
            os.ftruncate(self.fd, self._space)
            raise
        if self._sync_each:
            os.fsync(self.fd)  # the new size; without it a power failure leaves the lines behind the end of the file
        self._unmap()
        try:
            self._map = mmap.mmap(self.fd, space)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            self._mapped = False
            os.ftruncate(self.fd, self._end)
        self._space = space

    def _write(self, line: bytes) -> None:
        """Append without a map."""
        if os.fstat(self.fd).st_size < self._end:
            raise FileCut(errno.EIO, "another process has truncated the file")
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
    """Have the kernel prepare the pages for a store. Raises `FileCut` if a store would kill the process."""
    try:
        held.madvise(_POPULATE_WRITE, start, end - start)
    except AttributeError:
        _measure(fd, held, start, end, space)
    except OSError as error:
        if error.errno == errno.EFAULT:
            raise FileCut(errno.EIO, "another process has truncated the file") from None
        if error.errno not in _UNSUPPORTED:
            raise
        _page_check[0] = _measure  # an older kernel
        _measure(fd, held, start, end, space)


def _measure(fd: int, held: mmap.mmap, start: int, end: int, space: int) -> None:  # noqa: ARG001 - as `_populate`
    """Compare the size of the file with that of the map. Raises `FileCut` if it is smaller."""
    if _lseek()(fd, 0, os.SEEK_END) < space:
        raise FileCut(errno.EIO, "another process has truncated the file")


_page_check: list[Callable[[int, mmap.mmap, int, int, int], None]] = [
    _populate if sys.platform == "linux" else _measure
]
"""The function that checks, before a store, that its pages are there; replaced on an older kernel."""


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
    """Return the position where the zeros at the end of the first `size` bytes begin, and whether a line ends there."""
    while size > 0:
        start = max(0, size - _FIRST_BYTES)
        held = os.pread(fd, size - start, start).rstrip(b"\0")
        if held:
            return start + len(held), held.endswith(b"\n")
        size = start
    return 0, True


def cut_zeros(fd: int) -> None:
    """Cut off the zeros behind the last line of a journal that nobody writes. Raises `OSError`."""
    size = os.fstat(fd).st_size
    end, _ = end_of_lines(fd, size)
    if end < size:
        os.ftruncate(fd, end)


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
