"""Reading and writing what is added to a sealed bundle: eval/scorecard.json and eval/gate.json.

Neither file touches the seal. A later one replaces it by a conditional put, and the earlier one is kept under
eval/earlier/, named by its SHA-256.
"""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import orjson

from runbundle.bundle.reader import Bundle, parse_model, whole_file
from runbundle.errors import (
    AlreadyExists,
    KeyChanged,
    KeyNotFound,
    MalformedBundle,
    NotSealed,
    OddEntry,
    WriteConflict,
)
from runbundle.format.base import Record
from runbundle.format.canonical import SELF, self_digest, sha256_hex, to_json_bytes, with_self_digest
from runbundle.format.evaluation import Gate, Scorecard
from runbundle.format.layout import EARLIER, GATE, RUN, SCORECARD
from runbundle.store import ArtifactStore

R = TypeVar("R", Scorecard, Gate)
_TRIES = 5
_PATHS: dict[type[Record], str] = {Scorecard: SCORECARD, Gate: GATE}


def scorecard_of(store: ArtifactStore, key: str) -> Scorecard | None:
    """Return the scorecard of a bundle, or None. Raises `MalformedBundle`.

    It is about the revision whose run.json has the SHA-256 `subject.run_sha256`, which may be an earlier one. `verify`
    tells whether somebody has edited it.
    """
    found = _read(store, key, SCORECARD)
    return None if found is None else parse_model(found, Scorecard, SCORECARD)


def gate_of(store: ArtifactStore, key: str) -> Gate | None:
    """Return the gate of a bundle, or None. Raises `MalformedBundle`."""
    found = _read(store, key, GATE)
    return None if found is None else parse_model(found, Gate, GATE)


class Evaluations(NamedTuple):
    """What lies in eval/ of a bundle, for people to look at."""

    scorecard: Scorecard | None = None
    gate: Gate | None = None
    remarks: tuple[str, ...] = ()
    """What is not as it should be: a file that was edited, cannot be read, or is about an earlier revision."""


def evaluations_of(bundle: Bundle) -> Evaluations:
    """Return the scorecard and the gate of a bundle, whatever they are. One that cannot be read is a remark."""
    remarks: list[str] = []
    digest = sha256_hex(bundle.index_bytes)
    found: dict[str, Scorecard | Gate | None] = {}
    for model, path in ((Scorecard, SCORECARD), (Gate, GATE)):
        found[path] = None
        try:
            data = _read(bundle.store, bundle.key, path)
            if data is None:
                continue
            read = found[path] = parse_model(data, model, path)
            subjects = [read.subject] if isinstance(read, Scorecard) else read.subjects
            if not is_intact(data):
                remarks.append(f"{path} was edited after it was written")
            elif digest not in [subject.run_sha256 for subject in subjects]:
                remarks.append(f"{path} is about an earlier revision of this run")
        except (MalformedBundle, OddEntry) as error:
            remarks.append(f"{path}: {error.message}")
    card, gate = found[SCORECARD], found[GATE]
    return Evaluations(
        card if isinstance(card, Scorecard) else None, gate if isinstance(gate, Gate) else None, tuple(remarks)
    )


def write_evaluation(store: ArtifactStore, key: str, model: type[R], make: Callable[[R | None], R]) -> R:
    """Write the scorecard or gate of a bundle: `make` is given the one that is there, or None, and returns the next.

    Returns it as it is stored. Nothing is written if the content is that of the one that is there. If another process
    replaces the file meanwhile, `make` is called again. Raises `NotSealed`, `WriteConflict` after five tries, and
    `MalformedBundle` if the file that is there was edited: it has to be looked at, and moved away by a person.
    """
    path = _PATHS[model]
    for _ in range(_TRIES):
        current = _read(store, key, path)
        before = None if current is None else parse_model(current, model, path)
        if current is not None and not is_intact(current):
            raise MalformedBundle("was edited after it was written", file=path, hint="runbundle verify says what is so")
        made = make(before)
        if before is not None and _content(made) == _content(before):
            return before
        fields = {**stamped(made), "supersedes": sha256_hex(current)} if current else stamped(made)
        data = with_self_digest({name: value for name, value in fields.items() if name != SELF})
        try:
            _put(store, key, path, data, current)
        except (AlreadyExists, KeyChanged, KeyNotFound):
            continue
        if not store.exists(f"{key}/{RUN}"):  # removed meanwhile; what was just written would be all that is left
            with contextlib.suppress(KeyNotFound):
                store.delete(f"{key}/{path}")
            raise NotSealed(f"{key} has no run.json", hint="it was removed, or never sealed")
        return parse_model(data, model, path)
    raise WriteConflict(f"{key}/{path} is being replaced by others", hint="try again")


def stamped(record: Record) -> dict[str, object]:
    """Return a record as the fields of its file: by their names in JSON, without those that are absent."""
    return record.model_dump(mode="json", by_alias=True, exclude_none=True)


def is_intact(data: bytes) -> bool:
    """Tell whether a file has canonical bytes and the digest that it carries of itself. It must be JSON."""
    fields: Any = orjson.loads(data)
    try:
        said: Any = fields[SELF]
        return said == self_digest(fields) and to_json_bytes(fields, indent=True) == data
    except (KeyError, TypeError):  # without a digest, no object, or nested deeper than anything that is written
        return False


def _content(record: Scorecard | Gate) -> dict[str, object]:
    """Return what a file says, without what says only when and after which it was written."""
    return {
        name: value
        for name, value in stamped(record).items()
        if name not in (SELF, "supersedes", "decided_at")
    }  # fmt: skip


def _put(store: ArtifactStore, key: str, path: str, data: bytes, current: bytes | None) -> None:
    if current is None:
        store.put(f"{key}/{path}", data)
        return
    with contextlib.suppress(AlreadyExists):
        store.put(f"{key}/{EARLIER}/{sha256_hex(current)}.json", current)
    store.replace(f"{key}/{path}", data, expected=current)


def _read(store: ArtifactStore, key: str, path: str) -> bytes | None:
    try:
        return whole_file(store, key, path)
    except KeyNotFound:
        return None
