"""A bounded queue on disk: batches that a destination did not take, as encoded and redacted OTLP requests.

One file is one batch. It is written under a hidden name and renamed, so that a reader sees a whole batch or none; what
a crash cut off is found, and counted by its name, which says how many records it held. A checksum finds what the loss
of power tore: files are not synced, so the queue survives the death of its processes, and not that of the machine.

Folder and files are private (0700, 0600). They hold bodies of requests, and never a URL, a header or a credential.
Several processes may add; one at a time sends.
"""

import contextlib
import errno
import os
import re
import time
import zlib
from collections import Counter
from collections.abc import Generator, Iterable
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple, cast

from runbundle.journal.locks import free_files
from runbundle.otel.forwarding.answers import Kind
from runbundle.process import disk
from runbundle.store.regular import NotRegular, read_at

_NAME = re.compile(r"(\.?)(\d{20})-[0-9a-f]{8}\.(spans|logs)\.(\d{1,9})\.(\d{1,12})")
_LOCK = "lock"
_HEAD = b"runbundle otlp 1 %08x\n"
_HEAD_BYTES = len(_HEAD % 0)
MOST_BATCHES = 10_000
"""How many batches wait at most, however small they are."""
TORN_AFTER_S = 60.0
"""After how long a file that was never renamed is that of a process that died."""

FULL, TORN, FAILED = "queue_on_disk_full", "queue_on_disk_torn", "queue_on_disk_failed"
"""Why a batch was lost here: it was the oldest beyond the limit, it was cut off or altered, it could not be written."""


class Batch(NamedTuple):
    """A batch that waits."""

    name: str
    kind: Kind
    items: int
    """How many spans or log records it holds, as its name says; of none is believed that it holds more than bytes."""
    size: int
    """Of the file, in bytes, as its name says."""


class DiskQueue:
    """The batches that wait for one destination. Its functions do not raise, except `create`."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self._limit_bytes = limit_bytes

    def create(self) -> None:
        """Make the folder, and its lock. Raises `OSError` where batches could not be written, or others may write."""
        disk.make_folder(self.folder)
        if self.folder.is_symlink():
            raise NotRegular("a link")
        status = self.folder.stat()
        if status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022:  # it would go out with our headers
            raise PermissionError(errno.EPERM, "others may write into its folder, and what they write would be sent")
        os.close(disk.create(self.folder / _LOCK, os.O_WRONLY))
        if not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def put(self, kind: Kind, items: int, body: bytes) -> dict[str, int]:
        """Add a batch. Return how many records are lost by that, by reason: it itself, or the oldest of those there."""
        data = _HEAD % zlib.crc32(body) + body
        if len(data) > self._limit_bytes:
            return {FULL: items}
        name = f"{time.time_ns():020d}-{token_hex(4)}.{kind}.{items}.{len(data)}"
        hidden = self.folder / f".{name}"
        try:
            disk.write(hidden, data)
            hidden.rename(self.folder / name)
        except OSError:
            with contextlib.suppress(OSError):
                hidden.unlink()
            return {FAILED: items}
        return self._trim()

    def waiting(self) -> list[Batch]:
        """Return the batches that wait, oldest first."""
        return [batch for hidden, _, batch in self._files() if not hidden]

    def holds_anything(self) -> bool:
        """Tell whether a batch waits, or was begun and not finished."""
        return any(True for _ in self._files())

    def body(self, batch: Batch) -> bytes | None:
        """Return the request of a batch; None if it was torn, is gone, or is larger than all that may wait."""
        if batch.size > self._limit_bytes:
            return None
        try:
            data = read_at(self.folder / batch.name, batch.size, depth=1)
        except OSError:
            return None
        body = data[_HEAD_BYTES:]
        return body if data[:_HEAD_BYTES] == _HEAD % zlib.crc32(body) else None

    def holds(self, batch: Batch) -> bool:
        """Tell whether a batch is there, whatever its name now stands for."""
        return os.path.lexists(self.folder / batch.name)

    def remove(self, batch: Batch) -> bool:
        """Remove a batch; return whether it was still there. Another process may have dropped it, as the oldest."""
        try:
            (self.folder / batch.name).unlink()
        except OSError:
            return False
        return True

    def sweep(self) -> int:
        """Remove what processes that died had begun to write; return how many records that were."""
        before = time.time_ns() - int(TORN_AFTER_S * 1e9)
        old = [batch for hidden, time_ns, batch in self._files() if hidden and time_ns < before]
        return sum(batch.items for batch in old if self.remove(batch))

    @contextlib.contextmanager
    def sole_sender(self) -> Generator[bool]:
        """Return a context that yields whether this is the one that may send now; no other is, until it ends."""
        with free_files([self.folder / _LOCK]) as free:
            yield bool(free)

    def _trim(self) -> dict[str, int]:
        # One that says to be larger than all may be is none of ours: no other goes for it, and it is lost when its
        # turn comes.
        waiting = [batch for batch in self.waiting() if batch.size <= self._limit_bytes]
        size, lost = sum(batch.size for batch in waiting), Counter[str]()
        for number, batch in enumerate(waiting):
            if size <= self._limit_bytes and len(waiting) - number <= MOST_BATCHES:
                break
            size -= batch.size
            if self.remove(batch):
                lost[FULL] += batch.items
        return dict(lost)

    def _files(self) -> Iterable[tuple[bool, int, Batch]]:
        try:
            names = [path.name for path in self.folder.iterdir()]
        except OSError:
            return
        for name in sorted(names):
            found = _NAME.fullmatch(name)
            if found:
                kind = cast("Kind", found[3])
                items, size = int(found[4]), int(found[5])
                items = min(items, size, self._limit_bytes)
                yield bool(found[1]), int(found[2]), Batch(name, kind, items, size)
