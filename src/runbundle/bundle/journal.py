"""The journal: redacted records appended to `<spool>/<run_id>/<writer>.jsonl` before anything else happens to them.

A line lies in memory that the kernel shares with the file, so what was acknowledged survives the death of the process
(not of the machine: nothing is synced to disk before the seal). A writer holds a lock on its file while it may still
write; an assembler takes files of other writers only when their lock is free.
"""

import contextlib
import fcntl
import os
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from runbundle.bundle.mapped import MappedFile
from runbundle.codec.journal_lines import parse_line, record_line, resource_line
from runbundle.models.records import LogRecordDict, ResourceRecord, SpanRecord


class JournalWriter:
    """Appends the records of one run from one writer. Not thread-safe: its owner holds a lock."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self._file = MappedFile(path)
        fcntl.flock(self._file.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._resources: dict[int, tuple[ResourceRecord, int]] = {}
        self.append = self._file.append

    def append_record(self, kind: str, record: SpanRecord | LogRecordDict) -> None:
        """Append a redacted record; its resource is written once and referred to by number."""
        resource = record["resource"]
        known = self._resources.get(id(resource))
        if known is None:
            # The reference keeps the id from being reused; a process has a handful of resources.
            known = self._resources[id(resource)] = (resource, len(self._resources))
            self.append(resource_line(known[1], resource))
        self.append(record_line(kind, record, known[1]))

    def close(self) -> None:
        """Close the file, which frees its lock."""
        self._file.close()

    def abandon_after_fork(self) -> None:
        """Forget the file in a forked child: the parent keeps it, and the lock they share."""
        self._file.abandon()


class Journal(NamedTuple):
    """What the journals of one run hold."""

    spans: list[dict[str, Any]]
    logs: list[dict[str, Any]]
    starts: list[dict[str, Any]]
    resources: list[ResourceRecord]
    """Each span's and log's `resource` is an index into this list."""
    torn: int
    """Lines that could not be read: at most one a writer, its last, unless a file was damaged."""


def journal_files(directory: Path) -> list[Path]:
    """Return the journals of one run, in a stable order."""
    return sorted(directory.glob("*.jsonl"))


def read_journal(paths: Iterable[Path]) -> Journal:
    """Read all journals of a run. Damaged lines are counted, not raised. Memory grows with the run."""
    journal = Journal([], [], [], [], 0)
    torn = 0
    for path in paths:
        numbers: dict[int, int] = {}
        for line in _lines(path):
            entry = parse_line(line)
            kind = entry["k"] if entry else ""
            if entry is None:
                torn += 1
            elif kind == "resource":
                numbers[entry["resource"]] = _intern(journal.resources, entry["value"])
            elif kind == "start":
                journal.starts.append(entry)
            elif kind in ("span", "log"):
                entry["resource"] = numbers.get(entry["resource"], -1)
                (journal.spans if kind == "span" else journal.logs).append(entry)
    return journal._replace(torn=torn)


@contextlib.contextmanager
def free_files(paths: Iterable[Path]) -> Generator[list[Path]]:
    """Lock the journals that no writer holds, for the time of the block; yield those."""
    held: list[int] = []
    free: list[Path] = []
    try:
        for path in paths:
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            held.append(fd)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free.append(path)
        yield free
    finally:
        for fd in held:
            os.close(fd)


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if line.startswith(b"\0"):
                return  # the rest is space that a writer, cut off, had allocated
            yield line.rstrip(b"\0")


def _intern(resources: list[ResourceRecord], value: ResourceRecord) -> int:
    if value not in resources:
        resources.append(value)
    return resources.index(value)
