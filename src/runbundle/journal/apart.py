"""Reads segments, and takes those apart whose process is dead: each run in them gets a journal of its own.

Nothing in a segment is believed but what its lines say with a right checksum. A line that is damaged is counted where
it is read again, with the run behind whose `run` line it lies. From there to the next `run` line only what names its
run itself is taken: the damaged line may have said that the next ones are another's.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runbundle.format.identity import RunKey
from runbundle.format.layout import SEGMENTS
from runbundle.journal.lines import parse_line, run_line
from runbundle.journal.locks import free_files, is_held
from runbundle.journal.reader import lines_of
from runbundle.journal.spool import folder_of
from runbundle.process.disk import make_folder, sync_folder, write_synced
from runbundle.store.regular import NotRegular, entries_of, folder_below, read_at, refuse_link

SUFFIX = ".lines"
"""How the names of segments end."""
_MOST_BYTES = 16_777_216
"""Of a segment; a recorder writes a third of that."""
_TORN = b"torn\n"
_TRIES = 10  # while others seal what is in the folder of a run, and remove it


def segments_in(spool: Path) -> list[Path]:
    """Return the segments in a spool, sorted."""
    try:
        with folder_below(spool, [SEGMENTS]) as fd:
            names = [name for name, kind in entries_of(fd) if name.endswith(SUFFIX) and not kind]
    except (FileNotFoundError, NotADirectoryError, NotRegular):
        return []
    return [spool / SEGMENTS / name for name in sorted(names)]


def runs_in(segment: Path) -> dict[RunKey, list[bytes]]:
    """Return the lines of each run in a segment that are not elsewhere. Raises `OSError`; none if it is gone."""
    found: dict[RunKey, list[bytes]] = {}
    whose: RunKey | None = None
    sure = True
    with contextlib.suppress(FileNotFoundError):
        if segment.stat().st_size > _MOST_BYTES:
            raise OSError(errno.EFBIG, f"{segment.name} is longer than a recorder writes segments")
        for line in lines_of(segment):
            entry = parse_line(line)
            kind = entry["k"] if entry is not None else ""
            if entry is not None and kind in ("run", "gone"):
                named = _named(entry)
                whose, sure = (named, True) if kind == "run" else (None, False)
                if kind == "gone" and named is not None:
                    found.pop(named, None)
                continue
            own = _named(entry) if entry is not None and kind in ("span", "log") else None
            sure = sure and entry is not None
            if own is not None and own == (whose if sure else own):
                found.setdefault(own, []).append(line)
            elif whose is not None:
                stays = sure and kind in ("start", "resource")
                found.setdefault(whose, []).append(line if stays else _TORN)
    return found


def is_in_segment(spool: Path, run: RunKey) -> bool:
    """Tell whether a segment in a spool has lines of a run that are not elsewhere. Never raises `OSError`."""
    here, gone = run_line("run", run), run_line("gone", run)
    for segment in segments_in(spool):
        with contextlib.suppress(OSError):
            data = read_at(segment, _MOST_BYTES)
            if data.rfind(here) > data.rfind(gone):
                return True
    return False


def take_apart(spool: Path) -> None:
    """Give each run in the segments of dead processes a journal of its own, on the disk, and remove the segments.

    Safe to repeat, and from two processes at once: cut off, it leaves the segment, and runs that have their journal
    already get the same again. Raises `OSError` if one of them cannot be taken apart, which is left as it is.
    """
    failed: OSError | None = None
    for segment in segments_in(spool):
        if is_held(segment):
            continue
        with free_files([segment]) as free:
            try:
                if free:
                    _take_apart(spool, segment)
            except OSError as error:
                failed = failed or error
    with contextlib.suppress(OSError):  # there are others
        (spool / SEGMENTS).rmdir()
    if failed is not None:
        raise failed


def runs_in_segments(spool: Path) -> Iterator[tuple[Path, bool, dict[RunKey, list[bytes]]]]:
    """Yield each segment, whether a process holds it, and its runs. One that cannot be read is left out."""
    for segment in segments_in(spool):
        held = is_held(segment)
        with contextlib.suppress(OSError):
            yield segment, held, runs_in(segment)


def _take_apart(spool: Path, segment: Path) -> None:
    written_ns = segment.stat().st_mtime_ns
    scratch = segment.with_suffix(".new")
    for run, lines in runs_in(segment).items():
        scratch.unlink(missing_ok=True)  # of one that was cut off
        write_synced(scratch, lines)
        os.utime(scratch, ns=(written_ns, written_ns))  # since when nothing was written to it
        _move(scratch, folder_of(spool, run), f"{segment.stem}.jsonl")
    segment.unlink(missing_ok=True)


def _move(scratch: Path, folder: Path, name: str) -> None:
    for _ in range(_TRIES):
        make_folder(folder)
        refuse_link(folder)
        if folder.parent.name.startswith("@"):  # that of the tenant; the spool, which the user names, may be a link
            refuse_link(folder.parent)
        try:
            scratch.replace(folder / name)
        except FileNotFoundError:
            continue  # the folder was removed with the last journal in it
        with contextlib.suppress(FileNotFoundError):  # sealed already
            sync_folder(folder)
        sync_folder(folder.parent)
        return
    raise OSError(errno.EBUSY, f"{folder.name} is removed again and again")


def _named(entry: dict[str, Any]) -> RunKey | None:
    """Return the run that a line names; None if that is no name of a run."""
    run_id, tenant_id = entry.get("run_id"), entry.get("tenant_id")
    if type(run_id) is not str or type(tenant_id) is not str:
        return None
    key = RunKey(tenant_id, run_id)
    return key if key.valid else None
