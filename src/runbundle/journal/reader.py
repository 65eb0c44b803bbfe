"""Reads all entries of the journals of a run, one at a time."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from runbundle.journal.entries import is_entry
from runbundle.journal.lines import parse_line
from runbundle.redaction.permitted.values import is_name
from runbundle.redaction.second_pass import redact_again
from runbundle.signals import semconv
from runbundle.signals.reading import text_of
from runbundle.store.regular import NotRegular, entries_of, file_at, folder_below

MAX_LINE_BYTES = 64 * 1024 * 1024
"""The longest line that a recorder writes. A longer one is counted as torn, and never held in memory."""


def journal_files(directory: Path) -> list[Path]:
    """Return the journals in the folder of a run, sorted.

    Links, pipes and the like are left out; no folder gives [].
    """
    try:
        with folder_below(directory.parent, [directory.name]) as fd:
            names = [name for name, kind in entries_of(fd) if name.endswith(".jsonl") and not kind]
    except (FileNotFoundError, NotADirectoryError, NotRegular):
        return []
    return [directory / name for name in sorted(names)]


class JournalReader:
    """Iterates over the entries of the journals of a run: spans, logs and starts."""

    def __init__(
        self, paths: Iterable[Path], *, live: Iterable[Path] = (), own: str | None = None, lines: bytes = b""
    ) -> None:
        """Read the journals at `paths`, and then `lines` of a segment.

        `live` names the journals to which a writer may still append: there an incomplete last line ends the journal,
        and is not counted as torn. `own` is the beginning of the names of this process's journals; entries of all
        others, and if it is empty of `lines`, are redacted again (`redaction.second_pass`). With None no entry is,
        which is only for readers that build nothing from the entries.
        """
        self.torn = 0
        """The number of damaged lines so far. Each writer leaves at most one, its last, unless a file was damaged."""
        self.sdk_versions: set[str] = set()
        """The versions of the OpenTelemetry SDK that the resources have named so far."""
        self._paths = list(paths)
        self._live = frozenset(live)
        self._own = own
        self._lines = lines

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield entries in the order of the journals.

        Damaged lines are counted in `torn`; missing files are skipped.
        """
        for path in self._paths:
            with contextlib.suppress(FileNotFoundError, NotRegular):
                again = self._own is not None and not (self._own and path.name.startswith(self._own))
                yield from self._entries(lines_of(path), again=again, is_live=path in self._live)
        lines = self._lines.split(b"\n")
        yield from self._entries(filter(None, lines), again=self._own == "", is_live=False)

    def _entries(self, lines: Iterable[bytes], *, again: bool, is_live: bool) -> Iterator[dict[str, Any]]:
        for line in lines:
            entry = parse_line(line)
            if entry is None:
                if is_live:
                    return
                self.torn += 1
            elif entry["k"] == "resource":
                version = sdk_version_of(entry)
                if version:
                    self.sdk_versions.add(version)
            elif again and is_entry(entry):
                # As JSON gives it, like all others: what a redactor makes may hold tuples, or floats that are none.
                yield orjson.loads(orjson.dumps(redact_again(entry)))
            else:
                yield entry


def sdk_version_of(resource: dict[str, Any]) -> str:
    """Return the version of the OpenTelemetry SDK that a resource's line names, or an empty text."""
    try:
        version = text_of(resource["value"]["attributes"], semconv.SDK_VERSION) or ""
        return version if is_name(version) else ""
    except (KeyError, TypeError, AttributeError):  # the line is whole, but holds no resource
        return ""


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a journal, without the zero bytes of pages that were never written.

    Raises `FileNotFoundError`, and `NotRegular` for a link. Zeros at the start of a line stay: they mark a page that a
    dying machine did not write, and make the line fail its checksum. A line longer than `MAX_LINE_BYTES` is read in
    pieces, and replaced by one that fails its checksum.
    """
    with file_at(path) as file:
        while line := file.readline(MAX_LINE_BYTES):
            if line.endswith(b"\n"):  # nearly all
                yield line
                continue
            whole = len(line) < MAX_LINE_BYTES
            while not whole and not line.endswith(b"\n"):  # skip the rest of it
                line = file.readline(MAX_LINE_BYTES) or b"\n"
            line = line.rstrip(b"\0") if whole else b"too long\n"
            if line:
                yield line
