"""Baselines: named sets of runs that candidates are compared with, beside the bundles of a store.

`.baselines/<name>/<n>.json` is the n-th entry of a baseline. Entries are create-only and name each run by the SHA-256
of its run.json. `.baselines/<name>/gates/<sha256>.json` is a gate over several runs that was made against it. The runs
of an entry are put on hold, so that `gc` keeps them.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice, pairwise
from typing import Any, NamedTuple

from runbundle.bundle.custody.holds import hold
from runbundle.bundle.evaluations import evaluations_of, is_intact, stamped
from runbundle.bundle.reader import Bundle, index_bytes, parse_model, whole_file
from runbundle.errors import AlreadyExists, ConfigError, KeyNotFound, MalformedBundle, StoreUnavailable, WriteConflict
from runbundle.format.canonical import SELF, sha256_hex, with_self_digest
from runbundle.format.evaluation import Baseline, BaselineRef, Gate, Scorecard, Subject
from runbundle.format.identity import RunKey
from runbundle.format.layout import BASELINES
from runbundle.store import ArtifactStore

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST_READ = 500
_ENTRY = re.compile(r"([1-9][0-9]{0,8})\.json")


class Kept(NamedTuple):
    """An entry of a baseline, as it is stored."""

    entry: Baseline
    sha256: str
    """SHA-256 of its bytes."""

    @property
    def ref(self) -> BaselineRef:
        """The entry as a gate names it."""
        return BaselineRef(name=self.entry.name, number=self.entry.number, sha256=self.sha256)


def place_of(store: ArtifactStore) -> ArtifactStore:
    """Return the store in which the baselines of `store` are. Raises `StoreUnavailable` if there can be none."""
    place = store.beside(BASELINES)
    if place is None:
        raise StoreUnavailable(f"{store.url} has no place for baselines", hint="keep them in a folder or object store")
    return place


def checked_name(name: str) -> str:
    """Return the name of a baseline. Raises `ConfigError` if it cannot be one."""
    if not _is_name(name):
        raise ConfigError(
            f"{name[:64]!r} is no name of a baseline",
            hint="up to 64 letters, digits, '.', '_', '-', as in main or v1.2",
        )
    return name


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and not name.endswith(".")


def key_of(subject: Subject) -> str:
    """Return the key of a subject's bundle in its store."""
    return RunKey(subject.tenant_id or "", subject.run_id).path


def subject_of(bundle: Bundle) -> Subject:
    """Return a bundle as the subject of a baseline or gate: its names, and the SHA-256 of its run.json."""
    index = bundle.index
    return Subject(
        run_id=index.run_id,
        run_sha256=sha256_hex(bundle.index_bytes),
        tenant_id=index.tenant_id,
        case_id=index.case_id,
        repeat=index.repeat,
    )


def names(store: ArtifactStore) -> list[str]:
    """Return the names of all baselines, sorted. A folder that no baseline can have, or without an entry, is none."""
    return [name for name in place_of(store).list_dirs() if _is_name(name) and _numbers(store, name)]


def latest(store: ArtifactStore, name: str) -> Kept:
    """Return the last entry of a baseline. Raises `KeyNotFound` if there is no such baseline, and `MalformedBundle`."""
    numbers = _numbers(store, checked_name(name))
    if not numbers:
        known = names(store)
        hint = f"there are {', '.join(known[:5])}" if known else "runbundle baseline set NAME RUN... makes one"
        raise KeyNotFound(f"there is no baseline {name}", hint=hint)
    return read(store, name, numbers[-1])


def read(store: ArtifactStore, name: str, number: int) -> Kept:
    """Return one entry of a baseline. Raises `KeyNotFound`, or `MalformedBundle` if it was edited."""
    path = f"{checked_name(name)}/{number}.json"
    try:
        data = whole_file(place_of(store), name, f"{number}.json")
    except KeyNotFound:
        raise KeyNotFound(f"the baseline {name} has no entry {number}", hint="runbundle baseline ls") from None
    entry = parse_model(data, Baseline, path)
    if not is_intact(data) or (entry.name, entry.number) != (name, number):
        raise MalformedBundle("was edited after it was written", file=path, hint="restore it from a copy")
    return Kept(entry, sha256_hex(data))


def history(store: ArtifactStore, name: str) -> Iterator[Kept]:
    """Yield the entries of a baseline, the first one first. Raises `MalformedBundle` where the chain is broken."""
    before: str | None = None
    for number in _numbers(store, checked_name(name)):
        kept = read(store, name, number)
        if kept.entry.previous != before:
            raise MalformedBundle("does not follow the entry before", file=f"{name}/{number}.json")
        before = kept.sha256
        yield kept


def add(
    store: ArtifactStore,
    name: str,
    bundles: Sequence[Bundle],
    *,
    by: str,
    reason: str,
    gate_sha256: str | None = None,
    now: datetime | None = None,
) -> Kept:
    """Add an entry to a baseline, or begin one, and put its runs on hold. Returns the entry.

    The bundles must lie in `store`. The caller has verified them. Raises `ConfigError` if a reason or a name is
    missing, if there are no bundles, or if one is there twice; `WriteConflict` if somebody else was faster.
    """
    checked_name(name)
    for what, text in (("who made it", by), ("a reason", reason)):
        if not text.strip():
            raise ConfigError(f"a baseline needs {what}", hint="give --by and --reason")
    subjects = sorted(map(subject_of, bundles), key=key_of)
    if not subjects:
        raise ConfigError("a baseline needs runs", hint="name at least one")
    twice = next((key_of(a) for a, b in pairwise(subjects) if key_of(a) == key_of(b)), "")
    if twice:
        raise ConfigError(f"{twice} is given twice", hint="name each run once")
    numbers = _numbers(store, name)
    before = read(store, name, numbers[-1]) if numbers else None
    number = numbers[-1] + 1 if numbers else 1
    for bundle in bundles:
        hold(store, bundle.key, f"baseline {name}")
    made_at = (now or datetime.now(UTC)).isoformat(timespec="seconds").replace("+00:00", "Z")
    entry = Baseline(
        name=name,
        number=number,
        subjects=subjects,
        by=by,
        reason=reason,
        made_at=made_at,
        gate_sha256=gate_sha256,
        previous=before.sha256 if before else None,
    )
    try:
        place_of(store).put(f"{name}/{number}.json", _bytes(entry))
    except AlreadyExists:
        raise WriteConflict(
            f"somebody else has added entry {number} to {name}", hint="look at it, then try again"
        ) from None
    return read(store, name, number)


def keep_gate(store: ArtifactStore, name: str, gate: Gate) -> str:
    """Store a gate that was made against a baseline, under its digest; return that. Idempotent."""
    data = _bytes(gate)
    digest = sha256_hex(data)
    with contextlib.suppress(AlreadyExists):
        place_of(store).put(f"{checked_name(name)}/gates/{digest}.json", data)
    return digest


def gates(store: ArtifactStore, name: str) -> Iterator[tuple[str, Gate]]:
    """Yield the gates that were made against a baseline, with their digests. Raises `MalformedBundle` for an edit."""
    place = place_of(store)
    for key in place.list(f"{checked_name(name)}/gates/"):
        data = whole_file(place, f"{name}/gates", key.rpartition("/")[2])
        digest = sha256_hex(data)
        if not is_gate(key, data):
            raise MalformedBundle("was edited after it was written", file=key)
        yield digest, parse_model(data, Gate, key)


def is_gate(key: str, data: bytes) -> bool:
    """Tell whether a file under a baseline is the gate that its name, the digest of its bytes, says."""
    return key.rpartition("/")[2] == f"{sha256_hex(data)}.json"


def problems_of(store: ArtifactStore, name: str) -> list[str]:
    """Return what of a baseline is not whole: an entry or gate that was edited, a run of the last entry that is not
    there, or is another. Empty if it is whole. The runs themselves are for `verify`.
    """
    found: list[str] = []
    last: Kept | None = None
    try:
        for kept in history(store, name):
            last = kept
    except MalformedBundle as error:
        found.append(error.message)
    place = place_of(store)
    found += [f"{key}: was edited after it was written" for key in place.list(f"{name}/gates/")
              if not is_gate(key, place.get(key))]  # fmt: skip
    for subject in last.entry.subjects if last is not None else ():
        try:
            if sha256_hex(index_bytes(store, key_of(subject))) != subject.run_sha256:
                found.append(f"{key_of(subject)}: run.json is another one than the entry names")
        except KeyNotFound:
            found.append(f"{key_of(subject)}: is not in the store")
    return found


class Judgements(NamedTuple):
    """What scorers and gates said of one run."""

    scorecard: Scorecard | None
    gates: list[Gate]
    """Its own first, then those of named baselines, the last one first."""
    remarks: list[str]
    """What of this was edited, or cannot be read."""


def judgements_of(bundle: Bundle) -> Judgements:
    """Return the scorecard of a run, and the gates that judged it."""
    found = evaluations_of(bundle)
    others, remarks = gates_about(bundle.store, sha256_hex(bundle.index_bytes))
    gates = [*filter(None, [found.gate]), *(gate for gate in others if gate != found.gate)]
    return Judgements(found.scorecard, gates, [*found.remarks, *remarks])


def gates_about(store: ArtifactStore, run_sha256: str) -> tuple[list[Gate], list[str]]:
    """Return the gates against named baselines that judged a run, the last one first, and what could not be read.

    `run_sha256` is the SHA-256 of its run.json. At most 500 gates are read.
    """
    found: list[Gate] = []
    remarks: list[str] = []
    try:
        known = names(store)
    except StoreUnavailable:
        return [], []
    left = _MOST_READ
    for name in known:
        try:
            for _, gate in islice(gates(store, name), left + 1):
                if not left:
                    return found, [*remarks, f"only {_MOST_READ} gates were looked at"]
                left -= 1
                if any(subject.run_sha256 == run_sha256 for subject in gate.subjects):
                    found.append(gate)
        except (ConfigError, MalformedBundle) as error:
            remarks.append(f"a gate of the baseline {name}: {error.message}")
    found.sort(key=lambda gate: gate.decided_at or "", reverse=True)
    return found, remarks


def _bytes(record: Baseline | Gate) -> bytes:
    fields: dict[str, Any] = {name: value for name, value in stamped(record).items() if name != SELF}
    return with_self_digest(fields)


def _numbers(store: ArtifactStore, name: str) -> list[int]:
    found = (_ENTRY.fullmatch(key[len(name) + 1 :]) for key in place_of(store).list(f"{name}/"))
    return sorted(int(match[1]) for match in found if match)
