"""State as JSON, or a refusal: what JSON does not keep would be gone, or be something else, when the run is resumed.

No error repeats a value.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson
from pydantic import ValidationError

from runbundle.errors import ConfigError
from runbundle.format.base import Record

_HINT = "use text, finite numbers, booleans, None, lists, and dicts whose keys are text"


def plain_of(state: Record) -> dict[str, Any]:
    """Return the fields of a state as JSON values, by their aliases.

    A class of the application is written as its own serializer says. Raises `ConfigError` if the state is not JSON,
    holds a secret type or two keys of one text, or has a field that is not of the field's type.
    """
    try:
        # A warning would quote the value of a field that is not of its type; that is refused below.
        plain = state.model_dump(mode="json", by_alias=True, warnings=False)
        live = state.model_dump(by_alias=True, warnings=False)
    except ValueError:  # whose text quotes values; also for a cycle
        raise ConfigError("the state is not JSON", hint=_HINT) from None
    _check_kept(live, plain)
    try:
        type(state).model_validate(plain)
    except ValidationError as error:
        field = next(iter(error.errors(include_input=False)[0]["loc"]), "")
        named = f": {field} is not of its type" if field in type(state).model_fields else ""
        raise ConfigError(
            f"the state does not fit its fields{named}", hint="model_copy does not check values"
        ) from None
    return plain


def json_bytes(value: Any) -> bytes:
    """Return the JSON of plain values. Raises `ConfigError` for what JSON does not hold."""
    try:
        return orjson.dumps(value)
    except TypeError:
        raise ConfigError("the state is not JSON", hint=_HINT) from None


def _check_kept(live: Any, plain: Any) -> None:
    """Raise `ConfigError` if a live value holds what is not in its JSON form. Depth costs no stack."""
    if _is_plain(live):
        return  # asked in C, a tenth of the walk
    pending: list[tuple[Any, Any]] = [(live, plain)]
    while pending:
        live, plain = pending.pop()
        kind = cast("Any", type(live))
        if isinstance(live, Mapping) and isinstance(plain, dict):
            fields, kept = cast("Mapping[Any, Any]", live), cast("dict[str, Any]", plain)
            pending += [(key, "") for key in fields]
            if all(isinstance(key, str) for key in fields):  # a model may write other fields to JSON
                pending += [(value, kept[key]) for key, value in fields.items() if key in kept]
            elif len(fields) == len(kept):
                pending += zip(fields.values(), kept.values(), strict=True)
            else:
                raise ConfigError("the state has two keys of one text, such as 1 and '1', in one dict", hint=_HINT)
        elif isinstance(live, set | frozenset):
            pending += [(item, None) for item in cast("set[Any]", live)]  # which is which in JSON nobody can tell
        elif isinstance(live, Sequence) and isinstance(plain, list):
            pending += zip(cast("Sequence[Any]", live), cast("list[Any]", plain), strict=False)
        elif isinstance(live, float) and not math.isfinite(live) and plain is None:
            raise ConfigError("the state holds NaN or an infinite number, which JSON does not have", hint=_HINT)
        elif hasattr(kind, "get_secret_value") and (plain is None or (isinstance(plain, str) and not plain.strip("*"))):
            raise ConfigError(
                "the state holds a secret type such as SecretStr, which JSON cannot keep",
                hint="keep the secret elsewhere, and its name in the state",
            )


def _is_plain(live: Any) -> bool:
    """Tell whether a value has no keys but text, no secret types and no numbers that JSON writes as null."""
    try:
        data = orjson.dumps(live)
    except TypeError:
        return False
    return b"null" not in data or orjson.loads(data) == live
