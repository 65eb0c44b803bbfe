"""The ledger of losses: what a process could not keep is still said when the process is gone.

Each writer has a file of its own in `.losses` of the spool, which it replaces as a whole: counts by reason, which runs
they are of, and what could not be sealed for good. Never content. Bounded: in runs named, in files, in age.
"""

import contextlib
import os
import threading
import time
from collections import Counter, deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast
from uuid import uuid4

import orjson

from runbundle.format.identity import RunKey
from runbundle.format.layout import LOSSES
from runbundle.process.disk import make_folder, replace
from runbundle.signals.reading import LARGEST
from runbundle.store.regular import NotRegular, entries_of, folder_below, read_at, refuse_link

_EVERY_S = 1.0
"""How often a process writes its ledger at most, unless it is told to."""
_RUNS_NAMED = 100
"""By reason; and as many that could not be sealed."""
_NOTED = 1000
"""How many losses wait to be added up; the sealer does so once a second."""
_FILES = 1000
_KEPT_S = 30 * 86_400.0
_MOST_BYTES = 1_048_576
_SCHEMA = "runbundle/losses/v1"


class Loss(NamedTuple):
    """What one process has counted as lost."""

    pid: int
    began: str
    """When it began to record, RFC 3339."""
    until: str
    """When it wrote this."""
    counts: dict[str, int]
    """Records, or runs where the reason is about runs, by reason."""
    runs: dict[str, list[str]]
    """Keys of runs they are of, by reason; not all of them."""
    failed: dict[str, str]
    """Key of a run that it gave up sealing, to the reason."""
    file: str
    """Where it says so."""

    @property
    def total(self) -> int:
        """How many were lost."""
        return sum(self.counts.values())


class Losses:
    """Counts the losses of this process and writes them to the spool. Thread-safe; never raises."""

    def __init__(self, spool: Path) -> None:
        self._folder = spool / LOSSES
        self.reset()

    def reset(self) -> None:
        """Start afresh, as a forked child must: the parent's losses are the parent's to say."""
        # Re-entrant: a signal's handler may ask for something in the middle of anything.
        self._lock = threading.RLock()
        self._noted = deque[tuple[str, int, RunKey | None]]()
        """Losses that are not in `_counts` and `_runs` yet."""
        self._adds_up = False
        self._counts: dict[str, int] = {}
        self._stated: dict[str, int] = {}
        self._runs: dict[str, dict[str, None]] = {}
        self._failed: dict[str, str] = {}
        self._began = _now()
        self._name = f"{os.getpid()}-{uuid4().hex[:12]}.json"
        self._dirty = False
        self._pruned = False
        self._written_at = float("-inf")

    def count(self, reason: str, count: int = 1, key: RunKey | None = None) -> None:
        """Add to what was lost for a reason; `key`: of which run.

        It waits for no lock: a signal's handler may have interrupted this ledger and wait for a lock of the caller's.
        """
        self._noted.append((reason, count, key))
        self._dirty = True
        if len(self._noted) > _NOTED and self._lock.acquire(blocking=False):  # there is no sealer any more
            try:
                self._add_up()
            finally:
                self._lock.release()

    def state(self, reason: str, total: int) -> None:
        """Say how many were lost for a reason that somebody else counts; in the ledger only, not in `counts()`."""
        with self._lock:
            if total != self._stated.get(reason, 0):
                self._stated[reason] = total
                self._dirty = True

    def gave_up(self, key: RunKey, reason: str) -> None:
        """Take note that a run could not be sealed and will not be tried again by this process."""
        with self._lock:
            if key.path in self._failed or len(self._failed) < _RUNS_NAMED:
                self._failed[key.path] = reason
                self._dirty = True

    def sealed(self, key: RunKey) -> None:
        """Take note that a run was sealed after all."""
        if self._failed:
            with self._lock:
                if self._failed.pop(key.path, None) is not None:
                    self._dirty = True

    def counts(self) -> dict[str, int]:
        """Return what was lost since the start of the process, by reason."""
        with self._lock:
            return self._totals()

    @property
    def write_at(self) -> float:
        """When to write, by the monotonic clock; infinite if the spool says all."""
        return self._written_at + _EVERY_S if self._dirty else float("inf")

    def write(self, *, now: bool = False) -> None:
        """Write the ledger if it has changed; unless `now`, at most once a second."""
        if not self._dirty:
            return
        with self._lock:
            at = time.monotonic()
            if not self._dirty or not (now or at - self._written_at >= _EVERY_S):
                return
            counts = self._totals()
            self._dirty, self._written_at = False, at
            if self._noted:  # meanwhile, or by whom this handler has interrupted
                self._dirty = True
            name, prune = self._name, not self._pruned
            self._pruned = True
            body = {
                "schema": _SCHEMA, "pid": os.getpid(), "began": self._began, "until": _now(),
                "counts": {**self._stated, **counts},
                "runs": {reason: list(named) for reason, named in list(self._runs.items())}, "failed": self._failed,
            }  # fmt: skip
            data = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
        with contextlib.suppress(OSError):
            make_folder(self._folder)
            refuse_link(self._folder)
            replace(self._folder / name, data)
            if prune:
                _prune(self._folder)

    def _totals(self) -> dict[str, int]:
        self._add_up()
        totals = Counter(self._counts)
        for reason, count, _ in list(self._noted):  # there are any in a handler that has interrupted the adding up
            totals[reason] += count
        return dict(totals)

    def _add_up(self) -> None:
        """Take what was noted into the counts, the oldest first. The lock is held."""
        if self._adds_up:
            return  # a signal's handler has interrupted this very function
        self._adds_up = True
        try:
            while self._noted:
                reason, count, key = self._noted[0]
                self._counts[reason] = self._counts.get(reason, 0) + count
                if key is not None:
                    named = self._runs.setdefault(reason, {})
                    if len(named) < _RUNS_NAMED:
                        named[key.path] = None
                self._noted.popleft()
        finally:
            self._adds_up = False


def read_losses(spool: Path) -> list[Loss]:
    """Return what processes have written to the ledger, the latest last. What cannot be read is passed over."""
    found: list[Loss] = []
    for path in _files(spool / LOSSES):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            body = orjson.loads(read_at(path, _MOST_BYTES))
            found.append(_loss(cast("dict[str, Any]", body), path.name))
    return sorted(found, key=lambda loss: (loss.until, loss.file))


def _loss(body: dict[str, Any], file: str) -> Loss:
    return Loss(
        _count(body["pid"]), _plain(body["began"]), _plain(body["until"]),
        {_plain(reason): _count(count) for reason, count in body["counts"].items()},
        {_plain(reason): [_plain(key) for key in keys] for reason, keys in body["runs"].items()},
        {_plain(key): _plain(reason) for key, reason in body["failed"].items()},
        file,
    )  # fmt: skip


def _count(value: Any) -> int:
    """Return a count. Raises `ValueError` for what is none."""
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise ValueError("not a count")
    return value


def _plain(text: Any) -> str:
    """Return text for a terminal, whoever wrote it."""
    return "".join(c if c.isprintable() else "?" for c in str(text)[:300])


def _prune(folder: Path) -> None:
    """Remove ledgers that are too old, and the oldest if there are too many."""
    dated: list[tuple[float, Path]] = []
    for path in _files(folder):
        with contextlib.suppress(OSError):
            dated.append((path.stat().st_mtime, path))
    dated.sort(reverse=True)
    old = time.time() - _KEPT_S
    for number, (at, path) in enumerate(dated):
        if number >= _FILES or at < old:
            path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    try:
        with folder_below(folder.parent, [folder.name]) as fd:
            names = sorted(name for name, kind in entries_of(fd) if not kind)
        return [folder / name for name in names if name.endswith(".json") and not name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError, PermissionError, NotRegular):
        return []


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
