"""Copying baselines between stores, with the gates under them, once their runs are there.

Entries and gates are create-only at the destination too: what is there stays, and another entry of the same number is a
clash, which is reported before anything is written. Every file is checked before it is copied: an entry by its own
digest and the one that it follows, a gate by its name, which is its digest.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from runbundle.bundle.custody import baselines
from runbundle.bundle.custody.baselines import Kept, key_of, place_of
from runbundle.bundle.custody.holds import hold, hold_of
from runbundle.bundle.reader import index_bytes
from runbundle.errors import AlreadyExists, BundleError, ConfigError, KeyNotFound, StoreUnavailable
from runbundle.format.canonical import sha256_hex
from runbundle.format.evaluation import Subject
from runbundle.store import ArtifactStore

Carriage = Literal["copied", "present", "left", "clash", "damaged"]


@dataclass
class CarryResult:
    """The result of copying one baseline."""

    name: str
    """Name of the baseline."""
    outcome: Carriage
    """`copied`, `present` (all of it was there already), `left` (runs of it are not at the destination), `clash` (the
    destination has another entry of a number) or `damaged` (at the source). After the last three no entry was
    written."""
    entries: int = 0
    """Number of entries that were copied."""
    gates: int = 0
    """Number of gates that were copied."""
    problems: list[str] = field(default_factory=list[str])
    """Reasons for the last three outcomes, and gates that are damaged."""


def carry_all(source: ArtifactStore, target: ArtifactStore, *, run_key: str = "") -> Iterator[CarryResult]:
    """Copy the baselines of a store, or those whose last entry names the run `run_key`; yield each result."""
    try:
        names = baselines.names(source)
    except StoreUnavailable:
        return
    for name in names:
        if not run_key or _names(source, name, run_key):
            yield carry(source, name, target)


def _names(source: ArtifactStore, name: str, run_key: str) -> bool:
    """Tell whether the last entry of a baseline names a run; one that cannot be read might."""
    try:
        return run_key in map(key_of, baselines.latest(source, name).entry.subjects)
    except (BundleError, ConfigError):
        return True


def carry(source: ArtifactStore, name: str, target: ArtifactStore) -> CarryResult:
    """Copy one baseline, with its gates. Idempotent; faults of the baseline are results, not exceptions.

    The runs of its last entry must be at the destination already, as the entry names them; a hold that they have is put
    on there. Raises `StoreUnavailable` if either store cannot be used.
    """
    result = CarryResult(name, "present")
    try:
        history = list(baselines.history(source, name))
    except (BundleError, ConfigError) as error:
        return CarryResult(name, "damaged", problems=[error.message])
    if not history:
        return result
    there = target.beside(baselines.BASELINES)
    if there is None:
        return CarryResult(name, "left", problems=[f"{target.url} has no place for baselines"])
    known = set(there.list(f"{name}/"))
    wanted: list[Kept] = []
    for kept in history:
        key = f"{name}/{kept.entry.number}.json"
        if key not in known:
            wanted.append(kept)
        elif sha256_hex(there.get(key)) != kept.sha256:
            return CarryResult(name, "clash", problems=[f"entry {kept.entry.number}: another one is there"])
    if wanted and len(wanted) < len(history) and wanted[0].entry.number != len(history) - len(wanted) + 1:
        return CarryResult(name, "clash", problems=["entries are missing there"])
    if wanted and (missing := _missing(target, history[-1].entry.subjects)):
        of = len(history[-1].entry.subjects)
        return CarryResult(name, "left", problems=[f"not there: {missing} of its {of} runs"])
    if wanted:
        _hold(source, target, history[-1].entry.subjects)
    _put(source, there, wanted, result)
    if result.outcome != "clash":
        _put_gates(source, name, there, known, result)
    return result


def _missing(target: ArtifactStore, subjects: list[Subject]) -> int:
    """Return how many runs the destination does not have as an entry names them."""

    def is_there(subject: Subject) -> bool:
        try:
            return sha256_hex(index_bytes(target, key_of(subject))) == subject.run_sha256
        except KeyNotFound:
            return False

    return sum(not is_there(subject) for subject in subjects)


def _hold(source: ArtifactStore, target: ArtifactStore, subjects: list[Subject]) -> None:
    for key in map(key_of, subjects):
        found = hold_of(source, key)
        if found is not None:
            hold(target, key, found.reason)


def _put(source: ArtifactStore, there: ArtifactStore, wanted: list[Kept], result: CarryResult) -> None:
    for kept in wanted:
        key = f"{kept.entry.name}/{kept.entry.number}.json"
        data = place_of(source).get(key)
        try:
            there.put(key, data)
        except AlreadyExists:
            if there.get(key) != data:
                result.outcome, result.problems = "clash", [f"entry {kept.entry.number}: another writer was faster"]
                return
        result.outcome, result.entries = "copied", result.entries + 1


def _put_gates(
    source: ArtifactStore, name: str, there: ArtifactStore, known: set[str], result: CarryResult
) -> None:  # fmt: skip
    place = place_of(source)
    for key in place.list(f"{name}/gates/"):
        if key in known:
            continue
        data = place.get(key)
        if not baselines.is_gate(key, data):
            result.outcome = "damaged"
            result.problems.append(f"the gate {key.rpartition('/')[2]} was edited; it was not copied")
            continue
        try:
            there.put(key, data)
        except AlreadyExists:
            continue
        result.gates += 1
        if result.outcome == "present":
            result.outcome = "copied"
