"""All entries of a run's journals, one at a time."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from runbundle.journal.entries import is_entry
from runbundle.journal.lines import parse_line
from runbundle.redaction.permitted.values import is_name
from runbundle.redaction.second_pass import redact_again
from runbundle.signals import semconv
from runbundle.signals.reading import text_of
from runbundle.store.regular import NotRegular, entries_of, file_at, folder_below

MAX_LINE_BYTES = 64 * 1024 * 1024
"""A longer line is no recorder's: it is counted as torn, and never held in memory."""


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
        `redaction.second_pass`. None: none is, since nothing is made of them.
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
        for line in lines_of(path):
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
        version = text_of(resource["value"]["attributes"], semconv.SDK_VERSION) or ""
        return version if is_name(version) else ""
    except (KeyError, TypeError, AttributeError):  # a line that is whole, and no resource
        return ""


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a journal, without the zeros of pages that were not written."""
    with file_at(path) as file:
        while line := file.readline(MAX_LINE_BYTES):
            whole = line.endswith(b"\n") or len(line) < MAX_LINE_BYTES
            while not whole and not line.endswith(b"\n"):  # passed over; what was read of it is no line of ours
                line = file.readline(MAX_LINE_BYTES) or b"\n"
            line = line.rstrip(b"\0") if whole else b"too long\n"
            if line:
                yield line  # with zeros before it, it lies behind a page that a dying machine did not write
