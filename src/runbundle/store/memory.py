"""An artifact store in memory: for tests, and for programs that read their own bundles back."""

import io
import threading
from collections.abc import Iterator
from typing import BinaryIO

from runbundle.errors import AlreadyExists, KeyChanged, KeyNotFound
from runbundle.store.base import ArtifactStore, Body, check_key, check_prefix, check_range, chunks_of


class MemoryStore(ArtifactStore):
    """Keeps all bytes in a dictionary, which ends with the process. Thread-safe."""

    def __init__(self) -> None:
        self._data: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """`memory://`, from which `from_url` makes a new, empty store each time."""
        return "memory://"

    def put(self, key: str, data: Body, *, overwrite: bool = False) -> None:
        """Store a copy of `data`."""
        copy = b"".join(chunks_of(data))
        with self._lock:
            if check_key(key) in self._data and not overwrite:
                raise AlreadyExists(f"{key} exists already")
            self._data[key] = copy

    def replace(self, key: str, data: bytes, *, expected: bytes) -> None:
        """Store a copy of `data` in place of `expected`."""
        with self._lock:
            found = self._data.get(check_key(key))
            if found is None:
                raise KeyNotFound(f"nothing is stored under {key}")
            if found != expected:
                raise KeyChanged(f"{key} has changed meanwhile")
            self._data[key] = bytes(data)

    def get(self, key: str) -> bytes:
        """Return all bytes of `key`."""
        try:
            return self._data[check_key(key)]
        except KeyError:
            raise KeyNotFound(f"nothing is stored under {key}") from None

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return a range of the bytes of `key`."""
        check_range(start, length)
        return self.get(key)[start : start + length]

    def open(self, key: str) -> BinaryIO:
        """Return the bytes of `key` as a stream."""
        return io.BytesIO(self.get(key))

    def size(self, key: str) -> int:
        """Return the number of bytes of `key`."""
        return len(self.get(key))

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys that exist when the listing begins, sorted."""
        check_prefix(prefix)
        with self._lock:
            keys = sorted(key for key in self._data if key.startswith(prefix))
        yield from keys

    def list_dirs(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of the folders directly below `prefix`, sorted."""
        base = check_prefix(prefix).rstrip("/") + "/" if prefix else ""
        rest = [key[len(base) :] for key in self.list(base)]
        yield from sorted({key.split("/", 1)[0] for key in rest if "/" in key})

    def delete(self, key: str) -> None:
        """Remove `key`."""
        with self._lock:
            if self._data.pop(check_key(key), None) is None:
                raise KeyNotFound(f"nothing is stored under {key}")
