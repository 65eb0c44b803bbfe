"""A file that grows through shared memory: what was appended outlives the process, without a system call a line.

The pages of a shared mapping belong to the kernel, as those of `write()` do: SIGKILL takes none of them back. A
`write()` costs more than its 5 µs, too: it lets go of the interpreter lock, and with a second thread at work each line
then pays for two thread switches (measured: 40 µs a span of 300).

Space is allocated before it is mapped, so a full disk is an `OSError` here and not a fault at the next store into a
page. Until it is closed the file ends in zero bytes, which a reader must take for the end. If another program cuts
the file short while it is mapped, the kernel ends this process: a journal is nobody else's to write to.
"""

import fcntl
import mmap
import os
from pathlib import Path

_FIRST_BYTES = 65_536
_MOST_AT_ONCE_BYTES = 4_194_304


class MappedFile:
    """Appends to a file of its own. Not thread-safe: its owner holds a lock."""

    def __init__(self, path: Path, *, sync_each: bool = False) -> None:
        """Open or create `path`, 0600, to go on after what it holds. Raises `OSError`.

        `whole` tells whether that ends with a line end.

        With `sync_each` a line is on the disk, and so is the file's name, before `append` returns.
        """
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._space = os.fstat(self.fd).st_size
        self._end, self.whole = _end_of_lines(self.fd, self._space)
        self._synced = self._end
        self._map: mmap.mmap | None = None
        self._sync_each = sync_each
        if sync_each:
            sync_folder(path.parent)
            sync_folder(path.parent.parent)

    @property
    def size_bytes(self) -> int:
        """How much the file holds."""
        return self._end

    def append(self, line: bytes) -> None:
        """Append one line. Raises `OSError` if the disk is full; then nothing of it is in the file."""
        end = self._end + len(line)
        if end > self._space or self._map is None:
            self._grow(end)
        assert self._map is not None
        self._map[self._end : end] = line
        if self._sync_each:
            page = self._end - self._end % mmap.PAGESIZE
            try:
                self._map.flush(page, end - page)
            except OSError:
                self._map[self._end : end] = bytes(len(line))
                raise
        self._end = end

    def duplicate_if_unsynced(self) -> int:
        """Return a new descriptor of the file if something was appended since the last call, else -1."""
        if self.fd < 0 or self._synced == self._end:
            return -1
        copy = os.dup(self.fd)
        self._synced = self._end  # only now: if there are no descriptors left, it must be tried again
        return copy

    def close(self) -> None:
        """Cut the file to what was appended and close it."""
        if self.fd >= 0:
            try:
                self._unmap()
                os.ftruncate(self.fd, self._end)
            finally:
                fcntl.flock(self.fd, fcntl.LOCK_UN)  # a child that was forked meanwhile may have a copy
                self.abandon()

    def abandon(self) -> None:
        """Let go of the file and leave it as it is: in a forked child, it is the parent's to cut."""
        if self.fd >= 0:
            self._unmap()
            os.close(self.fd)
            self.fd = -1

    def _grow(self, needed: int) -> None:
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
        self._map = mmap.mmap(self.fd, space)
        self._space = space

    def _unmap(self) -> None:
        if self._map is not None:
            self._map.close()
            self._map = None


def _end_of_lines(fd: int, size: int) -> tuple[int, bool]:
    """Return where the zeros at the end of a file begin, and whether a line ends there."""
    while size > 0:
        start = max(0, size - _FIRST_BYTES)
        held = os.pread(fd, size - start, start).rstrip(b"\0")
        if held:
            return start + len(held), held.endswith(b"\n")
        size = start
    return 0, True


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _allocate(fd: int, start: int, length: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, start, length)
    else:  # macOS
        while length > 0:
            written = os.pwrite(fd, bytes(min(length, _FIRST_BYTES)), start)
            start, length = start + written, length - written
