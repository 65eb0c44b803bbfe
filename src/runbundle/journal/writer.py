"""The journal: redacted records appended to `<spool>/<run_id>/<writer>.jsonl` before anything else happens to them.

A line lies in memory that the kernel shares with the file, so what was acknowledged survives the death of the process;
the death of the machine, too, if the writer syncs. A writer holds a lock on its file while it may still write; an
assembler reads files of other writers as far as they go, and removes only those whose lock is free.
"""

import contextlib
import fcntl
from pathlib import Path

from runbundle.journal.lines import parse_line, record_line, resource_line
from runbundle.journal.locks import is_still_at
from runbundle.journal.mapped import MappedFile
from runbundle.journal.reader import lines_of
from runbundle.process.disk import make_folder
from runbundle.signals.records import LogRecordDict, ResourceRecord, SpanRecord
from runbundle.store.regular import refuse_link

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
            if not is_still_at(path, self._file.fd):
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
        left = (parse_line(line) for line in lines_of(self.path)) if self.is_in_place() else ()
        return max(0, self.records - sum(entry is not None and entry["k"] in ("span", "log") for entry in left))

    def is_in_place(self) -> bool:
        """Tell whether the file is still where it was opened."""
        return self._file.fd >= 0 and is_still_at(self.path, self._file.fd)

    def duplicate_if_unsynced(self) -> int:
        """Return a descriptor to sync the file by, which the caller closes; -1 if it needs no sync."""
        return self._file.duplicate_if_unsynced()

    def close(self) -> None:
        """Close the file, which frees its lock."""
        self._file.close()

    def abandon_after_fork(self) -> None:
        """Forget the file in a forked child: the parent keeps it, and the lock they share."""
        self._file.abandon()
