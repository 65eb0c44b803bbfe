"""Which journals somebody holds, and who seals a run: the locks of files and folders."""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Generator, Iterable
from pathlib import Path

from runbundle.process import forks
from runbundle.store.regular import NotRegular, descriptor_at, folder_below


@contextlib.contextmanager
def free_files(paths: Iterable[Path]) -> Generator[list[Path]]:
    """Lock the journals that no writer holds, for the time of the block; yield those."""
    held: list[int] = []
    free: list[Path] = []
    try:
        for path in paths:
            try:
                fd = descriptor_at(path)
            except (FileNotFoundError, NotRegular):
                continue
            held.append(_hold(fd))
            if _lock_taken(fd) and is_still_at(path, fd):
                free.append(path)
        yield free
    finally:
        for fd in held:
            _let_go(fd)


def _lock_taken(fd: int) -> bool:
    """Take the lock of a journal, if it is free; one that is held by who only asks (`is_held`) is free in a moment."""
    for pause_s in (0.0005, 0.002, 0.0):
        try:
            with _asking:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(pause_s)
        else:
            return True
    return False


def is_held(path: Path) -> bool:
    """Tell whether somebody holds a journal, or seals the run whose folder this is. False if it is gone.

    To ask, the lock is taken for a microsecond. A sealer of this process waits for that; one of another tries again.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False
    _hold(fd)
    with _asking:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            _let_go(fd)
    return False


@contextlib.contextmanager
def sole_sealer(directory: Path) -> Generator[bool]:
    """Hold the lock on a run's folder, so that of several processes one seals it at a time.

    Yields False if the folder is gone: somebody else has sealed the run meanwhile; or if it is a link.
    """
    try:
        with folder_below(directory.parent, [directory.name]) as held:
            fd = os.dup(held)
    except (FileNotFoundError, NotADirectoryError, NotRegular):
        yield False
        return
    _hold(fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield is_still_at(directory, fd)
    finally:
        _let_go(fd)


_held: set[int] = set()
_asking = threading.Lock()


def _hold(fd: int) -> int:
    """Take note of a file on which there will be a lock, which a child must not have."""
    _held.add(fd)
    return fd


def _let_go(fd: int) -> None:
    """Free a lock and close its file: closing alone would leave it to a child that is being forked."""
    _held.discard(fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_UN)
    except OSError:
        pass  # closing frees it, here at least: kept open it would be held for as long as the process lives
    finally:
        os.close(fd)


def _after_fork_in_child() -> None:
    global _asking
    _asking = threading.Lock()
    for fd in _held:
        with contextlib.suppress(OSError):
            os.close(fd)
    _held.clear()


forks.in_child(forks.Stage.INHERITED, _after_fork_in_child)


def is_still_at(path: Path, fd: int) -> bool:
    """Tell whether an open file is the one that lies at `path`."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(fd))
    except (FileNotFoundError, NotADirectoryError):
        return False
