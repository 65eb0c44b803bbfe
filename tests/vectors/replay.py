"""Vectors asked of a core: the same vector with what that core answers in the place of what was recorded."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import orjson

from tests.vectors.core import RUN, Core, Record
from tests.vectors.form import Vector, decoded, differences, encoded, filled, journal_line

_LONG = 2000
_ANSWERS = frozenset({"out", "receipt", "files"})


def answered(core: Core, vector: Vector, policies: Mapping[str, Any]) -> Vector:
    """Return a vector with the answers of a core."""
    if "lines" in vector:
        made = core.assemble(vector["run"], [journal_line(line) for line in vector["lines"]])
        return {**vector, "files": {name: _file(name, made[name]) for name in sorted(made)}}
    state = core.begin(policies[vector["policy"]])
    core.know(state, decoded(vector.get("secrets", [])))
    return {**vector, "steps": [_step(core, state, step) for step in vector["steps"]]}


def _step(core: Core, state: Any, step: dict[str, Any]) -> dict[str, Any]:
    if "secrets" in step:
        core.know(state, decoded(step["secrets"]))
        return step
    kind, redact = ("span", core.redact) if "span" in step else ("log", core.redact_log)
    given = filled(kind, decoded(step[kind]))
    record, receipt = redact(state, given)
    return {kind: step[kind], "out": changed(given, record), "receipt": _receipt(receipt)}


def changed(given: Record, record: Record) -> Record:
    """Return the fields of a redacted record that are not as they were given."""
    before = {name: encoded(value) for name, value in given.items()}
    after = {name: encoded(value) for name, value in record.items()}
    return {name: stated(v) for name, v in after.items() if any(differences(before.get(name, _NEVER), v))}


def stated(value: Any) -> Any:
    """Return an encoded answer with a digest in the place of each long text."""
    if isinstance(value, str) and len(value) > _LONG:
        return {"$sha256": hashlib.sha256(value.encode()).hexdigest(), "chars": len(value)}
    if isinstance(value, list):
        return [stated(item) for item in value]
    return {key: stated(item) for key, item in value.items()} if isinstance(value, dict) else value


_NEVER = object()


def _receipt(text: str) -> Any:
    """Return what a receipt says; the text itself, if it is not in the one form that it may have."""
    said = json.loads(text)
    return said if orjson.dumps(said).decode() == text else {"text": text}


def _file(name: str, data: bytes) -> dict[str, Any]:
    """Return the content of a file; of run.json, which has the digests of the others, the digest of its bytes too."""
    if name.endswith(".jsonl"):
        return {"lines": [json.loads(line) for line in data.splitlines()]}
    digest = {"sha256": hashlib.sha256(data).hexdigest()} if name == RUN else {}
    return {**digest, "value": json.loads(data)}


def asked(vector: Vector) -> Vector:
    """Return a vector without answers."""
    if "steps" not in vector:
        return {name: value for name, value in vector.items() if name not in _ANSWERS}
    steps = [{name: value for name, value in step.items() if name not in _ANSWERS} for step in vector["steps"]]
    return {**vector, "steps": steps}
