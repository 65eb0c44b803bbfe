"""A store on local disk."""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from runbundle.errors import AlreadyExists, KeyChanged, KeyNotFound, RunbundleError, StoreUnavailable
from runbundle.store.base import ArtifactStore, Body, check_key, check_prefix, check_range, chunks_of

_HINTS = {
    errno.ENOSPC: "free some space and try again; nothing was changed",
    errno.EACCES: "let this user write there, or name another place with --store or RUNBUNDLE_STORE",
    errno.EROFS: "the file system is read-only; name another place with --store or RUNBUNDLE_STORE",
    errno.ENOTDIR: "a part of the path is a file; name another place with --store or RUNBUNDLE_STORE",
    errno.EEXIST: "a part of the path is a file; name another place with --store or RUNBUNDLE_STORE",
}
_SWEPT_AFTER_S = 86_400
_ATTEMPTS = 100  # of a put whose folder is removed by a delete, again and again


class LocalStore(ArtifactStore):
    """Files below a root directory; folders are 0700 and files 0600, whatever the umask.

    A file is written beside, synced, and linked into place, which fails if the name is taken: create-only even
    between processes. When `put` returns, the bytes and their name survive the loss of power: the file and its folder
    were synced, once each, and every new folder was synced into the one above it by the `put` that made it. Not
    promised: folders above the root, and the lasting effect of `delete`. On disk a key cannot be a folder of other
    keys too. Names beginning with a dot are not part of the store.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).absolute()

    @property
    def url(self) -> str:
        """The root as `file://` URL."""
        return self.root.as_uri()

    def put(self, key: str, data: Body, *, overwrite: bool = False) -> None:
        """Store `data`, synced to disk."""
        self._put({key: data}, overwrite=overwrite)

    def replace(self, key: str, data: bytes, *, expected: bytes) -> None:
        """Replace what `key` holds if that is `expected`: under a lock on the file that is replaced."""
        path = self.root / check_key(key)
        with self.open(key) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                # Whoever held the lock before us has put another file in this one's place.
                if not os.path.samestat(os.fstat(file.fileno()), path.stat()) or file.read() != expected:
                    raise KeyChanged(f"{key} has changed meanwhile")
            except FileNotFoundError:
                raise KeyChanged(f"{key} has been deleted meanwhile") from None
            self._put({key: data}, overwrite=True)

    def put_all(self, files: Mapping[str, Body]) -> None:
        """Store several files, each synced; their folder is synced once for all."""
        self._put(files, overwrite=False)

    def _put(self, files: Mapping[str, Body], *, overwrite: bool) -> None:
        targets = {key: self.root / check_key(key) for key in files}
        scratch = self.root / ".tmp" / uuid4().hex
        key = ""
        try:
            _make_folders(self.root, scratch.parent)
            for key, data in files.items():
                try:
                    _write_synced(scratch, data)
                    _place(self.root, scratch, targets[key], overwrite=overwrite)
                finally:
                    scratch.unlink(missing_ok=True)
            for folder in {target.parent for target in targets.values()}:
                with contextlib.suppress(FileNotFoundError):  # deleted already, with its folder
                    _sync_folder(folder)
        except AlreadyExists:
            raise AlreadyExists(f"{key} exists already") from None
        except OSError as error:
            raise _unavailable(error, f"cannot write {targets[key] if key else self.root}") from error

    def sweep(self) -> int:
        """Remove files of puts that began more than a day ago; a put of this process takes no such time."""
        swept = 0
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.root / ".tmp"):
                if entry.stat().st_mtime < time.time() - _SWEPT_AFTER_S:
                    with contextlib.suppress(OSError):
                        Path(entry.path).unlink()
                        swept += 1
        return swept

    def get(self, key: str) -> bytes:
        """Return all bytes of `key`."""
        with self.open(key) as file:
            return file.read()

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return a part of `key`."""
        check_range(start, length)
        with self.open(key) as file:
            file.seek(start)
            return file.read(length)

    def open(self, key: str) -> BinaryIO:
        """Return `key` as a file."""
        try:
            return (self.root / check_key(key)).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise KeyNotFound(f"nothing is stored under {key}", hint=f"the store is {self.root}") from None
        except OSError as error:
            raise _unavailable(error, f"cannot read {key}") from error

    def size(self, key: str) -> int:
        """Return the size of `key`."""
        path = self.root / check_key(key)
        try:
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                return status.st_size
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise _unavailable(error, f"cannot read {key}") from error
        raise KeyNotFound(f"nothing is stored under {key}", hint=f"the store is {self.root}")

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield keys, sorted; a folder that vanishes meanwhile is passed over."""
        folder, _, start = check_prefix(prefix).rpartition("/")
        yield from sorted(_walk(self.root, folder, start))

    def list_dirs(self, prefix: str = "") -> Iterator[str]:
        """Yield the folders below `prefix`."""
        folder = self.root / check_prefix(prefix) if prefix else self.root
        try:
            with os.scandir(folder) as entries:
                yield from sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise _unavailable(error, f"cannot list {folder}") from error

    def delete(self, key: str) -> None:
        """Remove `key`, and folders that this empties."""
        path = self.root / check_key(key)
        try:
            path.unlink()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise KeyNotFound(f"nothing is stored under {key}") from None
        except OSError as error:
            raise _unavailable(error, f"cannot delete {path}") from error
        with contextlib.suppress(OSError):  # not empty: done
            for parent in path.parents:
                if parent == self.root:
                    break
                parent.rmdir()


def _make_folders(root: Path, folder: Path) -> None:
    if folder.is_dir():
        return
    if folder == root:
        root.parent.mkdir(parents=True, exist_ok=True)
    else:
        _make_folders(root, folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if folder.is_file():
            raise
        return  # another put made it, and syncs it; if a delete has removed it since, `_place` tries again
    with contextlib.suppress(PermissionError):  # a folder above the root may be writable and not readable
        _sync_folder(folder.parent)


def _place(root: Path, scratch: Path, target: Path, *, overwrite: bool) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _make_folders(root, target.parent)
            if overwrite:
                scratch.replace(target)
            else:
                _link(scratch, target)
        except FileNotFoundError:  # a delete has just removed the folder, which was empty
            if attempt == _ATTEMPTS:
                raise
        else:
            return


def _link(scratch: Path, target: Path) -> None:
    try:
        target.hardlink_to(scratch)
    except FileExistsError:
        raise AlreadyExists("") from None


def _write_synced(path: Path, data: Body) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for chunk in chunks_of(data):
            view = memoryview(chunk)
            while view:
                view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _walk(root: Path, folder: str, start: str) -> Iterator[str]:
    pending = [folder]
    while pending:
        here = pending.pop()
        try:
            entries = list(os.scandir(root / here))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise _unavailable(error, f"cannot list {root / here}") from error
        for entry in entries:
            if entry.name.startswith(".") or (here == folder and not entry.name.startswith(start)):
                continue
            key = f"{here}/{entry.name}" if here else entry.name
            if entry.is_dir():
                pending.append(key)
            else:
                yield key


def _unavailable(error: OSError, what: str) -> RunbundleError:
    return StoreUnavailable(f"{what}: {error.strerror or error}", hint=_HINTS.get(error.errno or 0, ""))
