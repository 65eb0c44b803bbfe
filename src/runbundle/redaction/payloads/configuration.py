"""A run's configuration: everything is kept but secrets, which are known by their key or by their format.

Developers write configuration, and a run cannot be repeated without it, so here the rule is the other way round: a key
that names a credential loses its value, text in the format of a credential is replaced, the rest stays.
"""

from collections.abc import Mapping
from typing import Any, cast

from runbundle.redaction.markers import is_marker, key_marker
from runbundle.redaction.permitted.kept_text import credential_in_key, is_known_number, redact_text
from runbundle.redaction.permitted.labelled import escape, mask_labelled
from runbundle.redaction.receipt import Receipt, withhold

MAX_DEPTH = 32
MAX_TEXT = 4096


def redact_configuration(value: Any, receipt: Receipt, path: str = "config") -> Any:
    """Return the configuration without its secrets, as JSON values. Total and idempotent."""
    return _redacted(mask_labelled(value, receipt, path), receipt, path, 0)


def _redacted(value: Any, receipt: Receipt, path: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        return withhold(receipt, path, "config", "oversize")
    if isinstance(value, Mapping):
        result: dict[str, Any] = {}
        number = 0
        for key, item in cast("Mapping[Any, Any]", value).items():
            name = str(key)
            if credential_in_key(name):
                receipt.add(f"{path}/*", "config", "mask")
                name, number = key_marker(max(number, len(result)) + 1, cast("Mapping[str, Any]", value))
            result[name] = _redacted(item, receipt, f"{path}/{escape(name)}", depth + 1)
        return result
    if isinstance(value, list | tuple):
        items = cast("list[Any]", value)
        return [_redacted(item, receipt, f"{path}/{i}", depth + 1) for i, item in enumerate(items)]
    if isinstance(value, str):
        return _text(value, receipt, path)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and is_known_number(value):
        return withhold(receipt, path, "detector:known-secret", "credential")
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    return withhold(receipt, path, "config", "unserialisable")


def _text(value: str, receipt: Receipt, path: str) -> str:
    if is_marker(value):
        return value
    value = redact_text(value, receipt, path)
    if len(value) > MAX_TEXT:
        return withhold(receipt, path, "config", "oversize", action="shorten", size=len(value.encode()))
    return value
