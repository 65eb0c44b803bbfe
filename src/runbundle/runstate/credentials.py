"""What in a state is secret: values that say so themselves, and those under the names of credentials."""

from collections import deque
from collections.abc import Mapping
from typing import Any, cast

from runbundle.redaction.detectors.credential_words import credential_key
from runbundle.redaction.detectors.known_secrets import KNOWN

MASK = "[REDACTED]"
_HOLDERS = {dict, list}
_LONGEST_NAME = 256
_MOST = 2000  # values that are looked at: a node waits for it


def _names_one(name: str) -> bool:
    return credential_key(name) == "strong"


def sensitive_parts(value: Any) -> list[Any]:
    """Return what stands under the names of credentials, in dictionaries and in lists of names and values."""
    found: list[Any] = []
    pending: list[Any] = [value]
    while pending:
        item = pending.pop()
        if type(item) is dict:
            pairs = cast("dict[Any, Any]", item)
            found += _under_names(pairs)
            pending += [part for part in pairs.values() if type(part) in _HOLDERS]
        elif type(item) is list:
            parts = cast("list[Any]", item)
            if len(parts) == 2 and type(parts[0]) is str and len(parts[0]) <= _LONGEST_NAME and _names_one(parts[0]):
                found.append(parts[1])
            pending += [part for part in parts if type(part) in _HOLDERS]
    return found


def masked_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata, which is never encrypted, but for what stands under names of credentials; have that known."""
    KNOWN.register(*sensitive_parts(metadata))
    return {name: MASK if _names_one(name) else value for name, value in metadata.items()}


def holds_secret(value: Any) -> bool:
    """Tell whether a value has something like a `SecretStr` in it, in mappings and lists."""
    pending: list[Any] = [value]
    for item in pending:
        if hasattr(cast("Any", type(item)), "get_secret_value"):
            return True
        if isinstance(item, Mapping):
            pending += list(cast("Mapping[Any, Any]", item).values())
        elif isinstance(item, list | tuple):
            pending += cast("list[Any]", item)
    return False


def learn(value: Any) -> None:
    """Have the secrets of a live value known: those among the first 2,000 values, outer ones first. Never raises."""
    found: list[Any] = []
    pending: deque[Any] = deque([value])
    seen: set[int] = set()
    for _ in range(_MOST):
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
                found += _under_names(pairs)
                pending += list(pairs.values())
            elif isinstance(item, list | tuple | set | frozenset):
                pending += list(cast("list[Any]", item))
            elif hasattr(kind, "model_fields") or hasattr(kind, "__fields__") or hasattr(kind, "__dataclass_fields__"):
                pending.append(dict(item.__dict__))
        except Exception:  # noqa: BLE001, S112 - a class that lies about itself; what is beside it is looked at
            continue
    if found:
        KNOWN.register(*found)


def _under_names(pairs: Mapping[Any, Any]) -> list[Any]:
    found = [part for key, part in pairs.items() if isinstance(key, str) and _names_one(key)]
    name = pairs.get("name", pairs.get("key"))
    if isinstance(name, str) and _names_one(name):
        found.append(pairs.get("value"))
    return found
