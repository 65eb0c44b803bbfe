"""Turns live Python values into the JSON text that a span carries. Never raises: every value gives some text."""

import functools
import hashlib
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from runbundle.core import native
from runbundle.format.words import CaptureWord
from runbundle.otel.agent.json_kinds import json_stand_in, type_of
from runbundle.otel.agent.json_walk import JsonWalk
from runbundle.redaction.captured import DIGESTED, Said, worst
from runbundle.redaction.markers import is_marker, marker
from runbundle.redaction.payloads.shrink import shrink
from runbundle.redaction.views import MAX_PAYLOAD_BYTES

MAX_CAPTURE_BYTES = 1_048_576
"""Values above this size are shortened to the size that the redactor opens; the span has the digest of the whole."""

_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME  # orjson rounds offsets to minutes
)
MAX_PARTS = 20_000
"""Parts of a large value that are visited one by one; the span keeps a few thousand of them at most."""
_NATIVE = frozenset({str, int, bool, type(None)})
_ALIKE = ({str}, {int}, set[type]())


class Captured(NamedTuple):
    """One captured value: its canonical JSON text, and the word for what is missing from it."""

    text: str
    """JSON with sorted keys, or a single marker."""
    word: CaptureWord = "whole"
    sha256: str = ""
    """Digest of the whole canonical text, in hex; "" where `text` is all of it."""
    size: int | None = None
    """Bytes of the whole canonical text; None where `text` is all of it."""

    @property
    def said(self) -> Said:
        """The value's entry in the attribute `runbundle.capture`."""
        return Said(self.word, self.sha256, "", self.size)


_LOST = Captured(marker("unserialisable"), "unserialisable")


def capture(value: Any, word: CaptureWord = "whole") -> Captured:
    """Return `value` as canonical JSON text, with the word for what became of it: at best `word`.

    Containers, dataclasses, models and enums keep their structure; other scalars become text. Secrets of pydantic
    become markers. A part that is no data becomes a marker in its place, and then the value has no digest. Above 1 MiB
    the largest parts become markers that state their size, and the digest is of the whole.

    Never raises; a value that cannot be read at all becomes one marker. Calls no `repr`. Takes about 2 ms for each
    megabyte, and at most half a second for values that must be visited part by part.
    """
    try:
        data, plain = _written(value), None
        if data is not None and len(data) <= MAX_CAPTURE_BYTES:
            return Captured(data.decode(), word)
        if data is None:
            plain, walked = JsonWalk().to_json(value)
            word = worst((word, walked))
            data = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
        if len(data) <= MAX_CAPTURE_BYTES:
            # A marker by itself if it was put there now: one that a tool returned is a text like any other.
            return Captured(str(plain) if word != "whole" and is_marker(plain) else data.decode(), word)
        return _large(value, plain, data, word)
    except Exception:  # noqa: BLE001 - out of memory, changed by another thread, whatever: the agent must not notice
        return _LOST


def _written(value: Any) -> bytes | None:
    """Return the canonical text of a value that is nothing but data, None if it has to be looked at part by part."""
    try:
        data = orjson.dumps(value, option=_OPTIONS, default=json_stand_in)
    except TypeError as error:
        if "Dict key must be" not in str(error):
            return None
        try:
            data = orjson.dumps(value, option=_OPTIONS | orjson.OPT_NON_STR_KEYS)
        except TypeError:
            return None
        return data if _is_simple(value) else None  # asked only now that it is known to have no cycle
    # It writes NaN and infinities as it does None.
    return data if b"null" not in data or _is_simple(value) else None


def _is_simple(value: Any) -> bool:
    """Tell whether a value is made of JSON's own types, without NaN, with keys of which no two read the same."""
    # A result with a `null` in it is as usual as one without: by the native core 1 µs for 40 parts, here 12.
    module = native.module()
    if module is not None and module.is_plain(value):
        return True
    pending = [value]
    while pending:
        item = pending.pop()
        kind = type_of(item)
        if kind is dict:
            if set(map(type, item)) not in _ALIKE:
                return False
            pending += item.values()
        elif kind is list or kind is tuple:
            pending += item
        elif kind is float:
            if item - item != 0:
                return False
        elif kind not in _NATIVE:
            return False
    return True


def _large(value: Any, plain: Any, data: bytes, word: CaptureWord) -> Captured:
    if plain is None:
        plain, _ = JsonWalk(MAX_PARTS).to_json(value)
    word = worst((word, "oversize"))
    sha256, size = (hashlib.sha256(data).hexdigest(), len(data)) if word in DIGESTED else ("", None)
    small = shrink(plain, MAX_PAYLOAD_BYTES)
    if type(small) is str and is_marker(small):
        return Captured(small, word, sha256, size)
    return Captured(orjson.dumps(small, option=orjson.OPT_SORT_KEYS).decode(), word, sha256, size)


class _Parameters(NamedTuple):
    """What a function may be given."""

    signature: inspect.Signature
    names: tuple[str, ...] | None
    """The names of its parameters if each is one argument, by place or by name; else None."""


@functools.lru_cache(maxsize=4096)
def _read_parameters(function: Callable[..., Any]) -> _Parameters:
    signature = inspect.signature(function)
    names = tuple(signature.parameters)
    plain = all(each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for each in signature.parameters.values())
    return _Parameters(signature, names if plain and names[:1] not in (("self",), ("cls",)) else None)


def _parameters_of(function: Callable[..., Any]) -> _Parameters | None:
    try:
        return _read_parameters(function)
    except Exception:  # noqa: BLE001 - of what is called any part may raise: its hash, its attributes
        return None


def signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """Return a function's signature; None if it cannot be read. Never raises."""
    known = _parameters_of(function)
    return known.signature if known is not None else None


def arguments_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a call's arguments by name, without `self` or `cls`; by position where no signature fits.

    Defaults that the call does not name are left out.
    """
    known = _parameters_of(function)
    if known is None:
        return {**{str(i): a for i, a in enumerate(args)}, **kwargs}
    signature, names = known
    if names is not None and len(args) + len(kwargs) == len(names):
        rest = names[len(args) :]
        if all(map(kwargs.__contains__, rest)):  # all are given: nearly every call, for 0.7 µs instead of 7
            return dict(zip(names, (*args, *map(kwargs.__getitem__, rest)), strict=True))
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
