"""Reads journals as they grow: each call gives the entries that were appended since the last.

A journal that is removed, because its run was sealed, is read to its end: its descriptor stays open until then. Nothing
is locked and nothing is written.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runbundle.journal.entries import is_entry
from runbundle.journal.lines import parse_line
from runbundle.journal.mapped import end_of_lines
from runbundle.journal.reader import MAX_LINE_BYTES, journal_files
from runbundle.redaction.second_pass import redact_again
from runbundle.store.regular import NotRegular, descriptor_at

_PIECE = 4 * 1024 * 1024


class Follower:
    """Follows all journals of one run, also those that come later. Close it after use."""

    def __init__(self, folder: Path, lines: bytes = b"") -> None:
        """`folder`: the run's folder in the spool, which may go. `lines`: those that the run has in a segment; they
        come to a journal later, and are told once.
        """
        self._folder = folder
        self._first = [line for line in lines.split(b"\n") if line]
        self._told = set(self._first)
        self._open: dict[Path, _Journal] = {}
        self.torn = 0
        """Number of lines that could not be read."""

    def new(self) -> list[dict[str, Any]]:
        """Return new spans, starts and logs in the order of their times, each redacted once more."""
        for path in journal_files(self._folder):
            if path not in self._open:
                try:
                    self._open[path] = _Journal(descriptor_at(path))
                except (OSError, NotRegular):
                    continue
        found = self._entries(self._first)
        self._first = []
        for journal in self._open.values():
            found += self._entries(line for line in journal.lines() if line not in self._told)
        return sorted(found, key=time_of)

    def _entries(self, lines: Iterable[bytes]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for line in lines:
            entry = parse_line(line)
            if entry is None:
                self.torn += 1
            elif entry["k"] != "resource" and is_entry(entry):
                found.append(redact_again(entry))
        return found

    def close(self) -> None:
        """Close all journals."""
        _close(self._open.values())
        self._open = {}


class _Journal:
    """One journal, and how far it is read."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._at = 0

    def lines(self) -> list[bytes]:
        """Return the whole lines behind the last one that was read. One that is still being written is left."""
        found: list[bytes] = []
        end, _ = end_of_lines(self.fd, os.fstat(self.fd).st_size)
        if end < self._at:
            self._at = end  # another process has cut it; what comes next is new
        rest = b""
        while self._at + len(rest) < end and len(rest) <= MAX_LINE_BYTES:
            data = rest + os.pread(self.fd, min(_PIECE, end - self._at - len(rest)), self._at + len(rest))
            if len(data) == len(rest):
                break
            whole, newline, rest = data.rpartition(b"\n")
            if newline:
                found += whole.split(b"\n")
                self._at += len(whole) + 1
        return found


def time_of(entry: dict[str, Any]) -> int:
    """Return when what an entry tells of happened: the end of a span, else the start or the time of a log record."""
    key = {"span": "end_ns", "log": "time_ns"}.get(entry["k"], "start_ns")
    return int(entry[key])


def _close(journals: Iterable[_Journal]) -> None:
    for journal in journals:
        os.close(journal.fd)
