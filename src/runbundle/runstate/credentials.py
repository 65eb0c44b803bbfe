"""Secrets in run state: values of secret types, and values stored under names of credentials."""

from collections import deque
from collections.abc import Mapping
from typing import Any, cast

from runbundle.redaction.detectors.credential_words import credential_key
from runbundle.redaction.detectors.known_secrets import KNOWN

MASK = "[REDACTED]"
_HOLDERS = {dict, list}
_LONGEST_NAME = 256
_MAX_VALUES = 2000  # examined by `register_secrets`: a node of a graph waits for it


def _is_credential_name(name: str) -> bool:
    return credential_key(name) == "strong"


def credential_values(value: Any) -> list[Any]:
    """Return the values that stand under names of credentials, such as the `x` of `{"api_key": "x"}`.

    Dictionaries and lists are searched at every depth, each once, also one that holds itself. A two-item list counts as
    a name and its value, and so does a dictionary with `name` (or `key`) and `value`.
    """
    found: list[Any] = []
    pending: list[Any] = [value]
    seen: set[int] = set()
    while pending:
        item = pending.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if type(item) is dict:
            pairs = cast("dict[Any, Any]", item)
            found += _values_under_names(pairs)
            pending += [part for part in pairs.values() if type(part) in _HOLDERS]
        elif type(item) is list:
            parts = cast("list[Any]", item)
            if (
                len(parts) == 2
                and type(parts[0]) is str
                and len(parts[0]) <= _LONGEST_NAME
                and _is_credential_name(parts[0])
            ):
                found.append(parts[1])
            pending += [part for part in parts if type(part) in _HOLDERS]
    return found


def masked_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata with each value under a credential's name replaced by `[REDACTED]`.

    Metadata is never encrypted. Only first-level values are masked; those and all deeper credential values are
    registered, so that the redactor finds them wherever else they appear.
    """
    KNOWN.register(*credential_values(metadata))
    return {name: MASK if _is_credential_name(name) else value for name, value in metadata.items()}


def register_secrets(value: Any) -> None:
    """Register the secrets in a live value with the redactor. Never raises.

    Only the first 2,000 values are examined, outer ones first, because a node of a graph waits for this; a secret
    beyond them is not registered.
    """
    found: list[Any] = []
    pending: deque[Any] = deque([value])
    seen: set[int] = set()
    for _ in range(_MAX_VALUES):
        if not pending:
            break
        item: Any = pending.popleft()
        kind = cast("Any", type(item))
        if kind in (str, int, float, bool, type(None), bytes) or id(item) in seen:
            continue
        seen.add(id(item))
        try:
            if hasattr(kind, "get_secret_value"):
                found.append(item.get_secret_value())
            elif isinstance(item, Mapping):
                pairs = cast("Mapping[Any, Any]", item)
                found += _values_under_names(pairs)
                pending += list(pairs.values())
            elif isinstance(item, list | tuple | set | frozenset):
                pending += list(cast("list[Any]", item))
            elif hasattr(kind, "model_fields") or hasattr(kind, "__fields__") or hasattr(kind, "__dataclass_fields__"):
                pending.append(dict(item.__dict__))
        except Exception:  # noqa: BLE001, S112 - a class whose attributes raise; the values beside it are still examined
            continue
    if found:
        KNOWN.register(*found)


def _values_under_names(pairs: Mapping[Any, Any]) -> list[Any]:
    found = [part for key, part in pairs.items() if isinstance(key, str) and _is_credential_name(key)]
    name = pairs.get("name", pairs.get("key"))
    if isinstance(name, str) and _is_credential_name(name):
        found.append(pairs.get("value"))
    return found
