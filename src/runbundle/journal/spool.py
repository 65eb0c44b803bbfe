"""The layout of the spool: the folder in which the journals of each run lie.

`<spool>/<run_id>/` holds the journals of a run without a tenant, `<spool>/@<tenant_id>/<run_id>/` those of a tenant's
run. No id begins with `@`, so the two cannot be confused. Names that begin with a dot are not runs. The quarantine and
the vault have the same layout.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from runbundle.format.identity import RunKey, well_formed
from runbundle.format.layout import QUARANTINE
from runbundle.journal.reader import journal_files
from runbundle.journal.writer import JournalWriter
from runbundle.store.regular import NotRegular, entries_of, folder_below

_TENANT = "@"


def folder_of(spool: Path, key: RunKey) -> Path:
    """Return the folder for the journals of a run, whether or not it exists."""
    return spool / f"{_TENANT}{key.tenant_id}" / key.run_id if key.tenant_id else spool / key.run_id


def spooled_runs(spool: Path) -> list[RunKey]:
    """Return the runs that have journals in the spool, sorted; [] if there is no spool."""
    return sorted(key for key in run_folders(spool) if journal_files(folder_of(spool, key)))


def run_folders(spool: Path) -> Iterator[RunKey]:
    """Yield the runs that have a folder in the spool, or in another folder of the same layout."""
    for name in _names(spool):
        if well_formed(name):
            yield RunKey("", name)
        elif name.startswith(_TENANT) and well_formed(name[1:]):
            for inner in _names(spool / name):
                if well_formed(inner):
                    yield RunKey(name[1:], inner)


def records_lost(spool: Path, run: RunKey, writer: JournalWriter, *, moved_too: bool) -> int | None:
    """Return how many records another process has removed from an open journal; None if it removed none.

    With `moved_too`, a journal that was moved away counts as removed, unless it was moved to the quarantine. Never
    raises `OSError`: a journal that cannot be examined gives None.
    """
    try:
        lost = writer.records_lost()
        if lost is None and moved_too and not writer.is_in_place() and not _is_set_aside(spool, run, writer.path.name):
            return writer.records
    except OSError:
        return None
    return lost


def _is_set_aside(spool: Path, run: RunKey, journal: str) -> bool:
    place = folder_of(spool / QUARANTINE, run)
    return any((folder / journal).exists() for folder in (place, *place.parent.glob(f"{place.name}.*")))


def written_bytes(spool: Path, writer_id: str) -> int:
    """Return the size of all journals of one writer together, in bytes.

    Journals sealed in the meantime are left out.
    """
    total = 0
    for key in run_folders(spool):
        # Another thread may seal the run and remove the journal in the meantime.
        with contextlib.suppress(OSError):
            total += sum(path.stat().st_size for path in folder_of(spool, key).glob(f"{writer_id}*.jsonl"))
    return total


def _names(folder: Path) -> list[str]:
    """Return the names of the folders within a folder. Only the spool itself may be a link."""
    try:
        with folder_below(folder.parent if folder.name.startswith(_TENANT) else folder,
                          [folder.name] if folder.name.startswith(_TENANT) else []) as fd:  # fmt: skip
            return [name for name, kind in entries_of(fd) if kind == "a folder"]
    except (FileNotFoundError, NotADirectoryError, NotRegular):
        return []
