"""What the spool stands on: whether the file system there gives what the recorder's guarantees rest on."""

import contextlib
import errno
import fcntl
import logging
import mmap
import os
import time
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from runbundle.process.disk import create, make_folder, sync_folder, write

LITTLE_BYTES, LITTLE_SHARE = 1 << 30, 0.01
"""Below either of these, free space is called little."""
_SCRATCH = ".probe-"
_STALE_S = 3600
_LACKS = {
    "locks": "no file locks that exclude: recovery cannot tell a live writer from a dead one",
    "links": "files cannot be linked: a local store there can seal nothing",
    "names": "files cannot be renamed over one another: losses are not noted for later",
    "maps": "what is written through a shared map cannot be read from the file: records are written one call each",
    "sync": "folders cannot be synced: a record may not survive the death of the machine, whatever the durability",
}
"""By guarantee: what does not hold without it."""
_known: dict[int, frozenset[str]] = {}
_log = logging.getLogger("runbundle")


class Ground(NamedTuple):
    """What a folder stands on."""

    lacks: frozenset[str]
    """Of `locks`, `links`, `names`, `maps` and `sync` those that do not hold there."""
    error: str
    """Why nothing can be written there; "" if it can."""
    free_bytes: int
    """Space left for this user; -1 if the file system does not say."""
    total_bytes: int
    """How large the file system is."""

    @property
    def little_space(self) -> bool:
        """Whether less than 1 GiB or 1 % is left."""
        if self.free_bytes < 0 or self.total_bytes <= 0:
            return False
        return self.free_bytes < LITTLE_BYTES or self.free_bytes < self.total_bytes * LITTLE_SHARE

    def messages(self) -> list[str]:
        """Return one sentence for each guarantee that does not hold."""
        return [text for lack, text in _LACKS.items() if lack in self.lacks]


def probe(folder: Path) -> Ground:
    """Try what the spool needs in a folder of its own below `folder`, which is made if need be; some 1 ms.

    What a file system can do is tried once a process for each device; space is looked at every time. Raises nothing.
    """
    try:
        make_folder(folder)
        device = folder.stat().st_dev
        lacks = _known.get(device)
        if lacks is None:
            lacks = _known[device] = _tried(folder)
        elif not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return Ground(lacks, "", *_space(folder))
    except OSError as error:
        return Ground(frozenset(), error.strerror or type(error).__name__, *_space(folder))


def stands_on(spool: Path) -> Ground:
    """Probe the spool, and log which guarantee does not hold there."""
    ground = probe(spool)
    for message in ground.messages():
        _log.warning("RB909: %s (%s); runbundle explain RB909", message, spool)
    if ground.error:
        _log.error("RB904: the spool %s cannot be written: %s; runbundle explain RB904", spool, ground.error)
    if ground.little_space:
        _log.warning("RB911: %d MiB are left at %s; runbundle explain RB911", ground.free_bytes >> 20, spool)
    return ground


def _tried(folder: Path) -> frozenset[str]:
    """Try everything. Raises `OSError` if nothing can be written."""
    for left in folder.glob(f"{_SCRATCH}*"):  # of processes that were killed in the middle
        if time.time() - left.lstat().st_mtime > _STALE_S:
            import shutil  # it loads every format of compression

            shutil.rmtree(left, ignore_errors=True)
    scratch = folder / f"{_SCRATCH}{os.getpid()}-{uuid4().hex[:8]}"
    make_folder(scratch)
    try:
        file = scratch / "a"
        fd = create(file, os.O_RDWR)
        try:
            os.write(fd, b"\0")  # a folder on a full disk can still be made
            found = {"locks": _excludes(file, fd), "maps": _maps(fd)}
        finally:
            os.close(fd)
        found["links"] = _links(scratch, file)
        found["names"] = _renames(scratch, file)
        found["sync"] = _syncs(scratch)
        return frozenset(guarantee for guarantee, holds in found.items() if not holds)
    finally:
        with contextlib.suppress(OSError):
            for name in "abc":
                (scratch / name).unlink(missing_ok=True)
            scratch.rmdir()


def _excludes(path: Path, fd: int) -> bool:
    """Tell whether a lock is given, and to one only."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        other = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(other)
    except OSError:
        return False
    return False


def _maps(fd: int) -> bool:
    """Tell whether a read sees what was stored into a map."""
    try:
        os.ftruncate(fd, mmap.PAGESIZE)
        with mmap.mmap(fd, mmap.PAGESIZE) as held:
            held[:5] = b"probe"
            return os.pread(fd, 5, 0) == b"probe"
    except OSError:
        return False


def _links(scratch: Path, file: Path) -> bool:
    """Tell whether a second name can be given, and never one that is taken."""
    try:
        (scratch / "c").hardlink_to(file)
        (scratch / "c").hardlink_to(file)
    except FileExistsError:
        return True
    except OSError:
        return False
    return False


def _renames(scratch: Path, file: Path) -> bool:
    try:
        write(scratch / "b", b"")
        (scratch / "b").replace(file)
        return file.stat().st_size == 0 and not (scratch / "b").exists()
    except OSError:
        return False


def _syncs(scratch: Path) -> bool:
    try:
        sync_folder(scratch)
    except OSError:
        return False
    return True


def _space(folder: Path) -> tuple[int, int]:
    """Return how many bytes are free and how many there are, at the folder or the nearest above it."""
    for place in (folder, *folder.absolute().parents):
        with contextlib.suppress(OSError):
            state = os.statvfs(place)
            return state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize
    return -1, 0
