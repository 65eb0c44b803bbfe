"""Locks of journals and of the folders of runs: which journals a writer holds, and which process seals a run."""

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
    """Return a context that locks those journals that no writer holds, and yields their paths.

    Journals that are missing, or are not regular files, are left out. The locks are freed at the end of the block.
    """
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
    """Take the lock of a journal if it is free; tell whether that succeeded.

    `is_held` in another process takes the lock for a moment, so a lock that is not free is tried again.
    """
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
    """Tell whether a process holds the lock of a journal, or of the folder of a run that it seals.

    False for a missing path.

    The question takes the lock itself for about a microsecond. A sealer of this process waits for that, a sealer of
    another tries again. The answer may be out of date at once.
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
def sole_sealer(directory: Path, *, wait: bool = True) -> Generator[bool]:
    """Return a context that holds the lock of a run's folder, so that one process at a time seals the run.

    Waits for the lock. Yields False if the folder is missing, because another process has sealed the run, or if it is a
    link. Without `wait` it yields False also if another holds the lock: whoever holds several must not wait for more.
    """
    try:
        with folder_below(directory.parent, [directory.name]) as held:
            fd = os.dup(held)
    except (FileNotFoundError, NotADirectoryError, NotRegular):
        yield False
        return
    _hold(fd)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield is_still_at(directory, fd)
    finally:
        _let_go(fd)


_held: set[int] = set()
_asking = threading.Lock()


def _hold(fd: int) -> int:
    """Remember a descriptor that will carry a lock, so that a forked child closes it."""
    _held.add(fd)
    return fd


def _let_go(fd: int) -> None:
    """Free a lock and close its file.

    Closing alone is not enough: a child that is being forked has a copy of the descriptor, and would keep the lock.
    """
    _held.discard(fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_UN)
    except OSError:
        pass  # closing frees the lock of this process; kept open, it would be held as long as the process lives
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
    """Tell whether the open file is the one that lies at `path`; False if the path is missing."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(fd))
    except (FileNotFoundError, NotADirectoryError):
        return False
