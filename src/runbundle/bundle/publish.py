"""From a run's journals to a published bundle: read, assemble, search, seal, and only then remove the journals."""

import contextlib
from pathlib import Path
from typing import NamedTuple

from runbundle.bundle.assemble import assemble
from runbundle.bundle.journal import Journal, free_files, journal_files, read_journal
from runbundle.bundle.seal import seal
from runbundle.bundle.timeline import root_of, spans_of
from runbundle.bundle.tripwire import quarantine, search
from runbundle.errors import RunbundleError
from runbundle.models.identity import valid_run_id
from runbundle.store import ArtifactStore


def publish(store: ArtifactStore, directory: Path) -> str | None:
    """Seal the run whose journals lie in `directory`, as far as no writer holds them; return its key.

    None if there is nothing to seal: another process has just done it. Raises `BundleQuarantined`, `WriteConflict`
    and `StoreUnavailable`; the journals are then still there, or aside.
    """
    with free_files(journal_files(directory)) as files:
        return _publish(store, directory, files, read_journal(files)) if files else None


def _publish(store: ArtifactStore, directory: Path, files: list[Path], journal: Journal) -> str:
    bundle = assemble(directory.name, journal)
    hits = search({**bundle.files, "run.json": bundle.index})
    if hits:
        raise quarantine(directory, hits)
    key = seal(store, bundle)
    for file in files:
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        directory.rmdir()
    return key


class Recovered(NamedTuple):
    """What became of one run in the spool."""

    run_id: str
    outcome: str
    """`recovered`, `alive`, `part`, `failed`, or `gone`: another process was faster."""
    key: str = ""
    """Where the bundle is, if it was recovered."""
    note: str = ""
    """Why not, otherwise."""


def spooled_runs(spool: Path) -> list[str]:
    """Return the ids of the runs that have journals in the spool, sorted."""
    if not spool.is_dir():
        return []
    return sorted(p.name for p in spool.iterdir() if p.is_dir() and valid_run_id(p.name) and journal_files(p))


def recover(store: ArtifactStore, spool: Path, run_id: str, *, parts: bool = False) -> Recovered:
    """Seal a run that its writers left behind: open spans become `interrupted`, a torn last line is counted.

    Safe while other runs are written and to call twice, or from two processes at once: a run of which a writer still
    holds a journal is `alive` and left alone, and of two that recover one run one is too late. A run that was begun
    elsewhere, of which only a `part` is here, is left to where it was begun unless `parts`: sealed here, it would
    take the place of the whole. Raises nothing but for a spool that cannot be read.
    """
    directory = spool / run_id
    with free_files(journal_files(directory)) as files:
        if not files:
            return Recovered(run_id, "alive" if journal_files(directory) else "gone")
        if set(files) != set(journal_files(directory)):
            return Recovered(run_id, "alive", note="a process is still writing it")
        try:
            journal = read_journal(files)
            if not parts and not _begun_here(run_id, journal):
                return Recovered(run_id, "part", note="it was begun elsewhere; its beginning is not in this spool")
            return Recovered(run_id, "recovered", _publish(store, directory, files, journal))
        except RunbundleError as error:
            return Recovered(run_id, "failed", note=str(error))


def _begun_here(run_id: str, journal: Journal) -> bool:
    root = root_of(run_id, spans_of(journal))
    return root is not None and (root.op == "run" or not root.record["parent_span_id"])
