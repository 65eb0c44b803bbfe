"""Reading objects part by part, all of one version: none is mixed with what has taken its place meanwhile."""

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
        """Return a part of `key` from `start`, of the version given, and what the server says of the whole."""
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
            told = translated(error, "read", key, self._url)
            if isinstance(told, KeyChanged):
                told = StoreUnavailable(f"{key} was replaced while it was read", hint="read it again")
            raise told from None

    def whole(self, key: str) -> tuple[bytes, dict[str, str]]:
        """Return all bytes of `key`, and which version of it they are."""
        part, meta = self.part(key, 0, {})
        parts, size, version = [part], len(part), version_of(meta)
        while size < meta["size"]:
            part, _ = self.part(key, size, version)
            parts.append(part)
            size += len(part)
        return b"".join(parts), version


class Stream(io.RawIOBase):
    """An object, fetched part by part; all parts are of the version that the first was of."""

    def __init__(self, reader: Reader, key: str) -> None:
        super().__init__()
        self._reader, self._key = reader, key
        part, meta = reader.part(key, 0, {})
        self._part = memoryview(part)
        self._next = len(self._part)
        self._size = meta["size"]
        self._version = version_of(meta)

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer from the part at hand, or from the next one."""
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
    """Return what a server calls this version of an object, as obstore takes it: a tag of None is refused by it."""
    return {name: meta[name] for name in ("e_tag", "version") if meta[name] is not None}
