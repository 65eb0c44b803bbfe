"""The journal: redacted records appended to `<spool>/<run_id>/<writer>.jsonl` before anything else happens to them.

A line lies in memory that the kernel shares with the file, so an acknowledged record survives the process. It survives
the machine only if the writer syncs. A writer locks its file for as long as it may write. An assembler reads the files
of other writers as far as they go, and removes only files whose lock is free.
"""

import contextlib
import fcntl
from collections.abc import Callable
from pathlib import Path

from runbundle.journal.lines import RecordLine, parse_line, resource_line
from runbundle.journal.locks import is_still_at
from runbundle.journal.mapped import MappedFile
from runbundle.journal.reader import lines_of
from runbundle.process.disk import make_folder
from runbundle.store.regular import refuse_link

_MAX_NAMES = 1000  # tried for one journal, if assemblers hold all before


class RunWriter:
    """Appends the records of one run, wherever its lines are kept. Not thread-safe: its owner holds a lock."""

    append: Callable[[bytes], None]
    """Appends one line. Raises `OSError`; then nothing of the line is there."""

    def __init__(self) -> None:
        self.records = 0
        """The number of spans and logs appended."""
        self._resources: set[int] = set()

    def write(self, record: RecordLine) -> int:
        """Append a redacted record; return how many bytes that took.

        Its resource is written once, and referred to by number. Raises `OSError` as `append` does.
        """
        resource, line = record.resource, record.line
        written_bytes = len(line)
        if resource.number not in self._resources:
            said = resource_line(*resource)
            self.append(said)
            self._resources.add(resource.number)  # after the append: a line that the disk refused is tried again
            written_bytes += len(said)
        self.append(line)
        self.records += 1
        return written_bytes


class JournalWriter(RunWriter):
    """Appends to a journal, which is a file of one run from one writer."""

    def __init__(self, path: Path, *, sync_each: bool = False, mapped: bool = True) -> None:
        """Open or create `path` and lock it.

        With `sync_each` every line is on the disk before `write` returns. Without `mapped`, lines are written
        and not stored through a mapping, for file systems on which readers do not see stores. Raises `BlockingIOError`
        if another writer holds the file, or an assembler has just removed it; `NotRegular` for a link; another
        `OSError` if it cannot be written.
        """
        make_folder(path.parent)
        refuse_link(path.parent)  # the folder of the run
        if path.parent.parent.name.startswith(
            "@"
        ):  # that of the tenant; the spool, which the user names, may be a link
            refuse_link(path.parent.parent)
        self.path = path
        self._file = MappedFile(path, sync_each=sync_each, mapped=mapped)
        try:
            fcntl.flock(self._file.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not is_still_at(path, self._file.fd):
                raise BlockingIOError(f"cannot open the journal {path.name}: an assembler has just removed it")
        except OSError:
            self._file.abandon()
            raise
        super().__init__()
        self.append = self._file.append
        if not self._file.whole:
            self.append(b"\n")  # ends the line that a killed writer left incomplete, so that it does not spoil ours

    @classmethod
    def open_in(
        cls, directory: Path, writer_id: str, *, sync_each: bool = False, mapped: bool = True
    ) -> "JournalWriter":
        """Open the journal of a writer in the folder of a run.

        While an assembler holds the writer's earlier journal, another one is opened beside it: `<writer>-1.jsonl`.
        Raises `OSError` if none can be opened.
        """
        for number in range(_MAX_NAMES):
            path = directory / f"{writer_id}{f'-{number}' if number else ''}.jsonl"
            # An assembler removes the folder of a run with its last journal, perhaps after we have made or found it.
            with contextlib.suppress(BlockingIOError, FileNotFoundError, FileExistsError):
                return cls(path, sync_each=sync_each, mapped=mapped)
        raise OSError(f"cannot open a journal in {directory.name}: other processes hold all of its names")

    @property
    def size_bytes(self) -> int:
        """The number of bytes in the journal."""
        return self._file.size_bytes

    def records_lost(self) -> int | None:
        """Return how many records another process has removed from the file; None if the file is as it was written.

        If it was cut, the rest is cut to whole lines, and the caller must close this journal and append to a new one.
        Raises `OSError`.
        """
        held = self._file.remaining_bytes()
        if held == self._file.size_bytes:
            return None
        if held <= 0:
            return self.records
        self._file.cut_to_lines()
        left = (parse_line(line) for line in lines_of(self.path)) if self.is_in_place() else ()
        return max(0, self.records - sum(entry is not None and entry["k"] in ("span", "log") for entry in left))

    def is_in_place(self) -> bool:
        """Tell whether the file still lies where it was opened."""
        return self._file.fd >= 0 and is_still_at(self.path, self._file.fd)

    def duplicate_if_unsynced(self) -> int:
        """Return a descriptor that the caller syncs and closes; -1 if nothing was appended since the last call."""
        return self._file.duplicate_if_unsynced()

    def close(self, *, cut: bool = True) -> None:
        """Close the file, which frees its lock. `cut`: as for `MappedFile.close`."""
        self._file.close(cut=cut)

    def abandon_after_fork(self) -> None:
        """Close the descriptor in a forked child. The file, and the lock on it, stay with the parent."""
        self._file.abandon()
