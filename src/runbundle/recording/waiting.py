"""What lies in the spool and is no bundle yet: each run with its state, and since when it is in it.

Found without reading whole journals: by who holds them, by their first and last lines, by the times of the files, and
by what the ledger of losses says. Nothing is written, and nothing waited for.
"""

import contextlib
import os
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import orjson

from runbundle.format.identity import RunKey
from runbundle.format.layout import QUARANTINE
from runbundle.journal.apart import runs_in_segments
from runbundle.journal.entries import is_time
from runbundle.journal.lines import parse_line
from runbundle.journal.locks import is_held
from runbundle.journal.mapped import end_of_lines
from runbundle.journal.reader import JournalReader, journal_files
from runbundle.journal.spool import folder_of, spooled_runs
from runbundle.recording.losses import read_losses
from runbundle.signals import own
from runbundle.store.regular import descriptor_at, read_at

State = Literal["live", "waiting", "crashed", "quarantined", "failed"]
STATES: tuple[State, ...] = get_args(State)
_LOOK_BYTES = 65_536  # at either end of a journal
_JOURNALS_LOOKED_INTO = 64
_MOST_REASON_BYTES = 1_048_576


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
    lines: bytes = b""
    """Records that are not there but in a segment."""
    segment: Path = Path()
    """The segment, if there are such."""


class Contents(NamedTuple):
    """What is recorded of a run so far."""

    spans: int
    """Spans that have ended."""
    logs: int
    """Log records."""
    open: list[str]
    """Spans that were seen to start and not to end: what each is, as far as it may be said."""
    torn: int
    """Lines that cannot be read."""


class _Seen(NamedTuple):
    started_ns: int | None
    name: str
    ended: bool


def unsealed_runs(spool: Path) -> Iterator[Unsealed]:
    """Yield what is in the spool, what was written to last first, and then what is in its quarantine.

    Those that are in segments are among them, where they were written to last.
    """
    failed = {key: reason for loss in read_losses(spool) for key, reason in loss.failed.items()}
    keys = [(_touched_ns(folder_of(spool, key)), key) for key in spooled_runs(spool)]
    in_segments = _in_segments(spool, {key for _, key in keys})
    for _, key in sorted([*keys, *((run.since_ns, key) for key, run in in_segments.items())], reverse=True):
        found = in_segments.get(key) or _in_spool(spool, key, failed.get(key.path, ""))
        if found is not None:
            yield found
    yield from quarantined_runs(spool)


def unsealed_named(spool: Path, name: str) -> list[Unsealed]:
    """Return the runs in the spool that `name` may mean: a key, else an id, else the beginning of one."""
    keys = spooled_runs(spool)
    in_segments = _in_segments(spool, set(keys))
    failed = {key: reason for loss in read_losses(spool) for key, reason in loss.failed.items()}
    aside = list(quarantined_runs(spool))
    tests: list[Callable[[RunKey], bool]] = [
        lambda key: key.path == name, lambda key: key.run_id == name, lambda key: key.run_id.startswith(name)
    ]  # fmt: skip
    for fits in tests:
        found = [_in_spool(spool, key, failed.get(key.path, "")) for key in keys if fits(key)]
        found += [run for key, run in in_segments.items() if fits(key)]
        named = [run for run in found if run is not None] + [run for run in aside if fits(run.key)]
        if named:
            return named
    return []


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


def contents(run: Unsealed) -> Contents:
    """Read all journals of a run."""
    journals = journal_files(run.folder)
    reader = JournalReader(journals, live=[path for path in journals if is_held(path)], lines=run.lines)
    begun: dict[str, str] = {}
    ended: set[str] = set()
    logs = 0
    for entry in reader:
        span = f"{entry.get('trace_id')}{entry.get('span_id')}"
        if entry["k"] == "log":
            logs += 1
        elif entry["k"] == "span":
            ended.add(span)
        elif entry["k"] == "start":
            begun[span] = str(entry.get("label") or entry.get("name") or entry.get("span_id"))
    return Contents(len(ended), logs, [label for span, label in begun.items() if span not in ended], reader.torn)


def ends(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return entries of the beginning and of the end of a journal, which may be the same; none if it is gone."""
    try:
        fd = descriptor_at(path)
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


def _in_segments(spool: Path, but: Container[RunKey]) -> dict[RunKey, Unsealed]:
    """Return the runs in segments, without those that have journals too: there they are looked for."""
    found: dict[RunKey, Unsealed] = {}
    for path, held, runs in runs_in_segments(spool):
        at = _touched_ns(path)
        for key, lines in runs.items():
            if key in but:
                continue
            entries = [entry for line in lines if (entry := parse_line(line)) is not None]
            seen = _seen([(entries, entries)])
            state: State = "waiting" if seen.ended else "live" if held else "crashed"
            since = seen.started_ns or at if state == "live" else at
            found[key] = Unsealed(
                key, state, since, seen.started_ns, seen.name, folder=folder_of(spool, key), lines=b"".join(lines),
                segment=path,
            )  # fmt: skip
    return found


def _look(journals: list[Path]) -> _Seen:
    return _seen(map(ends, journals[:_JOURNALS_LOOKED_INTO]))


def _seen(ends_of_journals: Iterable[tuple[list[dict[str, Any]], list[dict[str, Any]]]]) -> _Seen:
    """Look for the span that is the run: at its start, and at its end."""
    started: int | None = None
    name, ended = "", False
    for first, last in ends_of_journals:
        for entry in first:
            if _begins(entry) and started is None:
                started, name = int(entry["start_ns"]), _name(entry)
        for entry in reversed(last):
            if entry["k"] == "span" and _begins(entry):
                ended = True
                started = int(entry["start_ns"]) if started is None else started
                name = name or _name(entry)
                break
    return _Seen(started, name, ended)


def _name(entry: dict[str, Any]) -> str:
    """Return the name of a run whose span this is: the one it was given, else that of its span."""
    attributes = entry.get("attributes")
    said: Any = attributes.get(own.NAME) if isinstance(attributes, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return said if isinstance(said, str) and said else str(entry.get("name", ""))


def _begins(entry: dict[str, Any]) -> bool:
    attributes = entry.get("attributes")
    said: dict[str, Any] = attributes if isinstance(attributes, dict) else {}  # pyright: ignore[reportUnknownVariableType]
    return (
        is_time(entry.get("start_ns"))
        and entry["k"] in ("start", "span")
        and (entry.get("is_run") is True or said.get(own.OP) == "run" or said.get(own.IMPLICIT) is True)
    )


def _entries(piece: bytes) -> list[dict[str, Any]]:
    return [entry for line in piece.split(b"\n") if line and (entry := parse_line(line)) is not None]


def _true_key(reason: Path, key: RunKey) -> RunKey:
    """Return whose run it is: of several set aside, the folders of the later ones have a number behind."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        said = orjson.loads(read_at(reason, _MOST_REASON_BYTES))
        named = RunKey(str(said.get("tenant_id") or ""), str(said["run_id"]))
        return named if named.valid else key
    return key


def _touched_ns(path: Path) -> int:
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0
