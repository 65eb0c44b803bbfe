"""The one place that makes files and folders, 0600 and 0700 whatever the umask, and brings them to the disk.

A file or folder that is there already keeps the mode that somebody has given it. A new file survives the loss of power
if its bytes are synced (`write_synced`) and then the folder that holds its name (`sync_folder`). What `write` and
`replace` write survives the death of the process, and no more.
"""

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import BinaryIO

FILE, FOLDER = 0o600, 0o700


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are not there, each 0700. Raises `OSError`; one that is there is fine."""
    try:
        path.mkdir(mode=FOLDER)
    except FileNotFoundError:
        make_folder(path.parent)
        path.mkdir(mode=FOLDER, exist_ok=True)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    path.chmod(FOLDER)  # a umask may have taken from it what we need


def make_folder_in(fd: int, name: str, *, sync: bool = True) -> None:
    """Make a folder in an open one, and sync that, so that the name survives the loss of power.

    Without `sync` the caller does that, by `sync_file_system`.
    """
    try:
        os.mkdir(name, FOLDER, dir_fd=fd)
    except FileExistsError:
        return  # another made it, and syncs it
    os.chmod(name, FOLDER, dir_fd=fd)
    if not sync:
        return
    with contextlib.suppress(PermissionError):  # a folder above a root may be writable and not readable
        os.fsync(fd)


def create(path: Path | str, flags: int = os.O_WRONLY | os.O_EXCL, *, dir_fd: int | None = None) -> int:
    """Open a file for writing, made 0600 if it is not there; return its descriptor. No link is followed.

    `flags`: by default a file that is there is a `FileExistsError`.
    """
    fd = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, FILE, dir_fd=dir_fd)
    try:
        state = os.fstat(fd)
        if not state.st_size and state.st_mode & 0o777 != FILE and state.st_uid == os.geteuid():
            os.fchmod(fd, FILE)
    except OSError:
        os.close(fd)
        raise
    return fd


def write(path: Path, data: bytes) -> None:
    """Write a file anew; one that is there is replaced as a whole."""
    with writer(path) as file:
        file.write(data)


def writer(path: Path) -> BinaryIO:
    """Open a file to write it anew."""
    return os.fdopen(create(path, os.O_WRONLY | os.O_TRUNC), "wb")


def replace(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old bytes or the new ones, never a part. Raises `OSError`; not synced."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(scratch, data)
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise


_NO_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS)
"""What a file system or kernel without unnamed files answers."""


def create_unnamed(dir_fd: int) -> int | None:
    """Open a new file without a name for writing, 0600, which can be linked into that folder; return its descriptor.

    It is gone with its descriptor, however the process ends. None where the file system or the machine has none. Raises
    `OSError`, which is `FileNotFoundError` if the folder has been removed.
    """
    try:
        fd = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, FILE, dir_fd=dir_fd)
    except AttributeError:  # not Linux
        return None
    except OSError as error:
        if error.errno in _NO_UNNAMED:
            return None
        if error.errno == errno.EPERM and not os.fstat(dir_fd).st_nlink:  # how ext4 says it
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error
        raise
    try:
        if os.fstat(fd).st_mode & 0o777 != FILE:
            os.fchmod(fd, FILE)
    except OSError:
        os.close(fd)
        raise
    return fd


def link_unnamed(fd: int, name: str, dir_fd: int) -> bool:
    """Give a file of `create_unnamed` a name in a folder. Raises `FileExistsError`, and `OSError`.

    False if that cannot be done on this machine, where /proc is missing.
    """
    path = f"/proc/self/fd/{fd}"
    try:
        os.link(path, name, dst_dir_fd=dir_fd, follow_symlinks=True)
    except FileNotFoundError:
        if os.access(path, os.F_OK):
            raise  # the folder is gone
        return False
    return True


def write_synced(path: Path | str, chunks: Iterable[bytes | memoryview], *, dir_fd: int | None = None) -> None:
    """Write a new file and bring its bytes to the disk; its name is there after `sync_folder`.

    Raises `FileExistsError` if there is one, and any other `OSError`; then what was written so far is left.
    """
    fd = create(path, dir_fd=dir_fd)
    try:
        write_all(fd, chunks)
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, chunks: Iterable[bytes | memoryview]) -> None:
    """Write chunks to an open file, however few bytes the kernel takes at a time."""
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            view = view[os.write(fd, view) :]


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk. Raises `OSError`, as for a folder that may be written and not read."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def can_sync_file_systems() -> bool:
    """Tell whether `sync_file_system` works here, and says so when it fails: on Linux, from version 5.8."""
    return _syncfs() is not None


def sync_file_system(fd: int) -> None:
    """Bring all that was written to the file system of an open file or folder to the disk, names included.

    Whoever else writes there pays too, so it is for many files at once. Raises `OSError`.
    """
    sync = _syncfs()
    if sync is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    code = sync(fd)
    if code:
        raise OSError(code, os.strerror(code))


@cache
def _syncfs() -> Callable[[int], int] | None:
    """Return a function that syncs the file system of a descriptor, and returns the code of its error, or 0."""
    try:
        version = re.match(r"(\d+)\.(\d+)", os.uname().release)
        if os.uname().sysname != "Linux" or version is None or (int(version[1]), int(version[2])) < (5, 8):
            return None  # before that it is silent about bytes that did not reach the disk
        import ctypes  # here: most processes never need it

        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, ImportError, OSError):
        return None
    return lambda fd: ctypes.get_errno() if syncfs(fd) else 0
