"""Which runs of other processes in the spool are to be sealed now: those whose writers are dead, a few at a time.

Those that a dead process has left in segments get journals first.

A look costs one listing of the spool, and for each run that is not this process's the times and the locks of its
files. What a look has tried in vain is not tried again until something of it has changed, or its time has come: a part
of a run is kept for its beginning, for a day; then, or if there are too many, it is sealed by itself.
"""

import contextlib
import time
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

from runbundle.errors import RunbundleError
from runbundle.format.identity import RunKey
from runbundle.journal.apart import runs_in_segments, segments_in, take_apart
from runbundle.journal.locks import is_held
from runbundle.journal.reader import journal_files
from runbundle.journal.spool import folder_of, spooled_runs
from runbundle.recording.waiting import touched_ns
from runbundle.store import ArtifactStore

SWEEP_EVERY_S = 2.5
"""How often a process looks for runs of dead ones."""
PARTS_KEPT_S = 86_400.0
"""How long a part of a run waits for its beginning."""
PARTS_KEPT = 1000
"""How many parts do."""
_LOOK_AGAIN_S = 60.0  # whether a run is sealed to which a part belongs; or the store is there again
_SHARE = 20  # of the time: a look that takes long is taken seldom


class Found(NamedTuple):
    """A run to be sealed."""

    key: RunKey
    alone: bool
    """Whether to seal it even if it is a part: it has waited long enough."""


class _Tried(NamedTuple):
    """What was tried in vain."""

    files: tuple[int, int]
    part: bool
    again_at: float


class Sweep:
    """Remembers what was tried. Not thread-safe: it is the sealer's thread's."""

    def __init__(self, store: ArtifactStore, spool: Path, quiet_s: float) -> None:
        """`quiet_s`: how long nothing may have been written to a run; its own process may be about to seal it."""
        self._store = store
        self._spool = spool
        self._quiet_s = quiet_s
        self._tried: dict[RunKey, _Tried] = {}
        self._begins = True
        self.next_at = 0.0
        """When to look again, by the monotonic clock."""

    def everything(self) -> list[Found]:
        """Return all that has journals: what is there when a process begins is nobody's who may be about to seal it.

        What is in segments the first look returns, at once: to take them apart takes too long for a process that
        begins. Raises `OSError` if the spool cannot be read.
        """
        self.put_off()
        if segments_in(self._spool):
            self.next_at = 0.0
        return [Found(key, alone=False) for key in spooled_runs(self._spool)]

    def look(self, ours: Container[RunKey]) -> list[Found]:
        """Return what is to be sealed now, the oldest first; `ours` are runs that this process writes or will seal.

        Raises `OSError` if the spool cannot be read.
        """
        began = time.monotonic()
        try:
            return self._look(ours, began)
        finally:
            now = time.monotonic()
            self.next_at = now + max(SWEEP_EVERY_S, _SHARE * (now - began))

    def put_off(self) -> None:
        """Do not look this time."""
        self.next_at = time.monotonic() + SWEEP_EVERY_S

    def tried(self, key: RunKey, *, part: bool = False, again: bool = False) -> None:
        """Take note that a run could not be sealed: as a part; or for now, if it is to be tried `again`."""
        again_at = time.monotonic() + _LOOK_AGAIN_S if part or again else float("inf")
        self._tried[key] = _Tried(self._files(key), part, again_at)

    def _look(self, ours: Container[RunKey], now: float) -> list[Found]:
        in_segments = set(self._in_segments())
        with contextlib.suppress(OSError):  # such as a full disk: the next look tries again
            take_apart(self._spool)
        keys = spooled_runs(self._spool)
        known = set(keys)
        self._tried = {key: tried for key, tried in self._tried.items() if key in known}
        aged = sorted((self._files(key), key) for key in keys if key not in ours)
        too_many = sum(tried.part for tried in self._tried.values()) - PARTS_KEPT
        found: list[Found] = []
        for files, key in aged:
            tried = self._tried.get(key)
            age_s = (time.time_ns() - files[0]) / 1e9
            if tried is None or tried.files != files:
                if (key in in_segments or not 0 <= age_s < self._quiet_s) and not self._is_live(key):
                    found.append(Found(key, alone=False))
            elif tried.part and (too_many > 0 or age_s > PARTS_KEPT_S):
                too_many -= 1
                found.append(Found(key, alone=True))
            elif now >= tried.again_at and not self._is_live(key) and (not tried.part or self._is_sealed(key)):
                found.append(Found(key, alone=False))
        return found

    def _in_segments(self) -> Iterator[RunKey]:
        """Yield, the first time, the runs that processes which are dead already have left in segments."""
        begins, self._begins = self._begins, False
        for _, held, runs in runs_in_segments(self._spool) if begins else ():
            yield from () if held else runs

    def _is_live(self, key: RunKey) -> bool:
        return any(map(is_held, journal_files(folder_of(self._spool, key))))

    def _is_sealed(self, key: RunKey) -> bool:
        try:
            if self._store.exists(f"{key.path}/run.json"):
                return True
        except RunbundleError:
            pass  # the store is away
        self.tried(key, part=True)
        return False

    def _files(self, key: RunKey) -> tuple[int, int]:
        """Return what a run's journals look like: when one was last written to, and how many there are."""
        journals = journal_files(folder_of(self._spool, key))
        return touched_ns(journals), len(journals)
