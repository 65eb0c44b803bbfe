"""Copying bundles between stores. run.json is copied last, so an interrupted copy is unsealed and can be resumed.

No file at the destination is overwritten. A file that is there with the same bytes is not sent again; one with other
bytes is a clash, which is reported before anything is written. Each file is checked against run.json, so damage is not
copied. The table of the layout says which files are copied: a legal hold is, and a hold at the destination stays as it
is. Entries that are no files of a bundle are not copied.
"""

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Literal, cast

from runbundle.bundle.catalog.index import add_to_index
from runbundle.bundle.catalog.keys import list_keys
from runbundle.bundle.reader import MAX_INDEX_BYTES, index_bytes, misplaced, parse_index
from runbundle.errors import AlreadyExists, BundleError, ConfigError, KeyChanged, KeyNotFound, OddEntry
from runbundle.format.canonical import sha256_hex
from runbundle.format.layout import EARLIER, HOLD, REMOVING, RUN, file_at, revision_of
from runbundle.format.run import FileEntry, RunIndex
from runbundle.store import ArtifactStore
from runbundle.store.url import canonical_url

Outcome = Literal["copied", "present", "updated", "older", "unsealed", "clash", "damaged"]
Progress = Callable[[str, int, int], None]
"""A function that is called with a bundle's key, the number of bytes copied so far, and their total."""

_CHUNK = 1_048_576
_IN_MEMORY = 16 * 1024 * 1024  # a larger file waits on disk until its digest is known


@dataclass
class CopyResult:
    """The result of copying one bundle."""

    key: str
    """Key of the bundle."""
    outcome: Outcome
    """`copied`, `present` (everything was there already), `updated` (a newer revision replaced run.json), `older` (the
    destination has a newer revision), `unsealed` (at the source), `clash` (the destination has other bytes) or
    `damaged` (at the source). After the last three, sealed bundles at the destination are unchanged."""
    files: int = 0
    """Number of files that were sent."""
    bytes: int = 0
    """Number of bytes that were sent."""
    problems: list[str] = field(default_factory=list[str])
    """The files that clashed or are damaged, each with a reason."""
    left_out: list[str] = field(default_factory=list[str])
    """Entries of the bundle at the source that are no regular files, such as links. They are never copied."""


def copy(source: ArtifactStore, key: str, target: ArtifactStore, *, progress: Progress | None = None) -> CopyResult:
    """Copy one bundle to the same key of another store. Idempotent; faults of the bundle are results, not exceptions.

    A newer revision at the source replaces the run.json of the destination if it supersedes that. Raises
    `StoreUnavailable` if either store cannot be used; files that were copied until then are not sent again.
    """
    try:
        data = index_bytes(source, key)
    except OddEntry as error:
        return CopyResult(key, "damaged", problems=[error.message])
    except KeyNotFound:
        return CopyResult(key, "unsealed")
    try:
        index = parse_index(data)
    except BundleError as error:
        return CopyResult(key, "damaged", problems=[error.message])
    if why := misplaced(key, index):
        return CopyResult(key, "damaged", problems=[f"{RUN}: {why}"])
    result = CopyResult(key, "copied", left_out=[f"{p[len(key) + 1 :]} is {kind}" for p, kind in source.odd(f"{key}/")])
    old = _get(target, f"{key}/{RUN}")
    if old is not None and old != data:
        verdict = _succession(source, target, key, index, data, old)
        if verdict == "older":
            return _with_hold(source, target, key, CopyResult(key, "older"))
        if verdict == "clash":
            return CopyResult(key, "clash", problems=["run.json: another run is sealed under this id"])
        result.outcome = "updated"
    names, listed = _files(source, key, index)
    there = {name[len(key) + 1 :] for name in target.list(f"{key}/")}
    # What the same run.json commits to was checked when it was copied; nothing commits to the rest.
    later, earlier = _evaluations(source, target, key, [name for name in names if name in there])
    doubtful = [name for name in names if name in there and not (old == data and name in listed)
                and not _merged(name) and name not in later and name not in earlier]  # fmt: skip
    result.problems = [f"{name}: other bytes are there" for name in doubtful
                       if not _same(source, target, f"{key}/{name}", listed.get(name))]  # fmt: skip
    if result.problems:
        result.outcome = "clash"
        return _with_hold(source, target, key, result) if old == data else result
    _send(source, target, key, [name for name in names if name not in there], listed, result, progress)
    if result.problems:
        return result
    try:
        if old is None:
            target.put(f"{key}/{RUN}", data)
        elif old != data:
            target.replace(f"{key}/{RUN}", data, expected=old)
    except (AlreadyExists, KeyChanged):
        if _get(target, f"{key}/{RUN}") != data:
            result.outcome, result.problems = "clash", ["run.json: another writer was faster"]
            return result
    if any(map(_merged, names)) and not _stays(target, key, result):
        return result
    for name, there_now in later.items():
        try:
            target.replace(f"{key}/{name}", source.get(f"{key}/{name}"), expected=there_now)
        except (KeyChanged, KeyNotFound):
            result.outcome, result.problems = "clash", [f"{name}: another writer was faster"]
            return result
        result.files += 1
    if old == data and not result.files:
        result.outcome = "present"
    elif old != data:
        result.files, result.bytes = result.files + 1, result.bytes + len(data)
        add_to_index(target, key, data)
    return result


def require_apart(source: ArtifactStore, target: ArtifactStore) -> None:
    """Raise `ConfigError` if two stores are the same or one is within the other: a copy would be copied again."""
    here, there = canonical_url(source.url), canonical_url(target.url)
    if here == there == "memory://":
        return
    inner = [url.partition("?") for url in (here, there)]
    (one, _, at), (other, _, that) = inner
    one, other = one.rstrip("/") + "/", other.rstrip("/") + "/"
    if at == that and (one.startswith(other) or other.startswith(one)):
        how = "are the same" if one == other else "lie within each other"
        raise ConfigError(f"the source and the destination {how}", hint="name two stores that have nothing in common")


def _with_hold(source: ArtifactStore, target: ArtifactStore, key: str, result: CopyResult) -> CopyResult:
    """Copy the hold to a bundle that otherwise stays as it is."""
    data = _get(source, f"{key}/{HOLD}")
    if data is not None and not target.exists(f"{key}/{HOLD}"):
        with contextlib.suppress(AlreadyExists):
            target.put(f"{key}/{HOLD}", data)
            result.files, result.bytes = result.files + 1, result.bytes + len(data)
        _stays(target, key, result)
    return result


def _stays(target: ArtifactStore, key: str, result: CopyResult) -> bool:
    """Tell whether a hold that was just put there holds: no removal, which first leaves a mark, is at work."""
    if target.exists(f"{key}/{REMOVING}"):
        result.outcome = "clash"
        result.problems.append(f"{HOLD}: the bundle is being removed there")
        return False
    return True


def _evaluations(
    source: ArtifactStore, target: ArtifactStore, key: str, names: list[str]
) -> tuple[dict[str, bytes], set[str]]:
    """Return which files both sides have as other revisions of one another: those of which the source has the later
    one, with the bytes that are there, and those of which the destination has it.
    """
    later: dict[str, bytes] = {}
    earlier: set[str] = set()
    for name in names:
        kind = file_at(name)
        if kind is None or not kind.replaced:
            continue
        ours, theirs = _get(source, f"{key}/{name}"), _get(target, f"{key}/{name}")
        if ours is None or theirs is None or ours == theirs:
            continue
        if source.exists(f"{key}/{EARLIER}/{sha256_hex(theirs)}.json"):
            later[name] = theirs
        elif target.exists(f"{key}/{EARLIER}/{sha256_hex(ours)}.json"):
            earlier.add(name)
    return later, earlier


def _merged(name: str) -> bool:
    kind = file_at(name)
    return kind is not None and kind.merged


def copy_all(source: ArtifactStore, target: ArtifactStore, *, progress: Progress | None = None) -> Iterator[CopyResult]:
    """Copy every bundle of `source`, one after the other; yield each result."""
    for key in list_keys(source):
        yield copy(source, key, target, progress=progress)


def _send(
    source: ArtifactStore, target: ArtifactStore, key: str, names: list[str], listed: dict[str, FileEntry],
    result: CopyResult, progress: Progress | None,
) -> None:  # fmt: skip
    sizes = {name: listed[name].bytes if name in listed else source.size(f"{key}/{name}") for name in names}
    for name in names:
        file = _checked(source, key, name, listed.get(name))
        if file is None:
            result.outcome = "damaged"
            result.problems.append(f"{name}: is not what run.json says, or not there")
            return
        with file:
            done, total = result.bytes, sum(sizes.values())
            counted = (
                _Counted(file, lambda at, done=done, total=total: progress(key, done + at, total)) if progress else file
            )
            try:
                target.put(f"{key}/{name}", cast("BinaryIO", counted))
            except AlreadyExists:  # since we looked
                if not _merged(name) and not _same(source, target, f"{key}/{name}", listed.get(name)):
                    result.outcome = "clash"
                    result.problems.append(f"{name}: another writer was faster")
                    return
        result.files += 1
        result.bytes += sizes[name]


def _checked(source: ArtifactStore, key: str, name: str, entry: FileEntry | None) -> BinaryIO | None:
    """Return a copy of a file whose digest has been checked; None if it is not what its entry says."""
    held = cast("BinaryIO", SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115 - the caller closes it
    digest, size = hashlib.sha256(), 0
    try:
        with source.open(f"{key}/{name}") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                held.write(chunk)
    except KeyNotFound:
        size = -1
    if size >= 0 and (entry is None or (size, digest.hexdigest()) == (entry.bytes, entry.sha256)):
        held.seek(0)
        return held
    held.close()
    return None


def _files(source: ArtifactStore, key: str, index: RunIndex) -> tuple[list[str], dict[str, FileEntry]]:
    """Return the files to copy, and the entries of those that a run.json lists.

    Those are the files of this revision, those of earlier ones that are kept, and what lies beside and is copied by
    the table of the layout.
    """
    there = [name[len(key) + 1 :] for name in source.list(f"{key}/")]
    kinds = {name: file_at(name) for name in there}
    beside = [name for name, kind in kinds.items() if kind and kind.copied and kind.seal in ("outside", "chained")]
    listed = {entry.path: entry for entry in index.files}
    for name in beside:
        if revision_of(name) is not None:
            with contextlib.suppress(BundleError):
                for entry in parse_index(index_bytes(source, key, name)).files:
                    if entry.path in there:
                        listed.setdefault(entry.path, entry)
    return [*listed, *(name for name in beside if name not in listed)], listed


def _same(source: ArtifactStore, target: ArtifactStore, key: str, entry: FileEntry | None) -> bool:
    """Tell whether the destination's file is the source's: by the digest in run.json, else by its bytes."""
    if entry is not None and target.size(key) != entry.bytes:
        return False
    return _digest(target, key) == (entry.sha256 if entry is not None else _digest(source, key))


def _digest(store: ArtifactStore, key: str) -> str:
    digest = hashlib.sha256()
    with store.open(key) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _get(store: ArtifactStore, key: str) -> bytes | None:
    try:
        return store.get_range(key, 0, MAX_INDEX_BYTES + 1)
    except KeyNotFound:
        return None


def _succession(
    source: ArtifactStore, target: ArtifactStore, key: str, index: RunIndex, data: bytes, old: bytes
) -> Outcome:
    """Tell how the destination's run.json, which is another, relates to the source's."""
    try:
        there = parse_index(old)
    except BundleError:
        return "clash"
    if there.revision < index.revision and _came_after(source, key, index, there, old):
        return "updated"
    if there.revision > index.revision and _came_after(target, key, there, index, data):
        return "older"
    return "clash"


def _came_after(store: ArtifactStore, key: str, newer: RunIndex, older: RunIndex, data: bytes) -> bool:
    """Tell whether `newer` replaced `older`, whose bytes are `data`: it says so, or the store keeps them as its own."""
    digest = sha256_hex(data)
    if newer.supersedes == digest:
        return True
    kept = _get(store, f"{key}/revisions/{older.revision}/{RUN}")
    return kept is not None and sha256_hex(kept) == digest


class _Counted(io.RawIOBase):
    """A file that calls a function with its position after each read."""

    def __init__(self, file: BinaryIO, report: Callable[[int], None]) -> None:
        super().__init__()
        self._file, self._report = file, report

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: Any, /) -> int:
        chunk = self._file.read(len(buffer))
        buffer[: len(chunk)] = chunk
        self._report(self._file.tell())
        return len(chunk)
