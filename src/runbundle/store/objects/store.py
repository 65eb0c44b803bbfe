"""Object stores: S3 and what speaks it, Google Cloud Storage, Azure Blob Storage.

Tested against a real S3 server (SeaweedFS), with faults and kills; against servers that ignore conditions, which are
refused. Google Cloud Storage and Azure go through the same calls of the same client and were *not* tested against a
server: the parts that differ (conditions by generation, copy-if-absent) are the client's.
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
"""A file larger than this is sent in parts. Below it, a put is one request, and the file is held in memory."""
_PARALLEL = 8
_PROBE = ".probe"
_TMP = ".tmp"
_WRONG_TAG = '"00000000000000000000000000000000"'

_honoured: set[tuple[str, ...]] = set()  # which server honours which condition: asked once a process
_asking = threading.Lock()


class ObjectStore(ArtifactStore):
    """Objects below a prefix of a bucket. Thread-safe.

    Create-only is `If-None-Match: *`, `replace` is `If-Match`. Some servers ignore these and overwrite: before the
    first write, and before the first replacement, the server is put to the test, and refused if it fails. Files
    beyond `MULTIPART_BYTES` go up in parts under a name of their own and are then copied into place by the server,
    if that is still free (on S3 up to 5 GiB); parts of uploads that were cut off are the bucket's to expire. A put
    that raises `StoreUnavailable` may have taken effect, whole, if the answer was lost. When such a put is tried
    again and the key is taken, the bytes are compared: equal ones are its own. Objects whose names begin with a dot
    are not part of the store. Some servers, SeaweedFS is one, go on listing a folder when its last object has gone.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._client = settings.client(retries=settings.retries)
        self._once = settings.client(retries=0)  # conditional writes are tried again here, where the bytes are compared
        self._reader = Reader(self._client, settings.url)
        self._besides: dict[str, ObjectStore] = {}  # each has connections of its own
        self.progress: Callable[[str, int], None] | None = None
        """Called with a key and how many bytes of it have been read for sending; for files that go up in parts."""

    @classmethod
    def from_url(cls, url: str) -> "ObjectStore":
        """Return the store that `url` names. Nothing is asked of the server yet."""
        return cls(settings_of(url))

    @property
    def url(self) -> str:
        """The URL, which holds no credential."""
        return self.settings.url

    @property
    def remote(self) -> bool:
        """Yes."""
        return True

    def beside(self, name: str) -> "ObjectStore":
        """Return a store of its own below a dot, which no key of this one leads to."""
        if name not in self._besides:
            self._besides[name] = ObjectStore(self.settings.below(f".{name}"))
        return self._besides[name]

    def put(self, key: str, data: Body, *, overwrite: bool = False) -> None:
        """Store `data`: in one request, or in parts if it is large."""
        import obstore

        check_key(key)
        self._require("if-none-match")
        if _size(data) > MULTIPART_BYTES:
            self._put_parts(key, data, overwrite=overwrite)
            return
        body = data if isinstance(data, bytes) else b"".join(chunks_of(data))
        mode = "overwrite" if overwrite else "create"
        self._write(key, lambda: obstore.put(self._once, key, body, mode=mode, use_multipart=False), body)

    def put_all(self, files: Mapping[str, Body]) -> None:
        """Store several files, up to eight at once; the last one only after all others."""
        items = [(check_key(key), data) for key, data in files.items()]
        self._require("if-none-match")
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
        """Replace `expected`: read with its tag, compared, and written if the tag still holds."""
        import obstore

        self._require("if-none-match")
        self._require("if-match")
        found, version = self._reader.whole(check_key(key))
        if found != expected:
            raise KeyChanged(f"{key} has changed meanwhile")
        mode: Any = version
        self._write(key, lambda: obstore.put(self._once, key, data, mode=mode, use_multipart=False), data)

    def get(self, key: str) -> bytes:
        """Return all bytes of `key`."""
        return self._reader.whole(check_key(key))[0]

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return a part of `key`."""
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
        """Return `key` as a stream that is fetched as it is read; it cannot be sought in."""
        return io.BufferedReader(Stream(self._reader, check_key(key)), 65_536)

    def size(self, key: str) -> int:
        """Return the size of `key`."""
        import obstore

        with self._told("read", check_key(key)):
            return obstore.head(self._client, key)["size"]

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield keys, sorted: all of them are fetched first, since not every server sorts as it should."""
        import obstore

        folder = check_prefix(prefix).rpartition("/")[0]
        with self._told("list", prefix):
            batches: Any = obstore.list(self._client, folder or None, chunk_size=1000)  # pyright: ignore[reportUnknownMemberType]
            found: list[str] = [meta["path"] for batch in batches for meta in batch]
        yield from sorted(path for path in found if path.startswith(prefix) and is_key(path))

    def list_dirs(self, prefix: str = "") -> Iterator[str]:
        """Yield the segments below `prefix`."""
        import obstore

        with self._told("list", check_prefix(prefix)):
            answer: Any = obstore.list_with_delimiter(self._client, prefix.rstrip("/") or None)  # pyright: ignore[reportUnknownMemberType]
            found: list[str] = answer["common_prefixes"]
        yield from sorted(name for name in (path.rpartition("/")[2] for path in found) if is_key(name))

    def delete(self, key: str) -> None:
        """Remove `key`. Whether it was there is asked first: the server would not say."""
        import obstore

        self.size(key)
        with self._told("delete", key):
            obstore.delete(self._client, key)

    def discard(self, keys: Sequence[str]) -> None:
        """Remove several keys, whether they are there or not, in few requests."""
        import obstore

        if keys:
            with self._told("delete", check_key(keys[0])):
                obstore.delete(self._client, [*keys])

    @contextlib.contextmanager
    def _told(self, what: str, key: str) -> Generator[None]:
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
            with self._told("write", key):
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
        """Write on a condition, several times if need be: after a try without answer a taken key may be our own."""
        for number in range(self.settings.retries + 1):
            try:
                attempt()
            except Exception as error:  # noqa: BLE001 - translated, whatever the client raises
                told = translated(error, "write", key, self.url)
                again = worth_another_try(error)
                if isinstance(told, AlreadyExists | KeyChanged) and not again:
                    if number and data is not None and self._holds(key, data):
                        return
                    raise told from None
                if not again or number == self.settings.retries:
                    raise told from None
                time.sleep(min(5.0, 0.1 * 2**number) * (0.5 + os.urandom(1)[0] / 255))  # not all at the same moment
            else:
                return

    def _holds(self, key: str, data: Body) -> bool:
        try:
            with self.open(key) as file:
                return all(file.read(len(chunk)) == chunk for chunk in chunks_of(data)) and not file.read(1)
        except KeyNotFound:
            return False

    def _require(self, condition: str) -> None:
        """Put the server to the test, once a process: does it refuse what it must?"""
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
