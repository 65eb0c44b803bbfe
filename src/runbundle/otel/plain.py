"""Live Python values as JSON values, whatever they hold: what cannot be written costs only its own place.

Nothing here asks a value what it is: that is read off its type, since `isinstance` goes by what `__class__` says, and
a hostile or lazy object may say anything, or raise. No `repr` or `str` of a class that is not built in is called, no
iterator is used up, and no walk is longer than its limits.
"""

import array
import contextlib
import dataclasses
import datetime
import enum
import functools
import ipaddress
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from operator import itemgetter
from pathlib import PurePath
from typing import Any, Literal, cast

import orjson
from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from runbundle.models.bundle import CaptureWord
from runbundle.redaction.captured import worst
from runbundle.redaction.detectors.known import register_secret
from runbundle.redaction.markers import marker

MAX_DEPTH = 250
"""Levels that are opened; orjson writes 253."""
MAX_NODES = 100_000
"""Values that are looked at one by one, at 1 µs each."""
MAX_SECONDS = 0.5
"""For values whose own code takes its time."""

Tag = Literal["native", "leaf", "map", "list", "set", "model", "fields", "none"]

_UNSERIALISABLE = marker("unserialisable")
_CUT = marker("oversize")
_SEQUENCES, _SETS = (list, tuple, deque, array.array), (set, frozenset)
_NATIVE = (str, int, float, bool, type(None))
_MAX_DECIMAL_BITS = 10_000  # Python refuses more than 4,300 digits, and takes quadratic time for as many


class NotPlain(TypeError):
    """A value is nothing that JSON can hold."""


@functools.lru_cache(maxsize=2048)
def tag_of(kind: type) -> Tag:
    """Return what values of a type are to JSON."""
    if kind in _NATIVE:
        return "native"
    if issubclass(kind, (enum.Enum, str, int, float, *_LEAVES)) or _is_numpy(kind):
        return "leaf"
    if issubclass(kind, Mapping):
        return "map"
    if issubclass(kind, _SEQUENCES):
        return "list"
    if issubclass(kind, _SETS):
        return "set"
    if issubclass(kind, BaseModel):
        return "model"
    return "fields" if fields_of(kind) is not None else "none"


@functools.lru_cache(maxsize=2048)
def fields_of(kind: type) -> tuple[str, ...] | None:
    """Return the names of the fields of a class that declares them (dataclasses, attrs, msgspec), or None."""
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    if isinstance(declared := vars(kind).get("__attrs_attrs__"), tuple):
        return tuple(field.name for field in cast("tuple[Any, ...]", declared))
    declared = vars(kind).get("__struct_fields__")
    return cast("tuple[str, ...]", declared) if isinstance(declared, tuple) else None


def leaf(value: Any) -> Any:
    """Return text or a number for a single value that JSON has no word for. Raises whatever is wrong with it."""
    kind = type(value)
    if issubclass(kind, enum.Enum):
        return _single(value._value_)
    for base, written in _LEAVES.items():
        if issubclass(kind, base):
            return written(value)
    if issubclass(kind, str):
        return _text(str.__str__(value))
    if issubclass(kind, int):
        return _number(int.__int__(value)) if kind is not bool else value
    if issubclass(kind, float):
        number = float.__float__(value)
        return (
            number if number - number == 0 else "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"
        )
    if _is_numpy(kind):
        item = value.tolist()
        if not _is_numpy(type(item)):
            return _single(item)
    raise NotPlain


def _single(value: Any) -> Any:
    """Return what a value stands for: a leaf as it is written, anything else as it is, to be opened."""
    return leaf(value) if tag_of(type(value)) in ("native", "leaf") and value is not None else value


def _text(value: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # lone surrogates, which no encoding has; their numbers are kept
            return value.encode("utf-8", "backslashreplace").decode()
    return value


def _number(value: int) -> int | str:
    if -(2**63) <= value < 2**64:
        return value
    return str(value) if value.bit_length() <= _MAX_DECIMAL_BITS else hex(value)


def _bytes(value: Any) -> str:
    """Return bytes as the text that they are, else each as the character of its number: detectors read it as text."""
    data = bytes(value)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "bytes:" + data.decode("latin-1")


def _secret(value: Any) -> str:
    # Wherever else in this process the value turns up from now on, it is known.
    register_secret(cast("SecretStr", value).get_secret_value())
    return marker("credential")


def _duration(value: datetime.timedelta) -> str:
    sign, value = ("-", -value) if value < datetime.timedelta() else ("", value)
    fraction = f".{value.microseconds:06d}" if value.microseconds else ""
    return f"{sign}P{value.days}DT{value.seconds}{fraction}S"


_LEAVES: dict[Any, Any] = {
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: lambda value: _bytes(value.tobytes()),
    datetime.datetime: datetime.datetime.isoformat,
    datetime.date: datetime.date.isoformat,
    datetime.time: datetime.time.isoformat,
    datetime.timedelta: _duration,
    Decimal: Decimal.__str__,
    Fraction: lambda value: f"{value.numerator}/{value.denominator}",
    complex: complex.__repr__,
    uuid.UUID: uuid.UUID.__str__,
    PurePath: lambda value: _text(PurePath.__str__(value)),
    ipaddress.IPv4Address: ipaddress.IPv4Address.__str__,
    ipaddress.IPv6Address: ipaddress.IPv6Address.__str__,
    Secret: _secret,
    SecretStr: _secret,
    SecretBytes: _secret,
}
"""How values of these types, and of types made from them, are written, by functions of the types themselves."""


def _is_numpy(kind: type) -> bool:
    module = kind.__module__
    return isinstance(module, str) and module.partition(".")[0] == "numpy" and "tolist" in dir(kind)  # pyright: ignore[reportUnnecessaryIsInstance]


def stand_in(value: Any) -> Any:
    """Return what orjson is to write in the place of a value that it does not know. Raises for anything but data."""
    kind = type(value)
    tag = tag_of(kind)
    if tag == "leaf":
        return leaf(value)
    if tag == "fields":
        return {name: object.__getattribute__(value, name) for name in fields_of(kind) or ()}
    if tag == "model":
        return BaseModel.model_dump(value, warnings=False)
    if tag == "list":
        return list(_items(value))
    if tag == "map" and issubclass(kind, dict):
        return dict(dict.items(value))
    raise NotPlain


def key_text(key: Any) -> str:
    """Return the text of a mapping's key."""
    tag = tag_of(type(key))
    written = _single(key) if tag in ("native", "leaf") else key
    if type(written) is str:
        return written
    plain, word = Walk(1000).plain(written)
    if word != "whole":
        raise NotPlain
    return plain if type(plain) is str else orjson.dumps(plain, option=orjson.OPT_SORT_KEYS).decode()


def _base(value: Any) -> Any:
    """Return the built-in type of a collection: whatever a class of its own says, that type knows what is in it."""
    return next(base for base in (*_SEQUENCES, *_SETS, dict) if issubclass(type(value), base))


def _items(value: Any) -> Iterator[Any]:
    return _base(value).__iter__(value)


def _fields(value: Any, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name in names:
        try:
            yield name, object.__getattribute__(value, name)
        except AttributeError:
            continue  # declared and never set
        except Exception:  # noqa: BLE001 - a property that raises costs itself alone
            yield name, _ODD


class _Odd:
    """Stands for a value that could not be had."""


_ODD = _Odd()


def _model_fields(value: BaseModel) -> Iterator[tuple[str, Any]]:
    """Return the fields of a model as they are where its own serializers fail, without those it never shows."""
    try:
        shown = BaseModel.model_dump(value, warnings=False)
    except Exception:  # noqa: BLE001 - a serializer that raises, a cycle, a model without its fields
        declared = type(value).model_fields
        shown = dict(cast("dict[str, Any]", object.__getattribute__(value, "__dict__")))
        shown = {name: item for name, item in shown.items() if name not in declared or not declared[name].exclude}
        with contextlib.suppress(AttributeError):
            shown |= object.__getattribute__(value, "__pydantic_extra__") or {}
    return iter(cast("Any", shown).items()) if type(shown) is dict else iter({"root": shown}.items())


# Where a value stands: itself, and where what is above it stands. Objects, not ids: an id may be given again.
_Above = tuple[Any, "_Above"] | None
_Place = tuple[Any, Any, Any, int, _Above]


class Walk:
    """One walk over one value, level by level, so that what is near the top is kept where a limit ends it."""

    def __init__(self, nodes: int = MAX_NODES, seconds: float = MAX_SECONDS) -> None:
        self._nodes = nodes
        self._until = time.monotonic() + seconds
        self._word: CaptureWord = "whole"
        self._pending: deque[_Place] = deque()
        self._sets: list[list[Any]] = []

    def plain(self, value: Any) -> tuple[Any, CaptureWord]:
        """Return `value` as JSON values, and `whole`, `cut` or `unserialisable`. Total."""
        holder: list[Any] = [None]
        self._pending.append((value, holder, 0, 0, None))
        while self._pending:
            place = self._pending.popleft()
            item, into, at, depth, above = place
            try:
                into[at] = self._opened(item, depth, above)
            except Exception:  # noqa: BLE001 - whatever is wrong with it is wrong with it alone
                into[at] = self._marked("unserialisable", _UNSERIALISABLE)
        for items in reversed(self._sets):  # inner ones come later, and are in order before outer ones are
            items.sort(key=_canonical)
        return holder[0], self._word

    def _marked(self, word: CaptureWord, mark: str) -> str:
        self._word = worst((self._word, word))
        return mark

    def _opened(self, value: Any, depth: int, above: _Above) -> Any:
        tag = tag_of(type(value))
        if tag in ("native", "leaf"):
            written = value if value is None else leaf(value)
            if type(written) in _NATIVE:
                return written
            value, tag = written, tag_of(type(written))  # an enum or an array of numbers
        if tag == "none" or depth >= MAX_DEPTH or _within(value, above):
            raise NotPlain
        is_dict = tag == "map" and issubclass(type(value), dict)
        sized = is_dict or tag in ("list", "set")
        if self._nodes <= 0 or (sized and _base(value).__len__(value) > self._nodes):
            return self._marked("cut", _CUT)
        here = (value, above)
        if tag in ("list", "set"):
            return self._sequence(value, depth, here, in_order=tag == "list")
        if is_dict:
            return self._mapping(iter(dict.items(value)), depth, here)
        if tag == "map":
            return self._mapping(iter(value.items()), depth, here, timed=True)
        if tag == "model":
            return self._mapping(_model_fields(value), depth, here)
        return self._mapping(_fields(value, fields_of(type(value)) or ()), depth, here)

    def _spent(self) -> bool:
        self._nodes -= 1
        return self._nodes < 0

    def _sequence(self, value: Any, depth: int, here: _Above, *, in_order: bool) -> Any:
        made: list[Any] = []
        for item in _items(value):
            if self._spent():
                return self._marked("cut", _CUT)
            made.append(None)
            self._put(item, made, len(made) - 1, depth, here)
        if not in_order:
            self._sets.append(made)
        return made if self._in_time() else self._marked("cut", _CUT)

    def _mapping(self, items: Iterator[Any], depth: int, here: _Above, *, timed: bool = False) -> Any:
        made: dict[str, Any] = {}
        later: list[tuple[Any, Any]] = []
        for key, item in items:
            if self._spent() or (timed and not self._in_time()):
                return self._marked("cut", _CUT)
            if type(key) is str and key.isascii():
                made[key] = None
                self._put(item, made, key, depth, here)
            else:
                later.append((key, item))
        named = ((*self._named(key), item) for key, item in later)
        for name, kind, item in sorted(named, key=itemgetter(0, 1)):  # in whatever order they were put there
            if name in made:
                name = f"{kind}:{name}"  # the number 1 beside the text "1"
                while name in made:  # of several like that, which is which nobody can tell
                    name = self._marked("unserialisable", f"{name}'")
            made[name] = None
            self._put(item, made, name, depth, here)
        return made if self._in_time() else self._marked("cut", _CUT)

    def _named(self, key: Any) -> tuple[str, str]:
        try:
            return key_text(key), type(key).__name__
        except Exception:  # noqa: BLE001 - as for a value
            return self._marked("unserialisable", _UNSERIALISABLE), ""

    def _put(self, item: Any, into: Any, at: Any, depth: int, here: _Above) -> None:
        """Put a child in its place: at once if it is JSON's own, else when its level's turn comes."""
        kind = type(item)
        if (
            item is None
            or (kind is str and item.isascii())
            or kind is bool
            or (kind is int and -(2**63) <= item < 2**64)
            or (kind is float and item - item == 0)
        ):
            into[at] = item
        else:
            self._pending.append((item, into, at, depth + 1, here))

    def _in_time(self) -> bool:
        if time.monotonic() <= self._until:
            return True
        self._nodes = 0
        return False


def _within(value: Any, above: _Above) -> bool:
    while above is not None:
        if above[0] is value:
            return True
        above = above[1]
    return False


def _canonical(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
