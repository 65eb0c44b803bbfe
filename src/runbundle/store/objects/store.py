"""Artifact stores in S3 and compatible servers, Google Cloud Storage and Azure Blob Storage.

Tested against a real S3 server (SeaweedFS), with faults and kills, and against servers that ignore conditions, which
are refused. Google Cloud Storage and Azure use the same calls of the same client, and were *not* tested against a
server; what differs there (conditions by generation, copy-if-absent) is done by the client.
"""

import contextlib
import io
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO
from uuid import uuid4

from runbundle.errors import AlreadyExists, KeyChanged, KeyNotFound, StoreUnavailable
from runbundle.store.base import ArtifactStore, Body, check_key, check_prefix, check_range, chunks_of, is_key
from runbundle.store.objects.errors import status_of, translated, worth_another_try
from runbundle.store.objects.reads import PART_BYTES, Reader, Stream
from runbundle.store.objects.urls import Settings, settings_of

MULTIPART_BYTES = 16 * 1024 * 1024
"""The size above which a file is sent in parts. Up to it, a put is one request, and the file is held in memory."""
_PARALLEL = 8
_PROBE = ".probe"
_TMP = ".tmp"
_WRONG_TAG = '"00000000000000000000000000000000"'

_honoured: set[tuple[str, ...]] = set()  # (server, condition) pairs that were tested in this process
_asking = threading.Lock()


class ObjectStore(ArtifactStore):
    """Stores each key as an object below a prefix of a bucket. Thread-safe.

    `put` sends `If-None-Match: *`, and `replace` sends `If-Match`. Some servers ignore these and overwrite, so the
    store tests the server before its first write and its first replacement, and refuses one that fails. A file larger
    than `MULTIPART_BYTES` is sent in parts under a scratch name, which the server then copies into place if the key is
    still free (on S3 up to 5 GiB). The bucket has to expire the parts of uploads that were cut off.

    A put that raises `StoreUnavailable` may have stored all bytes, if only the answer was lost. If a retry then finds
    the key taken, the bytes are compared; equal bytes count as its own. A replacement whose answer was lost, and that
    another has replaced since, is told as `KeyChanged`. Objects whose names begin with a dot are not
    part of the store. Some servers, such as SeaweedFS, still list a folder after its last object was deleted.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._client = settings.client(retries=settings.retries)
        self._once = settings.client(retries=0)  # for conditional writes, which `_write` tries again itself
        self._reader = Reader(self._client, settings.url)
        self._stores_beside: dict[str, ObjectStore] = {}  # each has connections of its own
        self.progress: Callable[[str, int], None] | None = None
        """Called with a key and the number of its bytes read for sending so far; only for files sent in parts."""

    @classmethod
    def from_url(cls, url: str) -> "ObjectStore":
        """Return the store that `url` names. No server is called yet."""
        return cls(settings_of(url))

    @property
    def url(self) -> str:
        """The URL of the store. It contains no credential."""
        return self.settings.url

    @property
    def remote(self) -> bool:
        """Yes."""
        return True

    def beside(self, name: str) -> "ObjectStore":
        """Return a separate store below a name that begins with a dot, to which no key of this store leads."""
        if name not in self._stores_beside:
            self._stores_beside[name] = ObjectStore(self.settings.below(f".{name}"))
        return self._stores_beside[name]

    def put(self, key: str, data: Body, *, overwrite: bool = False) -> None:
        """Store `data` in one request, or in parts if it is large."""
        import obstore

        check_key(key)
        self._require_honoured("if-none-match")
        if _size(data) > MULTIPART_BYTES:
            self._put_parts(key, data, overwrite=overwrite)
            return
        body = data if isinstance(data, bytes) else b"".join(chunks_of(data))
        mode = "overwrite" if overwrite else "create"
        self._write(key, lambda: obstore.put(self._once, key, body, mode=mode, use_multipart=False), body)

    def put_all(self, files: Mapping[str, Body]) -> None:
        """Store several files, up to eight at once; the last one only after all others."""
        items = [(check_key(key), data) for key, data in files.items()]
        self._require_honoured("if-none-match")
        small: list[tuple[str, Body]] = []
        for key, data in items[:-1]:
            if _size(data) > MULTIPART_BYTES:
                self.put(key, data)  # its parts go up side by side
            else:
                small.append((key, data))
        for start in range(0, len(small), _PARALLEL):
            # Read here, not in the threads: two keys may be given one file.
            batch = [(key, data if isinstance(data, bytes) else b"".join(chunks_of(data)))
                     for key, data in small[start : start + _PARALLEL]]  # fmt: skip
            with ThreadPoolExecutor(_PARALLEL) as pool:
                done = [pool.submit(self.put, key, body) for key, body in batch]
            for future in done:
                future.result()
        for key, data in items[-1:]:
            self.put(key, data)

    def replace(self, key: str, data: bytes, *, expected: bytes) -> None:
        """Store `data` in place of `expected`: read, compared, and written if its tag is still the same."""
        import obstore

        self._require_honoured("if-none-match")
        self._require_honoured("if-match")
        found, version = self._reader.whole(check_key(key))
        if found != expected:
            raise KeyChanged(f"{key} has changed meanwhile")
        mode: Any = version
        self._write(key, lambda: obstore.put(self._once, key, data, mode=mode, use_multipart=False), data)

    def get(self, key: str) -> bytes:
        """Return all bytes of `key`."""
        return self._reader.whole(check_key(key))[0]

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return a range of the bytes of `key`."""
        import obstore

        check_range(start, length)
        if length == 0 or start >= 1 << 62:
            self.size(key)
            return b""
        try:
            return bytes(obstore.get_range(self._client, check_key(key), start=start, length=length))
        except Exception as error:  # noqa: BLE001 - translated, whatever the client raises
            if status_of(error) == 416:  # begins beyond the end
                return b""
            raise translated(error, "read", key, self.url) from None

    def open(self, key: str) -> BinaryIO:
        """Return `key` as a stream that is fetched as it is read. It cannot seek."""
        return io.BufferedReader(Stream(self._reader, check_key(key)), 65_536)

    def size(self, key: str) -> int:
        """Return the number of bytes of `key`."""
        import obstore

        with self._translating_errors("read", check_key(key)):
            return obstore.head(self._client, key)["size"]

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys, sorted. All are fetched first, because not every server sorts correctly."""
        import obstore

        folder = check_prefix(prefix).rpartition("/")[0]
        with self._translating_errors("list", prefix):
            batches: Any = obstore.list(self._client, folder or None, chunk_size=1000)  # pyright: ignore[reportUnknownMemberType]
            found: list[str] = [meta["path"] for batch in batches for meta in batch]
        yield from sorted(path for path in found if path.startswith(prefix) and is_key(path))

    def list_dirs(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of the folders directly below `prefix`, sorted."""
        import obstore

        with self._translating_errors("list", check_prefix(prefix)):
            answer: Any = obstore.list_with_delimiter(self._client, prefix.rstrip("/") or None)  # pyright: ignore[reportUnknownMemberType]
            found: list[str] = answer["common_prefixes"]
        yield from sorted(name for name in (path.rpartition("/")[2] for path in found) if is_key(name))

    def delete(self, key: str) -> None:
        """Remove `key`. Its existence is checked first, because the server does not report a missing key."""
        import obstore

        self.size(key)
        with self._translating_errors("delete", key):
            obstore.delete(self._client, key)

    def discard(self, keys: Sequence[str]) -> None:
        """Remove several keys in few requests, whether or not they exist."""
        import obstore

        if keys:
            with self._translating_errors("delete", check_key(keys[0])):
                obstore.delete(self._client, [*keys])

    @contextlib.contextmanager
    def _translating_errors(self, what: str, key: str) -> Generator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - translated, whatever the client raises
            raise translated(error, what, key, self.url) from None

    def _put_parts(self, key: str, data: Body, *, overwrite: bool) -> None:
        import obstore

        target = key if overwrite else f"{_TMP}/{uuid4().hex}"
        if not overwrite and self.exists(key):
            raise AlreadyExists(f"{key} exists already")
        try:
            with self._translating_errors("write", key):
                obstore.put(
                    self._client, target, self._counted(key, data), chunk_size=PART_BYTES, max_concurrency=4,
                    use_multipart=True,
                )  # fmt: skip
            if not overwrite:
                self._write(key, lambda: obstore.copy(self._once, target, key, overwrite=False), data)
        finally:
            if not overwrite:
                with contextlib.suppress(Exception):  # it lies outside the store, and may be gone already
                    obstore.delete(self._client, target)

    def _counted(self, key: str, data: Body) -> Iterator[bytes | memoryview]:
        sent = 0
        for chunk in chunks_of(data):
            yield chunk
            sent += len(chunk)
            if self.progress is not None:
                self.progress(key, sent)

    def _write(self, key: str, attempt: Callable[[], object], data: Body | None) -> None:
        """Write on a condition, with retries.

        After a try without an answer, a taken key may be our own: then the bytes are compared.
        """
        for number in range(self.settings.retries + 1):
            try:
                attempt()
            except Exception as error:  # noqa: BLE001 - translated, whatever the client raises
                ours = translated(error, "write", key, self.url)
                again = worth_another_try(error)
                if isinstance(ours, AlreadyExists | KeyChanged) and not again:
                    if number and data is not None and self._holds(key, data):
                        return
                    raise ours from None
                if not again or number == self.settings.retries:
                    raise ours from None
                time.sleep(min(5.0, 0.1 * 2**number) * (0.5 + os.urandom(1)[0] / 255))  # not all at the same moment
            else:
                return

    def _holds(self, key: str, data: Body) -> bool:
        try:
            with self.open(key) as file:
                return all(file.read(len(chunk)) == chunk for chunk in chunks_of(data)) and not file.read(1)
        except KeyNotFound:
            return False

    def _require_honoured(self, condition: str) -> None:
        """Test, once a process, whether the server honours a condition. Raises `StoreUnavailable` if it does not."""
        if self.settings.scheme == "gs" and condition == "if-match":
            return  # goes by generations; the client refuses what has none
        where = (self.settings.scheme, self.settings.bucket, self.settings.endpoint, condition)
        if where in _honoured:
            return
        with _asking:
            # The first create makes the probe, or finds it from another time; the second must be refused.
            if where in _honoured or any(self._refuses(condition) for _ in range(2)):
                _honoured.add(where)
                return
        raise StoreUnavailable(
            f"the server of {self.url} ignores {condition} and overwrites: runs could be lost",
            hint="use a server that honours conditional writes, as AWS, Google, Azure, MinIO and SeaweedFS say they do",
        )

    def _refuses(self, condition: str) -> bool:
        import obstore

        mode: Any = "create" if condition == "if-none-match" else {"e_tag": _WRONG_TAG}
        try:
            self._write(_PROBE, lambda: obstore.put(self._once, _PROBE, b"", mode=mode, use_multipart=False), None)
        except (AlreadyExists, KeyChanged):
            return True
        return False


def _size(data: Body) -> int:
    return len(data) if isinstance(data, bytes) else data.seek(0, os.SEEK_END)
