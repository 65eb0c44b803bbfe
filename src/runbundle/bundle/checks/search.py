"""The search for credentials in the files of a bundle, as they are read: all that `verify --quick` asks of content.

Nothing is checked for its form. Where a search of many lines at once finds something, or an escape may hide it, what
counts is each text by itself, as for `EventChecks` and the listings.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from runbundle.bundle.checks.events import holds_credential, suspicious
from runbundle.bundle.reader import MAX_LINE_BYTES
from runbundle.format.layout import EVENTS, name_of
from runbundle.redaction.permitted.safe_text import has_credential_format
from runbundle.store import ArtifactStore

_ENDS = (b"    }\n", b"    },\n")
"""Lines at which an entry of a listing ends, as it is written."""


class FileSearch:
    """Searches one file. Hand over its bytes by `read`, then ask for the lines that `found` something.

    At most a line is in memory, and of one that is longer than 64 MiB a part.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._of_events = name_of(path) == EVENTS
        self._rest = b""
        self._number = 0
        self._lines: list[int] = []
        self._suspect = False

    def read(self, data: bytes) -> None:
        """Take the next bytes."""
        cut = data.rfind(b"\n") + 1
        if cut:
            self._search(self._rest + data[:cut])
            self._rest = data[cut:]
        else:
            self._rest += data
            if len(self._rest) > MAX_LINE_BYTES:
                self._search(self._rest)
                self._rest = b""

    def _search(self, lines: bytes) -> None:
        suspect = suspicious([lines])
        escapes = b"\\" in lines
        if not self._of_events:
            self._suspect |= suspect or escapes
            return
        if suspect or (escapes and (b"\\u" in lines or b"\\/" in lines)):
            for number, line in enumerate(lines.split(b"\n"), self._number + 1):
                if _leaks(line):
                    self._lines.append(number)
        self._number += lines.count(b"\n")

    def found(self, store: ArtifactStore, key: str) -> Iterator[int | None]:
        """Yield the lines of events.jsonl in which something looks like a credential; for another file None, once.

        `key`: key of the bundle. Call it after the last `read`.
        """
        if self._rest:
            self._search(self._rest)
            self._rest = b""
        if self._suspect:
            with store.open(f"{key}/{self._path}") as file:
                if any(map(_leaks_as_json, _entries(file))):
                    yield None
        yield from self._lines


def _leaks(line: bytes) -> bool:
    if b"\\u" in line or b"\\/" in line:
        # An escape can hide a format from the bytes: what counts is the text that a reader gets.
        with contextlib.suppress(ValueError, TypeError):  # what is no JSON, or too deep, counts by its bytes
            line = orjson.dumps(orjson.loads(line))
    return has_credential_format(line.decode("utf-8", "replace"))


def _leaks_as_json(data: bytes) -> bool:
    value: Any
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return has_credential_format(data.decode("utf-8", "replace"))
    return holds_credential(value)


def _entries(file: BinaryIO) -> Iterator[bytes]:
    """Yield the entries of a listing, and what stands around them; another file as a whole, in parts if it is long."""
    held = [file.readline(MAX_LINE_BYTES)]
    second = file.readline(MAX_LINE_BYTES)
    listing = held == [b"{\n"] and second.endswith(b": [\n")
    if listing:
        held = []
    else:
        held.append(second)
    size = 0
    for line in iter(lambda: file.readline(MAX_LINE_BYTES), b""):
        held.append(line)
        size += len(line)
        if (listing and line in _ENDS) or size > MAX_LINE_BYTES:
            yield b"".join(held).rstrip(b",\n")
            held, size = [], 0
    yield b"".join(held)
