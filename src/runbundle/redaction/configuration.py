"""A run's configuration: kept, but for what is a secret by its key or by its format.

Configuration is written by developers and is what makes a run reproducible, so here the rule is the other way round:
keys that name a credential lose their value, text in the format of a credential is replaced, the rest stays.
"""

from collections.abc import Mapping
from typing import Any, cast

from runbundle.redaction.detectors.kept import credential_in_key, is_known_number, redact_text
from runbundle.redaction.floor import sensitive_key
from runbundle.redaction.markers import is_marker, marker
from runbundle.redaction.receipt import Receipt

MAX_DEPTH = 32
MAX_TEXT = 4096


def redact_configuration(value: Any, receipt: Receipt, path: str = "config", depth: int = 0) -> Any:
    """Return the configuration without its secrets, as JSON values. Total and idempotent."""
    if depth > MAX_DEPTH:
        receipt.add(path, "config", "mask")
        return marker("oversize")
    if isinstance(value, Mapping):
        result: dict[str, Any] = {}
        for key, item in cast("Mapping[Any, Any]", value).items():
            name = str(key)
            if credential_in_key(name):
                receipt.add(f"{path}/*", "config", "mask")
                name = marker("key", index=len(result) + 1)
            where = f"{path}/{_safe(name)}"
            if sensitive_key(name):
                result[name] = _withheld(item, receipt, where, depth + 1)
            else:
                result[name] = redact_configuration(item, receipt, where, depth + 1)
        return result
    if isinstance(value, list | tuple):
        items = cast("list[Any]", value)
        return [redact_configuration(item, receipt, f"{path}/{i}", depth + 1) for i, item in enumerate(items)]
    if isinstance(value, str):
        return _text(value, receipt, path)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and is_known_number(value):
        receipt.add(path, "detector:known-secret", "mask")
        return marker("credential")
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    receipt.add(path, "config", "mask")
    return marker("unserialisable")


def _text(value: str, receipt: Receipt, path: str) -> str:
    if is_marker(value):
        return value
    value = redact_text(value, receipt, path)
    if len(value) > MAX_TEXT:
        receipt.add(path, "config", "shorten")
        return marker("oversize", size=len(value.encode()))
    return value


def _safe(name: str) -> str:
    return "".join(c if (c.isalnum() and c.isascii()) or c in "_-[]:.~" else "_" for c in name[:64])


def _withheld(value: Any, receipt: Receipt, path: str, depth: int) -> Any:
    """Replace everything under a key that names a credential; what is left is structure, and whether it was set."""
    if value is None or isinstance(value, bool) or is_marker(value):
        return value
    if isinstance(value, Mapping) and depth <= MAX_DEPTH:
        names: dict[str, Any] = {}
        for key, item in cast("Mapping[Any, Any]", value).items():
            name = str(key) if not credential_in_key(str(key)) else marker("key", index=len(names) + 1)
            names[name] = _withheld(item, receipt, f"{path}/{_safe(name)}", depth + 1)
        return names
    if isinstance(value, list | tuple) and depth <= MAX_DEPTH:
        return [_withheld(item, receipt, f"{path}/{i}", depth + 1) for i, item in enumerate(cast("list[Any]", value))]
    receipt.add(path, "config:key", "mask")
    return marker("credential")
