"""The files of a bundle while they are made: small ones in memory, others on disk, digested on the way."""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from runbundle.format.layout import media_type_of
from runbundle.store.base import Body

MEMORY_BYTES = 1_048_576


class NewFile(NamedTuple):
    """One file of a bundle that is not yet in a store."""

    name: str
    """Such as `events.jsonl`; where in the bundle it will lie is the sealer's business."""
    body: Body
    size: int
    sha256: str

    @property
    def media_type(self) -> str:
        """As run.json states it."""
        return media_type_of(self.name)

    def pieces(self) -> Iterator[bytes]:
        """Yield the content, cut at ends of lines, some 64 KiB at a time where it lies on disk."""
        if isinstance(self.body, bytes):
            yield self.body
        else:
            self.body.seek(0)
            while lines := self.body.readlines(65_536):
                yield b"".join(lines)

    def close(self) -> None:
        """Give the file back."""
        if not isinstance(self.body, bytes):
            self.body.close()


FileMaker = Callable[[str, Iterable[bytes], Path], NewFile]
"""Makes a file of its name and its pieces; the folder is for what memory does not hold."""


def make_file(name: str, pieces: Iterable[bytes], scratch: Path) -> NewFile:
    """Return the file that consists of `pieces`. Above 1 MiB it lies in a file without a name in `scratch`."""
    digest, size = hashlib.sha256(), 0
    file = tempfile.SpooledTemporaryFile(MEMORY_BYTES, dir=str(scratch))  # noqa: SIM115 - Part.close() closes it
    try:
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            file.write(piece)
    except BaseException:
        file.close()
        raise
    if size > MEMORY_BYTES:
        return NewFile(name, file, size, digest.hexdigest())  # pyright: ignore[reportArgumentType] - seekable and binary
    file.seek(0)
    body = file.read()
    file.close()
    return NewFile(name, body, size, digest.hexdigest())


def digest_only(name: str, pieces: Iterable[bytes], scratch: Path) -> NewFile:  # noqa: ARG001 - a `Maker`
    """Return what a file that consists of `pieces` would be, without its content."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return NewFile(name, b"", size, digest.hexdigest())
