"""The one interface of artifact stores: narrow, so that a backend is small, and algorithms are functions over it."""

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from runbundle.errors import ConfigError, KeyNotFound, StoreUnavailable

Body = bytes | BinaryIO
"""What is stored: bytes, or a seekable file, which is read from its beginning and stays open."""

_CHUNK_BYTES = 1_048_576
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


class ArtifactStore(ABC):
    """Bytes under keys such as `<run_id>/events.jsonl`.

    A `put` is whole or absent, never partial, and refuses a key that is taken unless told to overwrite. What was put
    is seen by every `get` and `list` that starts after. Keys are checked by `check_key`: none is ever a way out of
    the store. Implementations raise `KeyNotFound` (or its kind `OddEntry`), `AlreadyExists` and `StoreUnavailable`,
    and nothing else.

    Beyond the abstract methods a store may have capabilities, which callers ask and never guess from its class. Each
    has a default that says no: `folder`, `remote`, `beside`. A store around another passes on those that still hold.
    """

    @property
    @abstractmethod
    def url(self) -> str:
        """What `from_url` turns into this store again."""

    @property
    def folder(self) -> Path | None:
        """The folder on this machine in which the file at the path `key` is what the store has under `key`.

        None if there is no such folder. It need not exist before the first put. Whoever is given it may look at names,
        times and modes of files without asking the store, and changes nothing there.
        """
        return None

    @property
    def remote(self) -> bool:
        """Whether each call is a round trip: then one listing is cheaper than many calls, and calls go side by side.

        A remote store is thread-safe.
        """
        return False

    def beside(self, name: str) -> "ArtifactStore | None":  # noqa: ARG002
        """Return a store of its own whose keys are none of this one's, for what belongs to the store and is no bundle.

        The same name gives the same contents. None if there is no such place: then nothing is kept for all readers.
        """
        return None

    @abstractmethod
    def put(self, key: str, data: Body, *, overwrite: bool = False) -> None:
        """Store `data`. Raises `AlreadyExists` if the key is taken, unless `overwrite`."""

    def replace(self, key: str, data: bytes, *, expected: bytes) -> None:  # noqa: ARG002
        """Store `data` in place of `expected`, if that is what `key` holds at that moment.

        Raises `KeyChanged` if it holds something else, and `KeyNotFound` if it holds nothing; then nothing was
        changed. Of two that replace the same bytes at once one succeeds. A backend that cannot do this keeps this
        method, which raises `StoreUnavailable`: such a store takes no late data.
        """
        raise StoreUnavailable(
            f"{self.url} cannot replace {key} on a condition", hint="keep runs in a store that can, such as local disk"
        )

    def put_all(self, files: Mapping[str, Body]) -> None:
        """Store several files, as by `put`; a backend may do in common what each needs, or several at once.

        The last is stored only after all others are. When it returns, all are stored. If it raises, any of them may
        be, each whole, but for the last if another is at fault.
        """
        for key, data in files.items():
            self.put(key, data)

    @abstractmethod
    def get(self, key: str) -> bytes:
        """Return all bytes of `key`, or raise `KeyNotFound`."""

    @abstractmethod
    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return at most `length` bytes from `start`; fewer, or none, beyond the end. Neither may be negative."""

    @abstractmethod
    def open(self, key: str) -> BinaryIO:
        """Return the bytes of `key` as a stream; the caller closes it."""

    @abstractmethod
    def size(self, key: str) -> int:
        """Return how many bytes `key` has, or raise `KeyNotFound`."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys that begin with `prefix`, sorted."""

    @abstractmethod
    def list_dirs(self, prefix: str = "") -> Iterator[str]:
        """Yield the first segments below `prefix` that have keys below them, sorted."""

    def odd(self, prefix: str = "", *, deep: bool = True) -> Iterator[tuple[str, str]]:  # noqa: ARG002
        """Yield the paths below `prefix` at which there is something that is no file of a store, and what it is.

        Such as links, pipes, and files whose names are no keys, sorted; none where a backend can have none. Without
        `deep` only what lies there itself, not in folders of it.
        """
        return iter(())

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove `key`, or raise `KeyNotFound`."""

    def discard(self, keys: Sequence[str]) -> None:
        """Remove several keys, whether they are there or not."""
        for key in keys:
            with contextlib.suppress(KeyNotFound):
                self.delete(key)

    def sweep(self) -> int:
        """Remove what puts that were cut off have left, and return how much that was; 0 where a backend does so itself.

        Puts that are at work are not disturbed.
        """
        return 0

    def exists(self, key: str) -> bool:
        """Tell whether `key` is taken."""
        try:
            self.size(key)
        except KeyNotFound:
            return False
        return True


def chunks_of(data: Body) -> Iterator[bytes | memoryview]:
    """Yield what is to be stored, a mebibyte at a time."""
    if isinstance(data, bytes):
        view = memoryview(data)
        for start in range(0, len(view), _CHUNK_BYTES):
            yield view[start : start + _CHUNK_BYTES]
    else:
        data.seek(0)
        while chunk := data.read(_CHUNK_BYTES):
            yield chunk


def is_key(key: str) -> bool:
    """Tell whether `key` is one, as `check_key` has it."""
    return all(_SEGMENT.fullmatch(segment) for segment in key.split("/"))


def check_key(key: str) -> str:
    """Return `key` if it is one: segments of letters, digits, `.`, `_` and `-`, not dot first, joined by `/`."""
    if not is_key(key):
        raise ConfigError(
            "this is not a key of a store", hint="segments are letters, digits, '.', '_', '-', not '.' first"
        )
    return key


def check_range(start: int, length: int) -> None:
    """Raise `ConfigError` if a range counts backwards, which each backend would take differently."""
    if start < 0 or length < 0:
        raise ConfigError("a range of bytes has a negative start or length", hint="ranges count from the first byte")


def check_prefix(prefix: str) -> str:
    """Return `prefix` if keys can begin with it."""
    if prefix and not all(_SEGMENT.fullmatch(segment) for segment in prefix.rstrip("/").split("/")):
        raise ConfigError("this is not a prefix of keys", hint="write it as the beginning of a key, as in 'tenant/'")
    return prefix
