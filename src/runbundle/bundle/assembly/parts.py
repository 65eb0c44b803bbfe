"""Making the files of a bundle: small ones in memory, larger ones on disk, each digested while it is written."""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from runbundle.format.layout import media_type_of
from runbundle.store.base import Body

MEMORY_BYTES = 1_048_576
"""Size above which a file is kept on disk instead of in memory."""


class NewFile(NamedTuple):
    """A file of a bundle that is not in a store yet."""

    name: str
    """Name of the file, such as `events.jsonl`. The seal decides its path."""
    body: Body
    """Content of the file."""
    size: int
    """Size in bytes."""
    sha256: str
    """SHA-256 of the content, in hex."""

    @property
    def media_type(self) -> str:
        """Media type of the file, as run.json lists it."""
        return media_type_of(self.name)

    def pieces(self) -> Iterator[bytes]:
        """Yield the content in pieces that end at line ends: about 64 KiB each from disk, one piece from memory."""
        if isinstance(self.body, bytes):
            yield self.body
        else:
            self.body.seek(0)
            while lines := self.body.readlines(65_536):
                yield b"".join(lines)

    def close(self) -> None:
        """Close the file, which frees its space on disk."""
        if not isinstance(self.body, bytes):
            self.body.close()


FileMaker = Callable[[str, Iterable[bytes], Path], NewFile]
"""A function that makes a file from its name, its pieces, and a folder for content that memory does not hold."""


def make_file(name: str, pieces: Iterable[bytes], scratch: Path) -> NewFile:
    """Make a file from `pieces`. Above 1 MiB it is an unnamed file in the folder `scratch`. Raises `OSError`."""
    digest, size = hashlib.sha256(), 0
    held: list[bytes] = []
    file: IO[bytes] | None = None
    try:
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            if file is not None:
                file.write(piece)
                continue
            held.append(piece)
            if size > MEMORY_BYTES:
                file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - NewFile.close() closes it
                file.writelines(held)
                held.clear()
    except BaseException:
        if file is not None:
            file.close()
        raise
    body = b"".join(held) if file is None else file
    return NewFile(name, body, size, digest.hexdigest())  # pyright: ignore[reportArgumentType] - seekable and binary


def digest_only(name: str, pieces: Iterable[bytes], scratch: Path) -> NewFile:  # noqa: ARG001 - a `Maker`
    """Return name, size and digest of a file that consists of `pieces`, with an empty body."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return NewFile(name, b"", size, digest.hexdigest())
