"""What lies in the spool and is no bundle yet: each run with its state, and since when it is in it.

Found without reading whole journals: by who holds them, by their first and last lines, by the times of the files, and
by what the ledger of losses says. Nothing is written, and nothing waited for.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import orjson

from runbundle.bundle.journal import is_held, journal_files
from runbundle.bundle.losses import read_losses
from runbundle.bundle.mapped import end_of_lines
from runbundle.bundle.spool import QUARANTINE, folder_of, spooled_runs
from runbundle.codec.journal_lines import parse_line
from runbundle.models.identity import RunKey

State = Literal["live", "waiting", "crashed", "quarantined", "failed"]
STATES: tuple[State, ...] = get_args(State)
_LOOK_BYTES = 65_536  # at either end of a journal
_JOURNALS_LOOKED_INTO = 64


class Unsealed(NamedTuple):
    """One run that is in the spool."""

    key: RunKey
    state: State
    """`live`: a process writes it. `waiting`: for its seal, or for its beginning. `crashed`: its process died in the
    middle. `quarantined`: a credential was found in it. `failed`: it could not be sealed, and who tried gave up."""
    since_ns: int
    """Since when: for a live one when it began, else when something was last written to it."""
    started_ns: int | None = None
    """When the run began, if its beginning is here."""
    name: str = ""
    """The run's name, if its beginning is here."""
    part: bool = False
    """Whether its beginning is elsewhere: it waits for that, not for a seal."""
    note: str = ""
    """Why it was given up."""
    folder: Path = Path()
    """Where its records are."""


class _Seen(NamedTuple):
    started_ns: int | None
    name: str
    ended: bool


def unsealed_runs(spool: Path) -> Iterator[Unsealed]:
    """Yield what is in the spool, what was written to last first, and then what is in its quarantine."""
    failed = {key: reason for loss in read_losses(spool) for key, reason in loss.failed.items()}
    keys = [(_touched_ns(folder_of(spool, key)), key) for key in spooled_runs(spool)]
    for _, key in sorted(keys, reverse=True):
        found = _in_spool(spool, key, failed.get(key.path, ""))
        if found is not None:
            yield found
    yield from quarantined_runs(spool)


def unsealed_run(spool: Path, key: RunKey) -> Unsealed | None:
    """Return the state of one run in the spool; None if it is not there."""
    failed = {path: reason for loss in read_losses(spool) for path, reason in loss.failed.items()}
    return _in_spool(spool, key, failed.get(key.path, ""))


def quarantined_runs(spool: Path) -> Iterator[Unsealed]:
    """Yield what was set aside because a credential was found in it, the latest first."""
    aside = spool / QUARANTINE
    found: list[tuple[int, RunKey, Path]] = []
    for key in spooled_runs(aside):
        folder = folder_of(aside, key)
        reason = folder / "reason.json"
        at = _touched_ns(reason if reason.exists() else folder)
        found.append((at, _true_key(reason, key), folder))
    for at, key, folder in sorted(found, reverse=True):
        yield Unsealed(key, "quarantined", at, note="a credential was found in it", folder=folder)


def ends(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return entries of the beginning and of the end of a journal, which may be the same; none if it is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return [], []
    try:
        end, _ = end_of_lines(fd, os.fstat(fd).st_size)
        head = os.pread(fd, min(end, _LOOK_BYTES), 0)
        if end <= _LOOK_BYTES:
            entries = _entries(head)
            return entries, entries
        return _entries(head), _entries(os.pread(fd, _LOOK_BYTES, end - _LOOK_BYTES))
    except OSError:
        return [], []
    finally:
        os.close(fd)


def touched_ns(paths: list[Path]) -> int:
    """Return when one of the files was last written to; 0 if none is there."""
    return max(map(_touched_ns, paths), default=0)


def _in_spool(spool: Path, key: RunKey, failed: str) -> Unsealed | None:
    folder = folder_of(spool, key)
    journals = journal_files(folder)
    if not journals:
        return None
    sealing = is_held(folder)
    live = not sealing and any(map(is_held, journals))
    seen = _look(journals)
    at = touched_ns(journals) or _touched_ns(folder)
    state: State = "waiting"
    if live:
        state, at = "live", seen.started_ns or at
    elif failed:
        state = "failed"
    elif not sealing and seen.started_ns is not None and not seen.ended:
        state = "crashed"
    part = state == "waiting" and seen.started_ns is None and not sealing
    return Unsealed(key, state, at, seen.started_ns, seen.name, part, failed if state == "failed" else "", folder)


def _look(journals: list[Path]) -> _Seen:
    """Look for the span that is the run: at its start, and at its end."""
    started: int | None = None
    name, ended = "", False
    for path in journals[:_JOURNALS_LOOKED_INTO]:
        first, last = ends(path)
        for entry in first:
            if _begins(entry) and started is None:
                started, name = int(entry["start_ns"]), str(entry.get("name", ""))
        for entry in reversed(last):
            if entry["k"] == "span" and _begins(entry):
                ended = True
                started = int(entry["start_ns"]) if started is None else started
                name = name or str(entry.get("name", ""))
                break
    return _Seen(started, name, ended)


def _begins(entry: dict[str, Any]) -> bool:
    attributes = entry.get("attributes")
    said: dict[str, Any] = attributes if isinstance(attributes, dict) else {}  # pyright: ignore[reportUnknownVariableType]
    return (
        isinstance(entry.get("start_ns"), int)
        and entry["k"] in ("start", "span")
        and (entry.get("is_run") is True or said.get("runbundle.op") == "run" or said.get("runbundle.implicit") is True)
    )


def _entries(piece: bytes) -> list[dict[str, Any]]:
    return [entry for line in piece.split(b"\n") if line and (entry := parse_line(line)) is not None]


def _true_key(reason: Path, key: RunKey) -> RunKey:
    """Return whose run it is: of several set aside, the folders of the later ones have a number behind."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        said = orjson.loads(reason.read_bytes())
        return RunKey(str(said.get("tenant_id") or ""), str(said["run_id"]))
    return key


def _touched_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
