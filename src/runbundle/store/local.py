"""An artifact store on local disk."""

import contextlib
import errno
import fcntl
import itertools
import os
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from runbundle.errors import AlreadyExists, KeyChanged, KeyNotFound, OddEntry, StoreError, StoreUnavailable
from runbundle.process.disk import can_sync_file_systems, make_folder, sync_folder
from runbundle.store.base import ArtifactStore, Body, check_key, check_prefix, check_range, is_key
from runbundle.store.placing import TMP, Placing
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
_TOGETHER = 4  # bundles from which on one sync of the file system costs less than one for each file


class LocalStore(ArtifactStore):
    """Stores each key as a file below a root folder. Folders are 0700 and files 0600, whatever the umask.

    A file is written without its name, synced, and linked into place (see `placing`). Linking fails if the name is
    taken, so a put is create-only even between processes. When `put` returns, the bytes and their name survive a power
    failure: the file and its folder were synced, and each new folder was synced into the one above it. Not guaranteed:
    that folders above the root survive, or that a `delete` does.

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

    def beside(self, name: str) -> "LocalStore":
        """Return a store in the folder `.NAME` of the root, to which no key of this store leads."""
        return LocalStore(self.root / f".{check_key(name)}")

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

    def commit(self, bundles: Sequence[Mapping[str, Body]]) -> list[StoreError | None]:
        """Store several bundles. From four on two syncs of the whole file system are for all (see `committing`).

        If the machine loses power before it returns, a file of a bundle without its last file may be cut short.
        """
        from runbundle.store.committing import commit_together

        written_here = type(self).put is LocalStore.put and type(self).put_all is LocalStore.put_all
        if len(bundles) < _TOGETHER or not written_here or not can_sync_file_systems():
            return super().commit(bundles)
        for key in itertools.chain(*bundles):
            check_key(key)
        try:
            _make_root(self.root)
            found = commit_together(self.root, bundles)
        except OSError as error:
            return [_unavailable(error, f"cannot write {self.root}")] * len(bundles)
        outcomes: list[StoreError | None] = []
        for files, refused in zip(bundles, found, strict=True):
            if refused is not None and refused.error.errno == errno.EXDEV:
                outcomes += super().commit([files])
            else:
                outcomes.append(self._refusal(refused.key, refused.error) if refused else None)
        return outcomes

    def _put(self, files: Mapping[str, Body], *, overwrite: bool) -> None:
        for key in files:
            check_key(key)
        key = ""
        try:
            _make_root(self.root)
            with contextlib.closing(Placing(self.root)) as placing:
                for key, data in files.items():
                    with placing.written(key, data, named=overwrite) as file:
                        (placing.replace if overwrite else placing.place)(file)
                placing.sync_folders()
        except OSError as error:
            raise self._refusal(key, error) from (None if isinstance(error, FileExistsError) else error)

    def _refusal(self, key: str, error: OSError) -> StoreError:
        if isinstance(error, FileExistsError):
            return AlreadyExists(f"{key} exists already")
        return _unavailable(error, f"cannot write {self.root / key}")

    def sweep(self) -> int:
        """Remove scratch files of puts that began more than a day ago, and return how many there were."""
        swept = 0
        with contextlib.suppress(OSError), folder_below(self.root, [TMP]) as tmp:
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

    def exists(self, key: str) -> bool:
        """Tell whether `key` is taken. Reads no bytes."""
        try:
            os.lstat(f"{self.root}/{check_key(key)}")
        except (FileNotFoundError, NotADirectoryError):
            return False  # as before each first seal; 60 µs less than to open the folders on the way
        except OSError:
            pass
        return super().exists(key)

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


def _unavailable(error: OSError, what: str) -> StoreUnavailable:
    return StoreUnavailable(f"{what}: {error.strerror or error}", hint=_HINTS.get(error.errno or 0, ""))
