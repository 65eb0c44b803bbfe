"""Sealing: an assembled bundle is written to a store, run.json last. The presence of run.json is the commit mark.

Records that arrive after a seal make a new revision. Its files are written under `revisions/<n>/`, the previous
run.json is copied to `revisions/<n-1>/run.json`, and run.json is replaced last, only if it is still the one from which
the revision was made. No sealed file is edited, so a reader always sees one whole revision.
"""

import contextlib
import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from runbundle.bundle.assembly.assemble import Assembled
from runbundle.bundle.assembly.parts import NewFile
from runbundle.bundle.reader import Bundle
from runbundle.errors import AlreadyExists, KeyChanged, KeyNotFound, StoreError, WriteConflict
from runbundle.format.canonical import sha256_hex
from runbundle.format.layout import REVISIONS, RUN, SEALED, earlier_run_path, file_at, name_of
from runbundle.store import ArtifactStore


class Sealed(NamedTuple):
    """A bundle that was written to a store."""

    key: str
    """Key of the bundle in the store."""
    run_json: bytes
    """Bytes of its run.json."""


def seal(store: ArtifactStore, bundle: Assembled, over: Bundle | None = None) -> Sealed:
    """Write a bundle to a store. `over` is the sealed revision from which the bundle was assembled, if there is one.

    Idempotent: if `over` has the same files already, the store does not change. Raises `WriteConflict` if another
    process has sealed this run in the meantime; then read its bundle and assemble again. Raises `StoreUnavailable` if
    the store cannot be written. After an error all sealed files are unchanged. Files of an interrupted seal are not
    overwritten, since that seal may still be at work elsewhere; they are removed after the first seal.
    """
    if over is None:
        return _first(store, bundle)
    index = over.index
    completeness = {**bundle.completeness, "late": index.completeness.late + bundle.completeness["late"]}
    if completeness["open_spans"] and index.completeness.grace_s is not None:
        completeness.setdefault("grace_s", index.completeness.grace_s)
    said: dict[str, Any] = {"completeness": completeness}
    if index.revision == 1:
        _tidy(store, over)
    same = {(name_of(e.path), e.sha256) for e in index.files} == {(file.name, file.sha256) for file in bundle.files}
    if same and completeness["dropped"].get("collided", 0) <= index.completeness.dropped.get("collided", 0):
        # The same records, of a seal that was cut off before their journals were removed.
        return Sealed(over.key, over.index_bytes)
    number = index.revision
    paths = _placed(store, over.key, bundle, f"{REVISIONS}/{number + 1}/", over)
    kept = f"{over.key}/{earlier_run_path(number)}"
    with contextlib.suppress(AlreadyExists):
        store.put(kept, over.index_bytes)
    said |= {"revision": number + 1, "supersedes": sha256_hex(over.index_bytes)}
    revised = bundle.index(paths, **said)
    try:
        store.replace(f"{over.key}/{RUN}", revised, expected=over.index_bytes)
    except (KeyChanged, KeyNotFound):
        raise _conflict(bundle) from None
    _tidy_revision(store, over.key, number + 1, set(paths.values()))
    return Sealed(over.key, revised)


def seal_all(store: ArtifactStore, bundles: Sequence[Assembled]) -> list[Sealed | StoreError]:
    """Write the first revisions of several bundles to a store, at once if it can; return what became of each.

    An `AlreadyExists` says that something lies in the place of a bundle, as after a seal that was cut off: seal that
    bundle by itself. After any other error too none of its own run.json is known to be there.
    """
    indexes = [bundle.index() for bundle in bundles]
    outcomes = store.commit(
        [
            {**{f"{bundle.key}/{file.name}": file.body for file in bundle.files}, f"{bundle.key}/{RUN}": index}
            for bundle, index in zip(bundles, indexes, strict=True)
        ]
    )
    return [
        outcome or Sealed(bundle.key, index) for bundle, index, outcome in zip(bundles, indexes, outcomes, strict=True)
    ]


def _first(store: ArtifactStore, bundle: Assembled) -> Sealed:
    if store.exists(f"{bundle.key}/{RUN}"):
        raise _conflict(bundle)
    names = {f"{bundle.key}/{file.name}": file.body for file in bundle.files}
    paths: dict[str, str] = {}
    try:
        store.put_all(names)
    except AlreadyExists:
        paths = _placed(store, bundle.key, bundle, "", None)
    index = bundle.index(paths)
    try:
        store.put(f"{bundle.key}/{RUN}", index)
    except AlreadyExists:
        raise _conflict(bundle) from None
    if paths:
        _tidy(store, Bundle.open(store, bundle.key))
    return Sealed(bundle.key, index)


def _placed(store: ArtifactStore, key: str, bundle: Assembled, folder: str, over: Bundle | None) -> dict[str, str]:
    """Store each file under a free name, unless the previous revision has it already; return the path of each."""
    before = {(name_of(e.path), e.sha256): e.path for e in over.index.files} if over else {}
    paths: dict[str, str] = {}
    for file in bundle.files:
        if (file.name, file.sha256) in before:
            paths[file.name] = before[file.name, file.sha256]
            continue
        # The second place is for a name that a seal has taken which was cut off, or is at work: its digest is its own.
        for path in (f"{folder}{file.name}", f"{folder or f'{REVISIONS}/1/'}{file.sha256[:16]}/{file.name}"):
            try:
                store.put(f"{key}/{path}", file.body)
            except AlreadyExists:
                if not _holds(store, f"{key}/{path}", file):
                    continue
            paths[file.name] = path
            break
        else:
            raise _conflict(bundle)
    return paths


def _holds(store: ArtifactStore, key: str, new: NewFile) -> bool:
    try:
        with store.open(key) as stored:
            return hashlib.file_digest(stored, "sha256").hexdigest() == new.sha256  # pyright: ignore[reportArgumentType]
    except KeyNotFound:
        return False


def _tidy(store: ArtifactStore, sealed: Bundle) -> None:
    """Remove files of an interrupted seal that are not part of the first revision; nobody can seal them any more."""
    listed = {entry.path for entry in sealed.index.files}
    for name in SEALED:
        if name not in listed and store.exists(f"{sealed.key}/{name}"):
            with contextlib.suppress(KeyNotFound):
                store.delete(f"{sealed.key}/{name}")


def _tidy_revision(store: ArtifactStore, key: str, number: int, listed: set[str]) -> None:
    """Remove files of a revision's folder that its run.json does not list: another seal was interrupted or late."""
    for path in list(store.list(f"{key}/{REVISIONS}/{number}/")):
        name = path[len(key) + 1 :]
        file = file_at(name)
        if name not in listed and file is not None and file.seal == "listed":
            with contextlib.suppress(KeyNotFound):
                store.delete(path)


def _conflict(bundle: Assembled) -> WriteConflict:
    return WriteConflict(
        f"run {bundle.run.path} was sealed by somebody else meanwhile",
        hint="its records stay in the spool; runbundle recover makes a new revision of them",
    )
