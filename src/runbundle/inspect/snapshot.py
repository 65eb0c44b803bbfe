"""A run that is not sealed, as a bundle in memory: what a seal would write if it were now.

The journals are only read: nothing is waited for, written or removed, and the process that writes them does not notice.
Each line is redacted again, and the result is searched for credentials, as before a seal. A run in the quarantine is
not read at all.
"""

import contextlib
import tempfile
from collections import Counter
from pathlib import Path

from runbundle.bundle.assembly.assemble import Assembled, assemble
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.bundle.reader import Bundle
from runbundle.errors import NotSealed, StoreUnavailable
from runbundle.format.layout import RUN
from runbundle.journal.locks import is_held
from runbundle.journal.reader import JournalReader, journal_files
from runbundle.recording.masking import masked_entries
from runbundle.recording.tripwire import search_bundle
from runbundle.recording.waiting import Unsealed
from runbundle.store.memory import MemoryStore

MOST_BYTES = 268_435_456
"""Limit for the journals of a run that is read so: its files are held in memory."""


def snapshot(run: Unsealed) -> Bundle:
    """Return what the journals of a run hold now, as a bundle.

    A span that has not ended has an end in it that says `interrupted`, as if its process had died now. Digests in its
    run.json are those of these files, and prove nothing. Raises `NotSealed` for a run in the quarantine and for one of
    which nothing is recorded, and `StoreUnavailable` for one that is too long.
    """
    if run.state == "quarantined":
        raise NotSealed(
            "the run is in quarantine, since a credential was found in it, and is not read",
            hint="runbundle explain RB407 says what to do",
        )
    journals = journal_files(run.folder)
    if sum(_size(path) for path in journals) > MOST_BYTES:
        raise StoreUnavailable(
            f"a run that is not sealed is read up to {MOST_BYTES >> 20} MiB", hint="runbundle tail prints its events"
        )
    hits: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="runbundle-") as scratch:
        made = _assembled(run, journals, Path(scratch), None)
        with contextlib.closing(made):
            if not search_bundle(made):
                return _in_memory(made)
        with contextlib.closing(_assembled(run, journals, Path(scratch), hits)) as made:
            if search_bundle(made):
                raise NotSealed("a credential was found in what names this run, so it is not shown")
            return _in_memory(made)


def _assembled(run: Unsealed, journals: list[Path], scratch: Path, hits: Counter[str] | None) -> Assembled:
    live = [path for path in journals if is_held(path)]
    with contextlib.closing(GatheredRun(run.key, scratch)) as gathered:
        reader = JournalReader(journals, live=live, own="", lines=run.lines)
        gathered.add(reader if hits is None else masked_entries(reader, hits))
        if not gathered.anything:
            raise NotSealed("nothing is recorded of this run yet")
        return assemble(gathered, torn=reader.torn, sdk_versions=frozenset(reader.sdk_versions))


def _in_memory(made: Assembled) -> Bundle:
    store = MemoryStore()
    for file in made.files:
        store.put(f"{made.key}/{file.name}", b"".join(file.pieces()))
    store.put(f"{made.key}/{RUN}", made.index())
    return Bundle.open(store, made.key)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # sealed meanwhile
        return 0
