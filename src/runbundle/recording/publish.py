"""From a run's journals to a published bundle: gather, assemble, search, seal, and only then remove the journals."""

import contextlib
import errno
import os
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from runbundle.bundle.assembly.assemble import Assembled, assemble
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.bundle.assembly.natively import assembled_natively
from runbundle.bundle.assembly.reread import entries_of_bundle
from runbundle.bundle.catalog.index import NewBundle, add_all_to_index, add_to_index
from runbundle.bundle.reader import Bundle
from runbundle.bundle.seal import Sealed, seal, seal_all
from runbundle.errors import NotSealed, RunbundleError, StoreUnavailable, WriteConflict
from runbundle.format.identity import RunKey
from runbundle.format.layout import RUN
from runbundle.journal.locks import free_files, sole_sealer
from runbundle.journal.mapped import cut_zeros
from runbundle.journal.reader import JournalReader, journal_files
from runbundle.journal.spool import folder_of
from runbundle.recording.masking import masked_entries
from runbundle.recording.results import MOST_TOGETHER, BegunElsewhere, Published, StillWritten, Wanted
from runbundle.recording.tripwire import quarantine, search_bundle, state_masked
from runbundle.store import ArtifactStore
from runbundle.store.regular import descriptor_at

_ATTEMPTS = 5  # of a seal that others on other machines are faster with
_BATCH_S = 0.1  # for which the first of a batch waits for the others to be assembled
_BATCH_BYTES = 16_777_216
_SHORT_BYTES = 1_048_576  # of journals; a longer run would keep the others waiting, and gains nothing


class _Source(NamedTuple):
    """The journals of a run, and how its bundle is made of them."""

    store: ArtifactStore
    spool: Path
    run: RunKey
    every: list[Path]
    live: set[Path]
    parts: bool
    grace_s: float | None
    own: str
    lines: bytes = b""
    """Lines of a segment of this process."""


class _Ready(NamedTuple):
    """A run that is locked, assembled and searched. One whose lines are in a segment has no journals."""

    run: RunKey
    bundle: Assembled
    directory: Path
    free: list[Path]


def publish(
    store: ArtifactStore,
    spool: Path,
    run: RunKey,
    *,
    wait: bool = False,
    parts: bool = True,
    grace_s: float | None = None,
    own: str = "",
) -> Published | None:
    """Seal a run whose journals lie in `spool`, or make a new revision of its bundle; return where that is.

    None if nothing is there. Journals that a process still holds are read as far as they go and stay; with `wait`,
    they are a `StillWritten` instead. Without `parts` a run of which only a part is here, or that is still written
    elsewhere, and of which no bundle is sealed, raises `BegunElsewhere`: sealed by itself a part would take the place
    of the whole. `grace_s`, if spans are still open: how long was waited for them. Of journals whose names do not begin
    with `own`, which says that this process wrote them, each line is redacted again. Raises `BundleQuarantined`,
    `WriteConflict` and `StoreUnavailable` too; the journals are then still there, or aside.
    """
    directory = folder_of(spool, run)
    try:
        return _publish_alone(store, spool, run, directory, wait=wait, parts=parts, grace_s=grace_s, own=own)
    except OSError as error:  # also one that passes: no descriptors or locks are left, a server's file is stale
        raise StoreUnavailable(
            f"cannot work in {spool}: {error.strerror or error}",
            hint="free some space and try again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "",
        ) from error


def _publish_alone(
    store: ArtifactStore,
    spool: Path,
    run: RunKey,
    directory: Path,
    *,
    wait: bool,
    parts: bool,
    grace_s: float | None,
    own: str,
) -> Published | None:
    with contextlib.ExitStack() as held:
        every = journal_files(directory) if held.enter_context(sole_sealer(directory)) else []
        free = held.enter_context(free_files(every))
        live = set(every) - set(free)
        if live and (wait or not free):
            raise StillWritten(f"a process is still writing {run.path}")
        if not free:
            return None
        if live and not parts and not store.exists(f"{run.path}/{RUN}"):
            raise BegunElsewhere("it is written elsewhere, and not sealed yet")  # before all of it is read
        source = _Source(store, spool, run, every, live, parts, grace_s, own)
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                with contextlib.suppress(*([WriteConflict] if attempt < _ATTEMPTS else [])):
                    published = _publish(source)
                    _remove(directory, free)
                    return published
        except StoreUnavailable:
            _trim(free)
            raise
    return None


def publish_together(
    store: ArtifactStore, spool: Path, wanted: Sequence[Wanted], *, own: str
) -> dict[RunKey, Published | StoreUnavailable]:
    """Seal several short runs of which no bundle is sealed yet; return where those are that are in the store now.

    Up to `MOST_TOGETHER` are gathered, assembled and searched, then all are written, with one sync for all where the
    store can do that, then noted in the index, and only then the journals of each are removed. None waits for the
    others for more than about 0.1 s and the writing. `own` as for `publish`.

    A run that is not in the answer is to be published by itself: it is long, somebody else is at work on it or has
    sealed it, a credential was found in it, or something is wrong with it, which `publish` then says. A
    `StoreUnavailable` in the answer stands for a run that would get the same again. Never raises.
    """
    done: dict[RunKey, Published | StoreUnavailable] = {}
    left = deque(wanted)
    while left:
        with contextlib.ExitStack() as held:
            ready: list[_Ready] = []
            room_bytes, until = _BATCH_BYTES, time.monotonic() + _BATCH_S
            while left and room_bytes > 0 and len(ready) < MOST_TOGETHER and time.monotonic() < until:
                one = _made_ready(store, spool, left.popleft(), own, held)
                if one is not None:
                    ready.append(one)
                    room_bytes -= sum(file.size for file in one.bundle.files)
            with contextlib.suppress(Exception):  # what a store raises that it must not, publish() will say
                done |= _seal_ready(store, ready)
    return done


def _made_ready(
    store: ArtifactStore, spool: Path, wanted: Wanted, own: str, held: contextlib.ExitStack
) -> _Ready | None:
    """Lock, gather, assemble and search a run; `held` takes its locks and files. None: it is to be published alone."""
    directory = folder_of(spool, wanted.run)
    with contextlib.ExitStack() as mine:
        try:
            of_run = _in_segment if wanted.lines is not None else _in_journals
            found = of_run(store, spool, wanted, own, directory, mine)
            if found is None:
                return None
            source, free = found
            made = _assembled(source)
            if made is None:
                return None
            bundle, over = made
            mine.callback(bundle.close)
            if over is not None or search_bundle(bundle):
                return None
        except Exception:  # noqa: BLE001 - whatever it is, it costs the others nothing
            return None
        held.enter_context(mine.pop_all())
        return _Ready(wanted.run, bundle, directory, free)


def _in_journals(
    store: ArtifactStore, spool: Path, wanted: Wanted, own: str, directory: Path, held: contextlib.ExitStack
) -> tuple[_Source, list[Path]] | None:
    """Lock the folder and the journals of a short run; return them, and which are free. None if that cannot be."""
    # Not waited for: two processes that held one run each and waited for the other's would wait for ever.
    if not held.enter_context(sole_sealer(directory, wait=False)):
        return None
    every = journal_files(directory)
    if sum(path.stat().st_size for path in every) > _SHORT_BYTES:
        return None
    free = held.enter_context(free_files(every))
    live = set(every) - set(free)
    if not free or (live and wanted.wait):
        return None
    return _Source(store, spool, wanted.run, every, live, True, wanted.grace_s, own), free


def _in_segment(
    store: ArtifactStore, spool: Path, wanted: Wanted, own: str, directory: Path, _: contextlib.ExitStack
) -> tuple[_Source, list[Path]] | None:
    """Read the lines of a run in a segment. None if some are missing, or the run has journals too, of whomever."""
    lines = wanted.lines.lines() if wanted.lines is not None and not os.path.lexists(directory) else None
    if lines is None:
        return None
    return _Source(store, spool, wanted.run, [], set(), True, wanted.grace_s, own, lines), []


def _seal_ready(store: ArtifactStore, ready: Sequence[_Ready]) -> dict[RunKey, Published | StoreUnavailable]:
    outcomes = seal_all(store, [one.bundle for one in ready])
    sealed = [(one, it) for one, it in zip(ready, outcomes, strict=True) if isinstance(it, Sealed)]
    add_all_to_index(
        store,
        [
            NewBundle(it.key, it.run_json, {file.name: file.body for file in one.bundle.files}, one.bundle.facts)
            for one, it in sealed
        ],
    )
    done: dict[RunKey, Published | StoreUnavailable] = {
        one.run: it for one, it in zip(ready, outcomes, strict=True) if isinstance(it, StoreUnavailable)
    }
    for one, it in zip(ready, outcomes, strict=True):
        if isinstance(it, StoreUnavailable):
            _trim(one.free)
    for one, it in sealed:
        with contextlib.suppress(OSError):  # publish() tries again, and says why not
            if one.free:
                _remove(one.directory, one.free)
            done[one.run] = Published(it.key, one.bundle.collided)
    return done


def _publish(source: _Source, hits: Counter[str] | None = None) -> Published | None:
    """Seal, or seal again. `hits`: mask credentials in the records, and count them there; None: there are none yet."""
    made = _assembled(source, hits)
    if made is None:
        return None  # their writers died before the first whole line
    bundle, over = made
    with contextlib.closing(bundle):
        found = search_bundle(bundle)
        if found and hits is None:  # once more, of masked records
            return _publish(source, Counter[str]())
        # A known secret that is left is a word or an id of the format: anybody can make one that equals it.
        left = [hit for hit in found if hit.rule != "known-secret"]
        if left:
            raise quarantine(source.spool, source.run, left)
        state_masked(bundle, hits or Counter(), over.index.redaction.masked if over else None)
        sealed = seal(source.store, bundle, over)
        files = {file.name: file.body for file in bundle.files}
        add_to_index(source.store, sealed.key, sealed.run_json, files, bundle.facts)
        return Published(sealed.key, bundle.collided, hits.total() if hits else 0)


def _assembled(source: _Source, hits: Counter[str] | None = None) -> tuple[Assembled, Bundle | None] | None:
    """Gather and assemble; return the bundle, which the caller closes, and the one sealed before; None for no records.

    Raises `BegunElsewhere`, and `RunbundleError` if nothing in the journals is a record.
    """
    store, spool = source.store, source.spool
    if hits is None:
        made = assembled_natively(
            source.every, source.run, spool, lines=source.lines, own=source.own, grace_s=source.grace_s,
            if_new=lambda run, begins: (source.parts or begins) and not store.exists(f"{run.path}/{RUN}"),
        )  # fmt: skip
        if made is not None:
            return made, None
    with contextlib.closing(GatheredRun(source.run, spool)) as gathered:
        journals = JournalReader(source.every, live=source.live, own=source.own, lines=source.lines)
        gathered.add(journals if hits is None else masked_entries(journals, hits))
        if not gathered.anything:
            if gathered.malformed:
                raise RunbundleError(
                    f"its journals hold {gathered.malformed} lines that no recorder writes, and no others"
                )
            return None
        over = _sealed(store, gathered.key)
        torn, sdk_versions = journals.torn, set(journals.sdk_versions)
        if over is not None:
            before = entries_of_bundle(over, spool)
            gathered.add(before if hits is None else masked_entries(before, hits), sealed=True)
            torn += over.index.completeness.dropped.get("torn_lines", 0)
            gathered.collided += over.index.completeness.dropped.get("collided", 0)
            gathered.malformed += over.index.completeness.dropped.get("malformed_records", 0)
            if over.index.versions.otel_sdk:
                sdk_versions.add(over.index.versions.otel_sdk)
        elif not source.parts and not gathered.begins:
            raise BegunElsewhere("it was begun elsewhere; its beginning is not in this spool")
        return assemble(gathered, torn=torn, sdk_versions=frozenset(sdk_versions), grace_s=source.grace_s), over


def is_sealed(store: ArtifactStore, run: RunKey, trace_id: str) -> bool:
    """Tell whether somebody has sealed a run, with that trace in it. Raises `StoreUnavailable`."""
    places = [run.path] if run.tenant_id else [run.path, *(f"{t}/{run.run_id}" for t in store.list_dirs())]
    for place in places:
        if store.exists(f"{place}/{RUN}"):
            sealed = Bundle.open(store, place).index
            if not trace_id or trace_id in sealed.trace_ids:
                return True
    return False


def _sealed(store: ArtifactStore, run: RunKey) -> Bundle | None:
    with contextlib.suppress(NotSealed):
        return Bundle.open(store, run.path)
    return None


def _remove(directory: Path, files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # a process is still writing there
        directory.rmdir()


def _trim(files: list[Path]) -> None:
    """Cut journals that have to wait to their lines: many may wait while a store is away."""
    for file in files:
        with contextlib.suppress(OSError), open(descriptor_at(file, flags=os.O_RDWR), "rb") as held:
            cut_zeros(held.fileno())
