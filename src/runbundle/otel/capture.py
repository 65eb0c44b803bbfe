"""From live Python values to the JSON text that a span carries. Total: whatever a tool returns, this returns text."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

import orjson
from pydantic import BaseModel, SecretBytes, SecretStr

from runbundle.codec.journal_lines import plain
from runbundle.redaction.detectors.known import register_secret
from runbundle.redaction.markers import marker

MAX_CAPTURE_BYTES = 1_048_576
"""Larger values leave a marker with their size; the redactor opens payloads of up to 256 KiB."""

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_SUBCLASS


def to_text(value: Any) -> str:
    """Return `value` as JSON text, or as a marker where it is too large or cannot be written as JSON.

    Pydantic models, dataclasses, dates, UUIDs, enums and NumPy-free containers keep their structure; secrets of
    pydantic become markers here already; any other object becomes a marker, and none has its `repr` called.
    """
    try:
        if isinstance(value, str | bytes | bytearray) and len(value) > MAX_CAPTURE_BYTES:
            return marker("oversize", size=len(value))
        try:
            data = orjson.dumps(value, option=_OPTIONS, default=_fallback)
        except TypeError as error:
            if "surrogates" not in str(error):
                raise
            data = orjson.dumps(plain(value), option=_OPTIONS)
        return data.decode() if len(data) <= MAX_CAPTURE_BYTES else marker("oversize", size=len(data))
    except Exception:  # noqa: BLE001 - cycles, hostile __getattr__, whatever: the agent must not notice
        return marker("unserialisable")


def _fallback(value: Any) -> Any:
    if isinstance(value, SecretStr | SecretBytes):
        # Wherever else in this process the value turns up from now on, it is known.
        register_secret(cast("SecretStr", value).get_secret_value())
        return marker("credential")
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, bytes | bytearray):
        return marker("unserialisable", size=len(value))
    if isinstance(value, set | frozenset):
        return list(cast("set[Any]", value))
    if isinstance(value, Mapping):
        return dict(cast("Mapping[Any, Any]", value))
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, tuple | list):
        return list(cast("list[Any]", value))
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**64 else hex(value)
    return marker("unserialisable")


@functools.lru_cache(maxsize=4096)
def signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """Return a function's signature, if it has one that can be read."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def arguments_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a call's arguments by name, without `self` or `cls`; by position where the signature does not say."""
    signature = signature_of(function)
    if signature is None:
        return {**{str(i): a for i, a in enumerate(args)}, **kwargs}
    try:
        bound = dict(signature.bind(*args, **kwargs).arguments)
    except TypeError:  # the call itself will raise the right error in a moment
        return {**{str(i): a for i, a in enumerate(args)}, **kwargs}
    first = next(iter(signature.parameters), None)
    if first in ("self", "cls"):
        bound.pop(first, None)
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD and parameter.name in bound:
            bound.update(bound.pop(parameter.name))
    return bound
