"""A first contract for a tool, proposed from observed arguments. It holds no values."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from runbundle.contracts.schema_walk import MAX_STEPS, has_parts, schema_places, selector_of
from runbundle.format.words import Target
from runbundle.redaction.detectors.credential_words import credential_key, holds_below
from runbundle.redaction.permitted.safe_text import safe_name

_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_FIELDS = 64
"""An object with more keys than this is a mapping whose keys are data."""


def propose(observations: Sequence[Any], name: str) -> dict[str, Any]:
    """Propose a contract, as plain data, for a tool that was called with these arguments.

    The contract has names and types of fields, and a credential rule for each field that is named like one. Every other
    field has no rule and stays masked. No value is in it, and no key that may be data: an object with such keys is
    described as a mapping. Side effects are left at the default, for a person to set.
    """
    schema = _observed(list(observations), 0)
    return {"name": name, "input_schema": schema, "data": {"rules": credential_rules(schema)}}


def credential_rules(schema: Mapping[str, Any], target: Target = "input") -> list[dict[str, str]]:
    """Return a rule, as plain data, for each property of a schema that is named like a credential."""
    paths: list[tuple[str, ...]] = []
    for place in schema_places(schema):
        path = place.path
        above = any(path[: len(other)] == other for other in paths)
        named = path and credential_key(path[-1]) == "strong"
        if named and not above and (holds_below(path[-1]) or not has_parts(place.node)):
            paths.append(path)
    return [{"selector": selector_of(path), "target": target, "data_class": "credential"} for path in paths]


def _observed(values: list[Any], depth: int) -> dict[str, Any]:
    """Describe values that were seen at one place; nothing is said of what nests deeper than a schema may."""
    if depth >= MAX_STEPS:
        return {}
    objects = [cast("dict[str, Any]", value) for value in values if isinstance(value, dict)]
    arrays = [cast("list[Any]", value) for value in values if isinstance(value, list)]
    types = sorted({_type(value) for value in values if not isinstance(value, dict | list)})
    kinds: list[dict[str, Any]] = [{"type": kind} for kind in types]
    if arrays:
        items = [item for array in arrays for item in array]
        kinds.append({"type": "array", **({"items": _observed(items, depth + 1)} if items else {})})
    if objects:
        kinds.append(_observed_object(objects, depth))
    return {"anyOf": kinds} if len(kinds) > 1 else kinds[0] if kinds else {}


def _observed_object(objects: list[dict[str, Any]], depth: int) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for item in objects:
        for key, value in item.items():
            found.setdefault(key, []).append(value)
    if len(found) > _FIELDS or not all(_FIELD_NAME.fullmatch(key) and safe_name(key) for key in found):
        values = [value for seen in found.values() for value in seen]
        return {"type": "object", "additionalProperties": _observed(values, depth + 1)}
    return {"type": "object", "properties": {key: _observed(seen, depth + 1) for key, seen in sorted(found.items())}}


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "integer" if isinstance(value, int) else "number" if isinstance(value, float) else "string"
