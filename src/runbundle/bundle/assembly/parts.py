"""Making the files of a bundle: small ones in memory, larger ones on disk, each digested while it is written."""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, TypeVar, cast

from runbundle.format.layout import media_type_of
from runbundle.store.base import Body

T = TypeVar("T")
_BATCH_BYTES = 65_536
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
    with ExitStack() as opened:
        file: IO[bytes] | None = None
        for block in map(b"".join, batches(pieces, len)):
            digest.update(block)
            size += len(block)
            held.append(block)
            if size > MEMORY_BYTES:
                if file is None:
                    file = opened.enter_context(tempfile.TemporaryFile(dir=scratch))
                file.writelines(held)
                held = []
        opened.pop_all()  # it is open from now on
    body = b"".join(held) if file is None else cast("BinaryIO", file)
    return NewFile(name, body, size, digest.hexdigest())


def digested_file(name: str, data: bytes, sha256: str, scratch: Path) -> NewFile:
    """Return the file that `make_file` makes, of content whose digest is known."""
    if len(data) <= MEMORY_BYTES:
        return NewFile(name, data, len(data), sha256)
    with ExitStack() as opened:
        file = opened.enter_context(tempfile.TemporaryFile(dir=scratch))
        file.write(data)
        opened.pop_all()  # it is open from now on
    return NewFile(name, cast("BinaryIO", file), len(data), sha256)


def batches(items: Iterable[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield items in batches of 64 KiB or a little more: what costs a call then costs few of them.

    An item of that size is a batch of its own.
    """
    held: list[T] = []
    held_bytes = 0
    for item in items:
        size = size_of(item)
        if held and size >= _BATCH_BYTES:
            yield held
            held, held_bytes = [], 0
        held.append(item)
        held_bytes += size
        if held_bytes >= _BATCH_BYTES:
            yield held
            held, held_bytes = [], 0
    if held:
        yield held


def digest_only(name: str, pieces: Iterable[bytes], scratch: Path) -> NewFile:  # noqa: ARG001 - a `Maker`
    """Return name, size and digest of a file that consists of `pieces`, with an empty body."""
    digest, size = hashlib.sha256(), 0
    for block in map(b"".join, batches(pieces, len)):
        digest.update(block)
        size += len(block)
    return NewFile(name, b"", size, digest.hexdigest())
