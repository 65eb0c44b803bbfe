"""The interface that every artifact store implements, and the functions that need nothing but that interface."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from runbundle.errors import ConfigError, KeyNotFound, StoreError, StoreUnavailable
from runbundle.process.regex import later

Body = bytes | BinaryIO
"""Bytes to store, or a seekable file, which is read from its beginning and stays open."""

_CHUNK_BYTES = 1_048_576
_SEGMENT = later(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


class ArtifactStore(ABC):
    """Stores bytes under keys such as `<run_id>/events.jsonl`.

    A `put` stores all of the bytes or nothing, and refuses a key that is taken unless told to overwrite. Every `get`
    and `list` that starts after a `put` has returned sees its bytes. `check_key` refuses keys that could lead out of
    the store. Methods raise `ConfigError` for an invalid key, prefix or range, `KeyNotFound` (or its subclass
    `OddEntry`), `AlreadyExists`, `KeyChanged` and `StoreUnavailable`, and nothing else.

        store = from_url("file:///var/lib/runbundle")
        store.put("run-1/note.txt", b"kept")
        assert store.get("run-1/note.txt") == b"kept"

    Beyond the abstract methods a store may have capabilities, which callers ask and never guess from its class. Each
    has a default that says no: `folder`, `remote`, `beside`. A store around another passes on those that still hold.
    """

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL from which `from_url` makes this store again."""

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
        """Store `data` under `key`. Raises `AlreadyExists` if the key is taken, unless `overwrite` is set."""

    def replace(self, key: str, data: bytes, *, expected: bytes) -> None:  # noqa: ARG002
        """Store `data` in place of `expected`, if `key` holds exactly that at this moment.

        Raises `KeyChanged` if it holds other bytes and `KeyNotFound` if it holds none; then nothing is changed. If two
        callers replace the same bytes at once by different ones, one succeeds; by equal ones, both may. The default
        raises `StoreUnavailable`: a backend that cannot replace on a condition keeps it, and its bundles then take no
        late data.
        """
        raise StoreUnavailable(
            f"{self.url} cannot replace {key} on a condition", hint="keep runs in a store that can, such as local disk"
        )

    def put_all(self, files: Mapping[str, Body]) -> None:
        """Store several files, each as `put` does. The last is stored only after all others.

        If it returns, all are stored. If it raises, any of them may be stored, each of them whole; but not the last, if
        another failed. A backend may store several at once.
        """
        for key, data in files.items():
            self.put(key, data)

    def commit(self, bundles: Sequence[Mapping[str, Body]]) -> list[StoreError | None]:
        """Store several bundles. Of each, the last file is its mark, whose presence says that the others are there.

        Return for each bundle None, or the error because of which it has no mark of ours: the error of one is none of
        the others. A mark is never durable before the files of its bundle are; what durable means is as for `put`. When
        the call returns, all bundles without an error are. Files of a bundle with an error may be stored, or not. A
        backend may store several bundles at once. Raises only `ConfigError` for an invalid key, before anything is
        stored.
        """
        for files in bundles:
            for key in files:
                check_key(key)
        outcomes: list[StoreError | None] = []
        for files in bundles:
            *others, mark = files
            try:
                self.put_all({key: files[key] for key in others})
                self.put(mark, files[mark])
            except StoreError as error:
                outcomes.append(error)
            else:
                outcomes.append(None)
        return outcomes

    @abstractmethod
    def get(self, key: str) -> bytes:
        """Return all bytes of `key`. Raises `KeyNotFound`."""

    @abstractmethod
    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return `length` bytes of `key` from position `start`; fewer, or none, beyond the end.

        Raises `KeyNotFound`, and `ConfigError` if either number is negative.
        """

    @abstractmethod
    def open(self, key: str) -> BinaryIO:
        """Return the bytes of `key` as a stream, which the caller closes. Raises `KeyNotFound`."""

    @abstractmethod
    def size(self, key: str) -> int:
        """Return the number of bytes of `key`. Raises `KeyNotFound`."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys that begin with `prefix`, sorted."""

    @abstractmethod
    def list_dirs(self, prefix: str = "") -> Iterator[str]:
        """Yield, sorted, the names of the folders directly below `prefix`: segments below which keys exist."""

    def odd(self, prefix: str = "", *, deep: bool = True) -> Iterator[tuple[str, str]]:  # noqa: ARG002
        """Yield, sorted, each path below `prefix` that holds no file of the store, and a word for what it holds.

        Such are links, pipes, and files whose names are not keys. Yields nothing in a backend that can hold none.
        Without `deep` only `prefix` itself is searched, not its folders.
        """
        return iter(())

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove `key`. Raises `KeyNotFound`."""

    def discard(self, keys: Sequence[str]) -> None:
        """Remove several keys, whether they are there or not."""
        for key in keys:
            with contextlib.suppress(KeyNotFound):
                self.delete(key)

    def sweep(self) -> int:
        """Remove the remains of puts that were cut off, and return how many there were.

        Puts in progress are not disturbed. The default returns 0, for a backend that leaves no remains.
        """
        return 0

    def exists(self, key: str) -> bool:
        """Tell whether `key` is taken. Reads no bytes."""
        try:
            self.size(key)
        except KeyNotFound:
            return False
        return True


def chunks_of(data: Body) -> Iterator[bytes | memoryview]:
    """Yield the bytes of `data`, a mebibyte at a time. A file is read from its beginning."""
    if isinstance(data, bytes):
        view = memoryview(data)
        for start in range(0, len(view), _CHUNK_BYTES):
            yield view[start : start + _CHUNK_BYTES]
    else:
        data.seek(0)
        while chunk := data.read(_CHUNK_BYTES):
            yield chunk


def is_key(key: str) -> bool:
    """Tell whether `key` is a valid key, as `check_key` defines it."""
    return all(_SEGMENT.fullmatch(segment) for segment in key.split("/"))


def check_key(key: str) -> str:
    """Return `key` if it is valid: segments of letters, digits, `.`, `_` and `-`, joined by `/`.

    A segment has at most 255 characters and begins with a letter or digit. Raises `ConfigError` otherwise.
    """
    if not is_key(key):
        raise ConfigError("invalid key of a store", hint="segments are letters, digits, '.', '_', '-', not '.' first")
    return key


def check_range(start: int, length: int) -> None:
    """Raise `ConfigError` if the start or the length of a range is negative."""
    if start < 0 or length < 0:
        raise ConfigError("invalid range: its start or length is negative", hint="ranges count from the first byte")


def check_prefix(prefix: str) -> str:
    """Return `prefix` if keys can begin with it. Raises `ConfigError` otherwise."""
    if prefix and not all(_SEGMENT.fullmatch(segment) for segment in prefix.rstrip("/").split("/")):
        raise ConfigError("invalid prefix of keys", hint="write it as the beginning of a key, as in 'tenant/'")
    return prefix
