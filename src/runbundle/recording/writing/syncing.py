"""`fsync-batch`: what was appended to journals is brought to the disk in turns, ten times a second.

A caller that syncs its own record waits for the disk each time; here a thread does it for all of them. A record may be
lost with the machine for `SYNC_EVERY_S` after its span has ended. Not promised: that `flush()` waits for a turn that
is at work when it begins.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from runbundle.journal.writer import JournalWriter
from runbundle.process.disk import sync_folder

SYNC_EVERY_S = 0.1
"""How long a record may wait for the disk."""

Waiting = tuple[int, Path]
"""A descriptor to sync, which whoever takes it closes, or -1; and the folder of the file."""


class Unsynced:
    """The journals with lines that are not on the disk yet. Its owner calls it under the lock of its writers.

    A journal may be closed before its turn comes, so each is kept by a descriptor of its own.
    """

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._complain = complain
        self._waiting: list[Waiting] = []

    def note(self, writer: JournalWriter) -> None:
        """Have a journal synced at the next turn, if anything was appended since the last."""
        try:
            self._waiting.append((writer.duplicate_if_unsynced(), writer.path.parent))
        except OSError as error:  # no descriptor is left
            self._complain(f"records are not on the disk yet: {error.strerror or error}")

    def take(self) -> list[Waiting]:
        """Return what waits, which is from now on in the hands of the caller."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def forget(self) -> None:
        """Close the descriptors in a forked child: the parent syncs its own."""
        for fd, _ in self.take():
            if fd >= 0:
                os.close(fd)


def bring_to_disk(waiting: Iterable[Waiting], spool: Path, complain: Callable[[str], None]) -> None:
    """Sync files, and the folders in which their names are up to the spool; close the descriptors. Never raises.

    What the system refuses is said by `complain`; the records are then as safe as with `os`.
    """
    folders: set[Path] = set()
    for fd, folder in waiting:
        if fd >= 0:
            try:
                os.fsync(fd)
            except OSError as error:
                complain(f"records are not on the disk: {error.strerror or error}")
            finally:
                os.close(fd)
            folders |= {folder, folder.parent, spool}
    for folder in folders:
        try:
            sync_folder(folder)
        except FileNotFoundError:
            pass  # sealed meanwhile
        except OSError as error:
            complain(f"records are not on the disk: {error.strerror or error}")


def sync_in_turns(sync: Callable[[], None], stop: threading.Event) -> threading.Thread:
    """Start the thread that calls `sync` in turns until `stop` is set; return it."""

    def work() -> None:
        while not stop.wait(SYNC_EVERY_S):
            sync()

    thread = threading.Thread(target=work, name="runbundle-sync", daemon=True)
    with contextlib.suppress(RuntimeError):  # the interpreter is shutting down: flush() syncs
        thread.start()
    return thread
