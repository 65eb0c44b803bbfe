"""Several bundles below the root of a store on disk at once, with two syncs of the file system for all of them.

1. All files are written and get their keys. Of each bundle the last file, its mark, is written too, but has no key yet.
2. The file system is synced: now all files are on the disk, names included, and so are the bytes of the marks.
3. The marks get their keys, and the file system is synced again.

So no mark is on the disk before its files are, and none is ever there in part. The loss of power before step 2 is done
may leave files cut short, of bundles without marks.
"""

import contextlib
import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from runbundle.process import disk
from runbundle.store.base import Body
from runbundle.store.placing import Placing, Written
from runbundle.store.regular import open_folder


class Refused(NamedTuple):
    """Why a bundle was not committed."""

    key: str
    """The file with which that became clear."""
    error: OSError
    """`EXDEV`: it lies on another file system than the root, and must be written by itself."""


def commit_together(root: Path, bundles: Sequence[Mapping[str, Body]]) -> list[Refused | None]:
    """Store bundles; return why each was refused, or None for those that are on the disk now. `root` must be there.

    Holds an open file and its folder for each bundle. Raises `OSError` only if the root cannot be opened.
    """
    outcomes: list[Refused | None] = [None] * len(bundles)
    with contextlib.ExitStack() as held:
        fd = open_folder(root, [])
        held.callback(os.close, fd)
        device = os.fstat(fd).st_dev
        marks = dict[int, tuple[Placing, Written]]()
        for number, files in enumerate(bundles):
            outcomes[number] = _write(root, files, device, held, marks, number)
        _sync(fd, marks, outcomes)
        for number, (placing, mark) in marks.items():
            outcomes[number] = outcomes[number] or _place(placing, mark)
        _sync(fd, marks, outcomes)
    return outcomes


def _write(
    root: Path,
    files: Mapping[str, Body],
    device: int,
    held: contextlib.ExitStack,
    marks: dict[int, tuple[Placing, Written]],
    number: int,
) -> Refused | None:
    """Write the files of a bundle; of the last, which stays open in `held` with its folder, only the bytes."""
    *others, last = files
    key = last
    placing = held.enter_context(contextlib.closing(Placing(root, sync=False)))
    try:
        if placing.device(last) != device:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        for key in others:
            with placing.written(key, files[key]) as file:
                placing.place(file)
        key = last
        marks[number] = placing, held.enter_context(placing.written(last, files[last]))
    except OSError as error:
        placing.close()
        return Refused(key, error)
    return None


def _place(placing: Placing, mark: Written) -> Refused | None:
    try:
        placing.place(mark)
    except OSError as error:
        return Refused(mark.key, error)
    return None


def _sync(fd: int, marks: Mapping[int, tuple[Placing, Written]], outcomes: list[Refused | None]) -> None:
    """Sync the file system; if that fails, it fails for all that have not failed yet."""
    if all(outcomes[number] for number in marks):
        return
    try:
        disk.sync_file_system(fd)
    except OSError as error:
        for number, (_, mark) in marks.items():
            outcomes[number] = outcomes[number] or Refused(mark.key, error)
