"""Reads objects part by part, all parts from one version, so that an object replaced in the meantime is never mixed."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runbundle.errors import KeyChanged, StoreUnavailable
from runbundle.store.objects.errors import status_of, translated

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

PART_BYTES = 8 * 1024 * 1024


class Reader:
    """Reads the objects of one store."""

    def __init__(self, client: "Client", url: str) -> None:
        self._client, self._url = client, url

    def part(self, key: str, start: int, version: Mapping[str, str]) -> tuple[bytes, Any]:
        """Return a part of `key` from position `start`, and the metadata of the whole object.

        The part is at most `PART_BYTES` long. `version` is the version that it must belong to; {} accepts any. Raises
        `StoreUnavailable` if that version was replaced, and `KeyNotFound`.
        """
        import obstore

        options: Any = {"range": (start, start + PART_BYTES)}
        if "e_tag" in version:
            options["if_match"] = version["e_tag"]
        try:
            try:
                answer = obstore.get(self._client, key, options=options)
            except Exception as error:
                if status_of(error) != 416 or start:
                    raise
                answer = obstore.get(self._client, key)  # an empty object has no ranges
            return bytes(answer.bytes()), answer.meta
        except Exception as error:  # noqa: BLE001 - translated, whatever the client raises
            ours = translated(error, "read", key, self._url)
            if isinstance(ours, KeyChanged):
                ours = StoreUnavailable(f"{key} was replaced while it was read", hint="read it again")
            raise ours from None

    def whole(self, key: str) -> tuple[bytes, dict[str, str]]:
        """Return all bytes of `key`, and the version that they belong to. Raises as `part` does."""
        part, meta = self.part(key, 0, {})
        parts, size, version = [part], len(part), version_of(meta)
        while size < meta["size"]:
            part, _ = self.part(key, size, version)
            parts.append(part)
            size += len(part)
        return b"".join(parts), version


class Stream(io.RawIOBase):
    """An object as a raw stream. All parts that it fetches belong to the version of the first."""

    def __init__(self, reader: Reader, key: str) -> None:
        super().__init__()
        self._reader, self._key = reader, key
        part, meta = reader.part(key, 0, {})
        self._part = memoryview(part)
        self._next = len(self._part)
        self._size = meta["size"]
        self._version = version_of(meta)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` from the current part, or from the next one; return the number of bytes, 0 at the end."""
        if not self._part and self._next < self._size:
            part, _ = self._reader.part(self._key, self._next, self._version)
            self._part = memoryview(part)
            self._next += len(self._part)
        view = memoryview(buffer).cast("B")
        taken = self._part[: len(view)]
        view[: len(taken)] = taken
        self._part = self._part[len(taken) :]
        return len(taken)


def version_of(meta: Any) -> dict[str, str]:
    """Return the version in the metadata of an object, without its empty fields, which obstore refuses."""
    return {name: meta[name] for name in ("e_tag", "version") if meta[name] is not None}
