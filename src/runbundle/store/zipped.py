"""An artifact store that is one zip file: for a bundle that is sent as a file."""

import contextlib
import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from runbundle.errors import AlreadyExists, KeyNotFound, OddEntry, StoreUnavailable
from runbundle.process.disk import create
from runbundle.store.base import ArtifactStore, Body, check_key, check_prefix, check_range, chunks_of, is_key

_WRITTEN = (1980, 1, 1, 0, 0, 0)  # the same bundle gives the same zip
_CHUNK = 1_048_576


class ZipStore(ArtifactStore):
    """Reads keys from the entries of a zip file; one that was just made also takes new ones.

    Entries that are no files, are encrypted, have names that are no keys or share a name are odd: they are listed by
    `odd` and never read. Nothing is unpacked to disk. A range of an entry is found by unpacking what comes before it.
    """

    def __init__(self, path: str | Path, *, make: bool = False) -> None:
        """Open a zip file, or with `make` make a new one, 0600. Raises `StoreUnavailable` or `AlreadyExists`."""
        self.path = Path(path).absolute()
        self._raw: io.FileIO | None = None
        try:
            if make:
                self._raw = io.FileIO(create(self.path, os.O_RDWR | os.O_EXCL), "r+")
                self._file = zipfile.ZipFile(cast("BinaryIO", self._raw), "w", zipfile.ZIP_DEFLATED)
            else:
                self._file = zipfile.ZipFile(self.path)
        except FileExistsError:
            raise AlreadyExists(f"{self.path} is there already") from None
        except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
            raise StoreUnavailable(f"{self.path} cannot be used as a zip file: {error}") from None
        self._odd: dict[str, str] = {}
        self._there: dict[str, zipfile.ZipInfo] = {}
        for info in self._file.infolist():
            kind = _kind(info, known=info.filename in self._there or info.filename in self._odd)
            if kind:
                self._odd[info.filename] = kind
                self._there.pop(info.filename, None)
            elif not info.is_dir():
                self._there[info.filename] = info

    def close(self) -> None:
        """Finish the file; a new one can be read from then on."""
        self._file.close()
        if self._raw is not None:
            self._raw.close()

    @property
    def url(self) -> str:
        """The file as a `file://` URL."""
        return self.path.as_uri()

    def put(self, key: str, data: Body, *, overwrite: bool = False) -> None:
        """Add an entry to a zip that was just made."""
        if check_key(key) in self._there:
            raise AlreadyExists(f"{key} exists already")
        if self._file.mode != "w" or overwrite:
            raise StoreUnavailable(
                f"{self.path} takes no more entries", hint="runbundle export --to zip makes a new one"
            )
        info = zipfile.ZipInfo(key, _WRITTEN)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o100600 << 16
        try:
            with self._file.open(info, "w", force_zip64=True) as entry:
                for chunk in chunks_of(data):
                    entry.write(chunk)
        except OSError as error:
            raise StoreUnavailable(f"cannot write {self.path}: {error.strerror or error}") from None
        self._there[key] = info

    def get(self, key: str) -> bytes:
        """Return all bytes of an entry."""
        return self.get_range(key, 0, self.size(key))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return a range of the bytes of an entry."""
        check_range(start, length)
        with self.open(key) as file:
            skipped = 0
            while skipped < start and (piece := file.read(min(_CHUNK, start - skipped))):
                skipped += len(piece)
            return file.read(length)

    def open(self, key: str) -> BinaryIO:
        """Return an entry as a stream. Reads from it raise `StoreUnavailable` if the zip is damaged there."""
        info = self._found(key)
        try:
            return cast("BinaryIO", io.BufferedReader(_Entry(self._file.open(info), self.path), _CHUNK))
        except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise StoreUnavailable(f"{self.path}: {key} cannot be read: {error}") from None

    def size(self, key: str) -> int:
        """Return the number of bytes that an entry has when it is unpacked, as the zip says."""
        return self._found(key).file_size

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys that begin with `prefix`, sorted."""
        check_prefix(prefix)
        yield from sorted(key for key in self._there if key.startswith(prefix))

    def list_dirs(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of the folders directly below `prefix`, sorted."""
        base = check_prefix(prefix).rstrip("/") + "/" if prefix else ""
        rest = [key[len(base) :] for key in self._there if key.startswith(base)]
        yield from sorted({key.split("/", 1)[0] for key in rest if "/" in key})

    def odd(self, prefix: str = "", *, deep: bool = True) -> Iterator[tuple[str, str]]:
        """Yield the entries below `prefix` that are never read, each with a word for what it is."""
        for name, kind in sorted(self._odd.items()):
            if name.startswith(prefix) and (deep or "/" not in name[len(prefix) :]):
                yield name, kind

    def delete(self, key: str) -> None:
        """Raise `StoreUnavailable`: nothing is taken out of a zip."""
        self._found(key)
        raise StoreUnavailable(f"nothing is removed from {self.path}", hint="remove the file instead")

    def _found(self, key: str) -> zipfile.ZipInfo:
        info = self._there.get(check_key(key))
        if info is None and key in self._odd:
            raise OddEntry(f"{key} is {self._odd[key]}, not a file")
        if info is None:
            raise KeyNotFound(f"nothing is stored under {key}")
        return info


class _Entry(io.RawIOBase):
    """An entry that is being unpacked."""

    def __init__(self, inner: zipfile.ZipExtFile | object, path: Path) -> None:
        super().__init__()
        self._inner, self._path = cast("BinaryIO", inner), path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(cast("bytearray", buffer))
        try:
            piece = self._inner.read(len(view))
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise StoreUnavailable(f"{self._path} is damaged: {error}") from None
        view[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._inner.close()
        super().close()


def _kind(info: zipfile.ZipInfo, *, known: bool) -> str:
    """Return a word for an entry that is no file of a store; "" for one that is, or is a folder."""
    mode = info.external_attr >> 16
    if known:
        return "one of two entries of that name"
    if info.flag_bits & 0x1:
        return "encrypted"
    if stat.S_ISLNK(mode):
        return "a link"
    if mode and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode) and stat.S_IFMT(mode):
        return "a device"
    return "" if is_key(info.filename.rstrip("/")) else "an entry whose name is no key"
