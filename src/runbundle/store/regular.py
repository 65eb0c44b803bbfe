"""Opens files in folders to which others can write: a store, a bundle, a spool, a vault.

Nothing else opens files there.

Below a root, no link is followed: each folder on the way is opened within the one before (`openat`), so nobody who
replaces one by a link in the meantime can lead us out. The root itself may be a link, because the user named it. Only
regular files and folders are opened; a pipe, a socket or a device is refused before it is opened, so nothing ever
waits.

Not guaranteed: that a regular file has no second name (a hard link), that it does not change while it is read, or that
a folder is not the mount of another disk.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from runbundle.process.disk import make_folder_in

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS = (
    (stat.S_ISLNK, "a link"), (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
)  # fmt: skip


class NotRegular(OSError):
    """Raised, before anything is opened, for a path that is not a regular file or lies behind a link."""

    def __init__(self, kind: str) -> None:
        super().__init__(errno.ELOOP, f"is {kind}, not a file")
        self.kind = kind
        """`a link`, `a folder`, `a pipe`, `a socket` or `a device`."""


def kind_of(mode: int) -> str:
    """Return a word for the kind of file that a mode describes, such as `a link`; "" for a regular file."""
    if stat.S_ISREG(mode):
        return ""
    return next((kind for holds, kind in _KINDS if holds(mode)), "a device")


@contextlib.contextmanager
def folder_below(root: Path, parts: Sequence[str], *, make: bool = False) -> Generator[int]:
    """Return a context that opens the folder `parts` below `root`, and yields its descriptor.

    With `make`, missing folders are made, 0700, and synced. Raises `FileNotFoundError`, `NotADirectoryError` if a part
    is a file, and `NotRegular` if a part is a link.
    """
    fd = open_folder(root, parts, make=make)
    try:
        yield fd
    finally:
        os.close(fd)


def open_folder(root: Path, parts: Sequence[str], *, make: bool = False, sync: bool = True) -> int:
    """Open the folder `parts` below `root` as `folder_below` does; return its descriptor, which the caller closes.

    Without `sync` the folders that are made are not synced.
    """
    fd = os.open(root, _FOLDER)
    try:
        for part in parts:
            inner = _step(fd, part, make=make, sync=sync)
            os.close(fd)
            fd = inner
    except BaseException:
        os.close(fd)
        raise
    return fd


def _step(fd: int, name: str, *, make: bool, sync: bool) -> int:
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)
    except FileNotFoundError:
        if not make:
            raise
    except (NotADirectoryError, OSError) as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP) and kind_at(fd, name) == "a link":
            raise NotRegular("a link") from None
        raise
    make_folder_in(fd, name, sync=sync)
    return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)


def kind_at(fd: int, name: str) -> str:
    """Return a word for what lies under a name in an open folder; "" for a regular file. Raises `FileNotFoundError`."""
    return kind_of(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)


def open_in(fd: int, name: str, flags: int = os.O_RDONLY) -> int:
    """Open a regular file in an open folder, and return its descriptor, which the caller closes.

    Raises `NotRegular` for anything else, `FileNotFoundError`, or another `OSError`.
    """
    kind = kind_at(fd, name)
    if kind:
        raise NotRegular(kind)
    try:
        file = os.open(name, flags | _FILE, dir_fd=fd)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # put there since we looked
            raise NotRegular(kind_at(fd, name) or "a link") from None
        raise
    kind = kind_of(os.fstat(file).st_mode)
    if kind:
        os.close(file)
        raise NotRegular(kind)
    return file


def open_below(root: Path, path: str, flags: int = os.O_RDONLY) -> int:
    """Open the regular file at `path`, whose parts are joined by `/`, below `root`; return its descriptor.

    Raises `FileNotFoundError`, `NotADirectoryError`, `NotRegular`, or another `OSError`.
    """
    *folders, name = path.split("/")
    with folder_below(root, folders) as fd:
        return open_in(fd, name, flags)


def refuse_link(path: Path) -> None:
    """Raise `NotRegular` if a link lies at `path` now.

    A link may be put there a moment later; only `folder_below` excludes that.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if stat.S_ISLNK(os.lstat(path).st_mode):
            raise NotRegular("a link")


def file_at(path: Path, *, depth: int = 2) -> BinaryIO:
    """Open the regular file at `path` for reading; the caller closes it.

    Others may have chosen the last `depth` parts of the path: in these no link is followed. Raises what `open_below`
    raises.
    """
    return os.fdopen(descriptor_at(path, depth=depth), "rb")


def descriptor_at(path: Path, *, depth: int = 2, flags: int = os.O_RDONLY) -> int:
    """Open the file at `path` as `file_at` does, and return its descriptor."""
    return open_below(path.parents[depth - 1], "/".join(path.parts[-depth:]), flags)


def read_at(path: Path, most_bytes: int, *, depth: int = 2) -> bytes:
    """Return the bytes of the regular file at `path`. Raises `OSError`, also for more than `most_bytes`."""
    with file_at(path, depth=depth) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return data


def status_below(root: Path, path: str) -> os.stat_result:
    """Return the status (`os.stat_result`) of a path below `root`. A link is not followed. Raises `OSError`."""
    *folders, name = path.split("/")
    with folder_below(root, folders) as fd:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)


def entries_of(fd: int) -> Iterator[tuple[str, str]]:
    """Yield each name in an open folder, with a word for its kind: "" for a regular file, `a folder`, `a link`, …"""
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.is_symlink():
                yield entry.name, "a link"
            elif entry.is_dir(follow_symlinks=False):
                yield entry.name, "a folder"
            elif entry.is_file(follow_symlinks=False):
                yield entry.name, ""
            else:
                try:
                    yield entry.name, kind_of(entry.stat(follow_symlinks=False).st_mode)
                except FileNotFoundError:
                    continue
