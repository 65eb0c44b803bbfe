"""The journal: redacted records appended to `<spool>/<run_id>/<writer>.jsonl` before anything else happens to them.

A line lies in memory that the kernel shares with the file, so what was acknowledged survives the death of the process;
the death of the machine, too, if the writer syncs. A writer holds a lock on its file while it may still write; an
assembler reads files of other writers as far as they go, and removes only those whose lock is free.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

from runbundle.codec.reading import text_of
from runbundle.journal.entries import is_entry
from runbundle.journal.lines import parse_line, record_line, resource_line
from runbundle.journal.mapped import MappedFile
from runbundle.models.records import LogRecordDict, ResourceRecord, SpanRecord
from runbundle.private import make_folder
from runbundle.redaction.again import redact_again
from runbundle.redaction.shapes import is_name
from runbundle.store.regular import NotRegular, descriptor_at, entries_of, file_at, folder_below, refuse_link

MAX_LINE_BYTES = 64 * 1024 * 1024
"""A longer line is no recorder's: it is counted as torn, and never held in memory."""
_NAMES = 1000  # tried for one journal, of which an assembler holds those before


class JournalWriter:
    """Appends the records of one run from one writer. Not thread-safe: its owner holds a lock."""

    def __init__(self, path: Path, *, sync_each: bool = False, plain: bool = False) -> None:
        """Open or create `path` and lock it. `sync_each`: every line is on the disk before it is acknowledged.

        `plain`: lines are written, since what is stored into a map is not seen by readers there.

        Raises `BlockingIOError` if somebody else holds the file, or has just removed it; `OSError` if it cannot be
        written.
        """
        make_folder(path.parent)
        for folder in (path.parent, path.parent.parent):  # the run's and the tenant's, or the spool, which is given
            if folder is path.parent or folder.name.startswith("@"):
                refuse_link(folder)
        self.path = path
        self._file = MappedFile(path, sync_each=sync_each, plain=plain)
        try:
            fcntl.flock(self._file.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_still_at(path, self._file.fd):
                raise BlockingIOError(f"{path.name} was removed by whoever sealed it")
        except OSError:
            self._file.abandon()
            raise
        self._resources: dict[int, tuple[ResourceRecord, int]] = {}
        self.records = 0
        """Spans and logs that were appended."""
        self.append = self._file.append
        if not self._file.whole:
            self.append(b"\n")  # behind what a writer that was cut off has left, so that it spoils no line of ours

    @classmethod
    def of(cls, directory: Path, writer_id: str, *, sync_each: bool = False, plain: bool = False) -> "JournalWriter":
        """Open the writer's journal of a run: the one it had, or another while an assembler is reading that."""
        for number in range(_NAMES):
            path = directory / f"{writer_id}{f'-{number}' if number else ''}.jsonl"
            # A run's folder goes with its last journal: it may do so between being made, or found, and written to.
            with contextlib.suppress(BlockingIOError, FileNotFoundError, FileExistsError):
                return cls(path, sync_each=sync_each, plain=plain)
        raise OSError(f"the journals of {directory.name} are all held by others")

    @property
    def size_bytes(self) -> int:
        """How much was appended."""
        return self._file.size_bytes

    def append_record(self, kind: str, record: SpanRecord | LogRecordDict) -> None:
        """Append a redacted record; its resource is written once and referred to by number."""
        resource = record["resource"]
        known = self._resources.get(id(resource))
        if known is None:
            # The reference keeps the id from being reused; a process has a handful of resources.
            known = (resource, len(self._resources))
            self.append(resource_line(known[1], resource))
            self._resources[id(resource)] = known  # only now: a line that the disk refused must be tried again
        self.append(record_line(kind, record, known[1]))
        self.records += 1

    def gone(self) -> int | None:
        """Return how many records somebody else has taken from the file; None if nothing was taken.

        What is left is then cut to whole lines, and this journal is to be closed: others are appended to a new one.
        """
        held = self._file.held_bytes()
        if held == self._file.size_bytes:
            return None
        if held <= 0:
            return self.records
        self._file.cut_to_lines()
        left = (parse_line(line) for line in _lines(self.path)) if self.is_in_place() else ()
        return max(0, self.records - sum(entry is not None and entry["k"] in ("span", "log") for entry in left))

    def is_in_place(self) -> bool:
        """Tell whether the file is still where it was opened."""
        return self._file.fd >= 0 and _is_still_at(self.path, self._file.fd)

    def duplicate_if_unsynced(self) -> int:
        """Return a descriptor to sync the file by, which the caller closes; -1 if it needs no sync."""
        return self._file.duplicate_if_unsynced()

    def close(self) -> None:
        """Close the file, which frees its lock."""
        self._file.close()

    def abandon_after_fork(self) -> None:
        """Forget the file in a forked child: the parent keeps it, and the lock they share."""
        self._file.abandon()


def journal_files(directory: Path) -> list[Path]:
    """Return the journals of one run, in a stable order; none if its folder is gone. Links and pipes are none."""
    try:
        with folder_below(directory.parent, [directory.name]) as fd:
            names = [name for name, kind in entries_of(fd) if name.endswith(".jsonl") and not kind]
    except (FileNotFoundError, NotADirectoryError, NotRegular):
        return []
    return [directory / name for name in sorted(names)]


class JournalReader:
    """The entries of all journals of a run, one at a time."""

    def __init__(self, paths: Iterable[Path], *, live: Iterable[Path] = (), own: str | None = None) -> None:
        """`live` are those that a writer may be appending to: what is not whole there is not yet written.

        `own`: what the names of this process's journals begin with; all others are redacted again, see
        `redaction.again`. None: none is, since nothing is made of them.
        """
        self.torn = 0
        """Lines that could not be read, so far: at most one a writer, its last, unless a file was damaged."""
        self.sdk_versions: set[str] = set()
        """Versions of the OpenTelemetry SDK that the resources name, so far."""
        self._paths = list(paths)
        self._live = frozenset(live)
        self._own = own

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield spans, logs and starts. Damaged lines are counted, not raised; a file that is gone is passed over."""
        for path in self._paths:
            with contextlib.suppress(FileNotFoundError, NotRegular):
                yield from self._entries(path)

    def _entries(self, path: Path) -> Iterator[dict[str, Any]]:
        again = self._own is not None and not (self._own and path.name.startswith(self._own))
        for line in _lines(path):
            entry = parse_line(line)
            if entry is None:
                if path in self._live:
                    return
                self.torn += 1
            elif entry["k"] == "resource":
                version = _sdk_version(entry)
                if version:
                    self.sdk_versions.add(version)
            elif again and is_entry(entry):
                yield redact_again(entry)
            else:
                yield entry


def _sdk_version(resource: dict[str, Any]) -> str:
    try:
        version = text_of(resource["value"]["attributes"], "telemetry.sdk.version") or ""
        return version if is_name(version) else ""
    except (KeyError, TypeError, AttributeError):  # a line that is whole, and no resource
        return ""


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
            if _lock_taken(fd) and _is_still_at(path, fd):
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
        yield _is_still_at(directory, fd)
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


os.register_at_fork(after_in_child=_after_fork_in_child)


def _is_still_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(fd))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _lines(path: Path) -> Iterator[bytes]:
    with file_at(path) as file:
        while line := file.readline(MAX_LINE_BYTES):
            whole = line.endswith(b"\n") or len(line) < MAX_LINE_BYTES
            while not whole and not line.endswith(b"\n"):  # passed over; what was read of it is no line of ours
                line = file.readline(MAX_LINE_BYTES) or b"\n"
            line = line.rstrip(b"\0") if whole else b"too long\n"
            if line:
                yield line  # with zeros before it, it lies behind a page that a dying machine did not write
