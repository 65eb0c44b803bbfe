"""An artifact store on local disk."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from runbundle.errors import AlreadyExists, KeyChanged, KeyNotFound, OddEntry, RunbundleError, StoreUnavailable
from runbundle.process.disk import make_folder, sync_folder, write_synced
from runbundle.store.base import ArtifactStore, Body, check_key, check_prefix, check_range, chunks_of, is_key
from runbundle.store.regular import (
    NotRegular,
    entries_of,
    folder_below,
    kind_of,
    open_below,
    status_below,
)

_HINTS = {
    errno.ENOSPC: "free some space and try again; nothing was changed",
    errno.EACCES: "let this user write there, or name another place with --store or RUNBUNDLE_STORE",
    errno.EROFS: "the file system is read-only; name another place with --store or RUNBUNDLE_STORE",
    errno.ENOTDIR: "a part of the path is a file; name another place with --store or RUNBUNDLE_STORE",
    errno.EEXIST: "a part of the path is a file; name another place with --store or RUNBUNDLE_STORE",
}
_SWEPT_AFTER_S = 86_400
_ATTEMPTS = 100  # of a put whose folder is removed by a delete, again and again
_TMP = ".tmp"


class LocalStore(ArtifactStore):
    """Stores each key as a file below a root folder. Folders are 0700 and files 0600, whatever the umask.

    A file is written elsewhere, synced, and linked into place. Linking fails if the name is taken, so a put is
    create-only even between processes. When `put` returns, the bytes and their name survive a power failure: the file
    and its folder were synced, and each new folder was synced into the one above it. Not guaranteed: that folders above
    the root survive, or that a `delete` does.

    On disk, a key cannot also be a folder of other keys. Names that begin with a dot are not part of the store. Below
    the root no method follows a link or opens anything but a regular file (see `regular`); anything else under a key
    raises `OddEntry`.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).absolute()

    @property
    def url(self) -> str:
        """The root as a `file://` URL."""
        return self.root.as_uri()

    @property
    def folder(self) -> Path:
        """The root."""
        return self.root

    def put(self, key: str, data: Body, *, overwrite: bool = False) -> None:
        """Store `data`, synced to disk."""
        self._put({key: data}, overwrite=overwrite)

    def replace(self, key: str, data: bytes, *, expected: bytes) -> None:
        """Store `data` in place of `expected`, under a lock on the file that is replaced."""
        with self.open(key) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                # Whoever held the lock before us has put another file in this one's place.
                here = status_below(self.root, key)
                if not os.path.samestat(os.fstat(file.fileno()), here) or file.read() != expected:
                    raise KeyChanged(f"{key} has changed meanwhile")
            except FileNotFoundError:
                raise KeyChanged(f"{key} has been deleted meanwhile") from None
            self._put({key: data}, overwrite=True)

    def put_all(self, files: Mapping[str, Body]) -> None:
        """Store several files, each synced. Their folder is synced once for all of them."""
        self._put(files, overwrite=False)

    def _put(self, files: Mapping[str, Body], *, overwrite: bool) -> None:
        for key in files:
            check_key(key)
        scratch = uuid4().hex
        key = ""
        try:
            _make_root(self.root)
            with folder_below(self.root, [_TMP], make=True) as tmp:
                for key, data in files.items():
                    try:
                        write_synced(scratch, chunks_of(data), dir_fd=tmp)
                        self._place(tmp, scratch, key, overwrite=overwrite)
                    finally:
                        with contextlib.suppress(FileNotFoundError):
                            os.unlink(scratch, dir_fd=tmp)
            for folder in {key.rpartition("/")[0] for key in files}:
                with (
                    contextlib.suppress(FileNotFoundError),  # deleted already, with its folder
                    folder_below(self.root, folder.split("/") if folder else []) as fd,
                ):
                    os.fsync(fd)
        except FileExistsError:
            raise AlreadyExists(f"{key} exists already") from None
        except OSError as error:
            raise _unavailable(error, f"cannot write {self.root / key}") from error

    def _place(self, tmp: int, scratch: str, key: str, *, overwrite: bool) -> None:
        *folders, name = key.split("/")
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with folder_below(self.root, folders, make=True) as fd:
                    if overwrite:
                        os.replace(scratch, name, src_dir_fd=tmp, dst_dir_fd=fd)
                    else:
                        os.link(scratch, name, src_dir_fd=tmp, dst_dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:  # a delete has just removed the folder, which was empty
                if attempt == _ATTEMPTS:
                    raise
            else:
                return

    def sweep(self) -> int:
        """Remove scratch files of puts that began more than a day ago, and return how many there were."""
        swept = 0
        with contextlib.suppress(OSError), folder_below(self.root, [_TMP]) as tmp:
            for name, kind in entries_of(tmp):
                with contextlib.suppress(OSError):
                    if not kind and os.stat(name, dir_fd=tmp).st_mtime < time.time() - _SWEPT_AFTER_S:
                        os.unlink(name, dir_fd=tmp)
                        swept += 1
        return swept

    def get(self, key: str) -> bytes:
        """Return all bytes of `key`."""
        with self.open(key) as file:
            return file.read()

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return a range of the bytes of `key`."""
        check_range(start, length)
        with self.open(key) as file:
            file.seek(start)
            return file.read(length)

    def open(self, key: str) -> BinaryIO:
        """Return `key` as an open file."""
        with self._reading(check_key(key)):
            return os.fdopen(open_below(self.root, key), "rb")

    def size(self, key: str) -> int:
        """Return the number of bytes of `key`."""
        with self._reading(check_key(key)):
            status = status_below(self.root, key)
            if kind := kind_of(status.st_mode):
                raise NotRegular(kind)
            return status.st_size

    @contextlib.contextmanager
    def _reading(self, key: str) -> Generator[None]:
        try:
            yield
        except NotRegular as error:
            raise OddEntry(f"{key} is {error.kind}, or lies behind one", hint="only files are opened") from None
        except (FileNotFoundError, NotADirectoryError):
            raise KeyNotFound(f"nothing is stored under {key}", hint=f"the store is {self.root}") from None
        except OSError as error:
            raise _unavailable(error, f"cannot read {key}") from error

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys, sorted. Skips folders that vanish in the meantime, and everything that is not a file."""
        yield from sorted(key for key, kind in self._walk(prefix) if not kind and is_key(key))

    def list_dirs(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of the folders directly below `prefix`, sorted."""
        yield from sorted(name for name, kind in self._inside(prefix) if kind == "a folder")

    def odd(self, prefix: str = "", *, deep: bool = True) -> Iterator[tuple[str, str]]:
        """Yield, sorted, each path below `prefix` that holds no file of the store, and a word for what it holds."""
        found = self._walk(prefix) if deep else ((name, kind) for name, kind in self._inside(prefix))
        odd = ((key, kind or "a file whose name is no key") for key, kind in found if kind or not is_key(key))
        yield from sorted((key, kind) for key, kind in odd if deep or kind != "a folder")

    def delete(self, key: str) -> None:
        """Remove `key`, and the folders that this empties. A link or a pipe is removed itself, not where it leads."""
        *folders, name = check_key(key).split("/")
        try:
            with folder_below(self.root, folders) as fd:
                os.unlink(name, dir_fd=fd)
        except NotRegular as error:
            raise OddEntry(f"{key} lies behind {error.kind}", hint="only files of the store are deleted") from None
        except IsADirectoryError:
            raise OddEntry(f"{key} is a folder", hint="only files of the store are deleted") from None
        except (FileNotFoundError, NotADirectoryError):
            raise KeyNotFound(f"nothing is stored under {key}") from None
        except OSError as error:
            raise _unavailable(error, f"cannot delete {self.root / key}") from error
        with contextlib.suppress(OSError):  # not empty: done
            while folders:
                last = folders.pop()
                with folder_below(self.root, folders) as fd:
                    os.rmdir(last, dir_fd=fd)

    def _inside(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield what is in one folder, dots left out."""
        parts = check_prefix(prefix).rstrip("/").split("/") if prefix else []
        try:
            with folder_below(self.root, parts) as fd:
                yield from [(name, kind) for name, kind in entries_of(fd) if not name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError, NotRegular):
            return
        except OSError as error:
            raise _unavailable(error, f"cannot list {self.root / prefix}") from error

    def _walk(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield all that begins with `prefix` and is no folder, folders of names that are no keys as such."""
        folder, _, start = check_prefix(prefix).rpartition("/")
        pending = [folder]
        while pending:
            here = pending.pop()
            for name, kind in self._inside(here):
                if here == folder and not name.startswith(start):
                    continue
                key = f"{here}/{name}" if here else name
                if kind == "a folder" and is_key(name):
                    pending.append(key)
                else:
                    yield key, kind


def _make_root(root: Path) -> None:
    if not root.is_dir():
        try:
            make_folder(root)
        except FileExistsError as error:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
        with contextlib.suppress(PermissionError):  # a folder above the root may be writable and not readable
            sync_folder(root.parent)


def _unavailable(error: OSError, what: str) -> RunbundleError:
    return StoreUnavailable(f"{what}: {error.strerror or error}", hint=_HINTS.get(error.errno or 0, ""))
