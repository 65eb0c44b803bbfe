"""New files below the root of a store on disk: each is written without its key, and gets it when it is whole.

Where the file system has unnamed files (`O_TMPFILE`) a file has no name at all until then, and needs none of its own to
be removed. Elsewhere it is written under another name in the folder `.tmp` of the store. Which of the two is found out
once for a root.
"""

import contextlib
import os
import random
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

from runbundle.process.disk import create, create_unnamed, link_unnamed, write_all
from runbundle.store.base import Body, chunks_of
from runbundle.store.regular import folder_below, open_folder

TMP = ".tmp"
"""The folder of a store for files that are still being written."""

T = TypeVar("T")
_DRAWN = random.SystemRandom()  # the application may have seeded the other, in two processes alike
_PATIENCE_S = 10.0
"""For which a put tries whose folder is removed by deletes, again and again."""
_PAUSE_S = 0.002
"""The longest pause between two tries. Without one, threads that put and delete in one folder kept one of them from its
turn for a hundred tries, once in some thousand puts; with it, four are enough."""
_NAMED_ONLY = set[Path]()
"""Roots below which a file cannot be without a name."""


class Written(NamedTuple):
    """A file that is written and has no key yet."""

    key: str
    data: Body
    fd: int
    """Its descriptor, if it has no name."""
    scratch: str
    """Its name in `.tmp`; empty if it has none."""


class Placing:
    """Files of one call of a store. It holds the folders that it has opened; close it after use.

    Raises `OSError`: `FileExistsError` for a key that is taken, `NotRegular` where a link lies on the way.
    """

    def __init__(self, root: Path, *, sync: bool = True) -> None:
        """Without `sync` nothing is brought to the disk: the caller does that for all files at once."""
        self._root = root
        self._sync = sync
        self._folders: dict[str, int] = {}

    @contextlib.contextmanager
    def written(self, key: str, data: Body, *, named: bool = False) -> Generator[Written]:
        """Return a context in which a file is written and can be placed. With `named` it has a name in any case."""
        file = None if named or self._root in _NAMED_ONLY else self._unnamed(key, data)
        if file is None:
            file = self._named(key, data)
        try:
            yield file
        finally:
            if file.scratch:  # maybe after close()
                with contextlib.suppress(FileNotFoundError), folder_below(self._root, [TMP]) as tmp:
                    os.unlink(file.scratch, dir_fd=tmp)
            else:
                os.close(file.fd)

    def place(self, file: Written) -> None:
        """Give a file its key, which must be free."""
        name = file.key.rpartition("/")[2]
        if file.scratch:
            ends: dict[str, Any] = {"src_dir_fd": self._folder(TMP), "follow_symlinks": False}
            self._within(file.key, lambda folder: os.link(file.scratch, name, dst_dir_fd=folder, **ends))
        elif not self._within(file.key, lambda folder: link_unnamed(file.fd, name, folder)):
            _NAMED_ONLY.add(self._root)
            # Synced in any case: who syncs for many has done so before the last files are placed.
            with contextlib.closing(Placing(self._root)) as placing, placing.written(file.key, file.data) as again:
                placing.place(again)
                placing.sync_folders()

    def replace(self, file: Written) -> None:
        """Give a file with a name its key, in place of what is there."""
        name, source = file.key.rpartition("/")[2], self._folder(TMP)
        self._within(file.key, lambda folder: os.replace(file.scratch, name, src_dir_fd=source, dst_dir_fd=folder))

    def sync_folders(self) -> None:
        """Bring the names of the files to the disk."""
        for folder, fd in self._folders.items():
            if folder != TMP:
                os.fsync(fd)

    def device(self, key: str) -> int:
        """Return the number of the file system that holds the folder of a key."""
        return self._within(key, lambda folder: os.fstat(folder).st_dev)

    def close(self) -> None:
        """Close the folders."""
        while self._folders:
            os.close(self._folders.popitem()[1])

    def _unnamed(self, key: str, data: Body) -> Written | None:
        fd = self._within(key, create_unnamed)
        if fd is None:
            _NAMED_ONLY.add(self._root)
            return None
        try:
            self._fill(fd, data)
        except BaseException:
            os.close(fd)
            raise
        return Written(key, data, fd, "")

    def _named(self, key: str, data: Body) -> Written:
        scratch, tmp = uuid4().hex, self._folder(TMP)
        try:
            fd = create(scratch, dir_fd=tmp)
            try:
                self._fill(fd, data)
            finally:
                os.close(fd)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(scratch, dir_fd=tmp)
            raise
        return Written(key, data, -1, scratch)

    def _fill(self, fd: int, data: Body) -> None:
        write_all(fd, chunks_of(data))
        if self._sync:
            os.fsync(fd)

    def _within(self, key: str, work: Callable[[int], T]) -> T:
        """Do something in the folder of a key, which is made if it is not there."""
        folder = key.rpartition("/")[0]
        until = 0.0
        while True:
            try:
                return work(self._folder(folder))
            except FileNotFoundError:  # a delete has just removed the folder, which was empty
                if folder in self._folders:
                    os.close(self._folders.pop(folder))
                now = time.monotonic()
                until = until or now + _PATIENCE_S
                if now > until or not self._root.is_dir():
                    raise
            time.sleep(_DRAWN.uniform(0, _PAUSE_S))

    def _folder(self, folder: str) -> int:
        fd = self._folders.get(folder)
        if fd is None:
            parts = folder.split("/") if folder else []
            fd = self._folders[folder] = open_folder(self._root, parts, make=True, sync=self._sync)
        return fd
