"""The one place that makes files and folders, 0600 and 0700 whatever the umask, and brings them to the disk.

A file or folder that is there already keeps the mode that somebody has given it. A new file survives the loss of power
if its bytes are synced (`write_synced`) and then the folder that holds its name (`sync_folder`). What `write` and
`replace` write survives the death of the process, and no more.
"""

import contextlib
import os
from collections.abc import Iterable
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


def make_folder_in(fd: int, name: str) -> None:
    """Make a folder in an open one, and sync that, so that the name survives the loss of power."""
    try:
        os.mkdir(name, FOLDER, dir_fd=fd)
    except FileExistsError:
        return  # another made it, and syncs it
    os.chmod(name, FOLDER, dir_fd=fd)
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


def write_synced(path: Path | str, chunks: Iterable[bytes | memoryview], *, dir_fd: int | None = None) -> None:
    """Write a new file and bring its bytes to the disk; its name is there after `sync_folder`.

    Raises `FileExistsError` if there is one, and any other `OSError`; then what was written so far is left.
    """
    fd = create(path, dir_fd=dir_fd)
    try:
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk. Raises `OSError`, as for a folder that may be written and not read."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
