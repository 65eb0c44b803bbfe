"""Tells what single Python values are to JSON: native, a scalar with a text or number, a container, or no data.

The kind is read off the type alone. `isinstance` would go by what `__class__` says, and a hostile or lazy object may
say anything there, or raise. No `repr` or `str` of a class that is not built in is called.
"""

import array
import dataclasses
import datetime
import enum
import functools
import ipaddress
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, Literal, cast

from runbundle.redaction.detectors.known_secrets import register_secret
from runbundle.redaction.markers import marker

JsonKind = Literal["native", "scalar", "map", "list", "set", "model", "fields", "none"]

items_of_dict: Callable[[Any], Any] = cast("Any", dict).items
type_of: Callable[[Any], Any] = type
_SEQUENCES, _SETS = (list, tuple, deque, array.array), (set, frozenset)
NATIVE = (str, int, float, bool, type(None))
_MAX_DECIMAL_BITS = 10_000  # Python refuses more than 4,300 digits, and takes quadratic time for as many


class NotJson(TypeError):
    """A value is no data: JSON has nothing that it could be written as."""


@functools.lru_cache(maxsize=2048)
def json_kind(kind: Any) -> JsonKind:
    """Return what the values of a type are to JSON; "none" for types that are no data."""
    if kind in NATIVE:
        return "native"
    if issubclass(kind, (enum.Enum, str, int, float, *_SCALARS)) or _number_of(kind) is not None:
        return "scalar"
    if _is_numpy(kind) or is_secret(kind):
        return "scalar"
    if issubclass(kind, Mapping):
        return "map"
    if issubclass(kind, _SEQUENCES):
        return "list"
    if issubclass(kind, _SETS):
        return "set"
    if is_model(kind):
        return "model"
    return "fields" if declared_fields(kind) is not None else "none"


# Pydantic's classes and exact numbers are known without importing their modules: a value can be of one only if somebody
# else has.


def is_model(kind: Any) -> bool:
    """Tell whether a class is a pydantic model."""
    return is_of(kind, "pydantic.main", "BaseModel")


def is_secret(kind: Any) -> bool:
    """Tell whether a class is one of pydantic's secrets."""
    return any(is_of(kind, "pydantic.types", name) for name in ("Secret", "SecretStr", "SecretBytes"))


def _number_of(kind: Any) -> Any:
    """Return the class of exact numbers that a class is or is below; None if there is none."""
    names = ("decimal", "Decimal"), ("fractions", "Fraction")
    return next((getattr(sys.modules[at], name) for at, name in names if is_of(kind, at, name)), None)


def is_of(kind: Any, module: str, name: str) -> bool:
    """Tell whether a class is one of a module, or below it, without importing the module."""
    base = getattr(sys.modules.get(module), name, None)
    return isinstance(base, type) and issubclass(kind, base)


def dumped(model: Any) -> Any:
    """Return the fields of a pydantic model, as pydantic itself gives them and not the model's class."""
    return sys.modules["pydantic.main"].BaseModel.model_dump(model, warnings=False)


@functools.lru_cache(maxsize=2048)
def declared_fields(kind: Any) -> tuple[str, ...] | None:
    """Return the field names that a class declares (dataclasses, attrs, msgspec); None if it declares none."""
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    said = cast("Mapping[str, Any]", vars(kind))
    if isinstance(declared := said.get("__attrs_attrs__"), tuple):
        return tuple(field.name for field in cast("tuple[Any, ...]", declared))
    declared = said.get("__struct_fields__")
    return cast("tuple[str, ...]", declared) if isinstance(declared, tuple) else None


def scalar(value: Any) -> Any:
    """Return the text or number for a single value that JSON cannot write itself: dates, paths, bytes, enums.

    Pydantic's secrets are registered as known secrets and become markers. Raises `NotJson` for anything that is no
    scalar, and whatever the value's own type raises.
    """
    kind = type_of(value)
    if issubclass(kind, enum.Enum):
        return scalar_or_self(value._value_)
    for base, written in _SCALARS.items():
        if issubclass(kind, base):
            made = written(value)
            return _bytes(made) if type(made) is bytes else _text(made)
    number = _number_of(kind)
    if number is not None:
        return _text(number.__str__(value))
    if is_secret(kind):
        return _secret(value)
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
        if not _is_numpy(type_of(item)):
            return scalar_or_self(item)
    raise NotJson


def scalar_or_self(value: Any) -> Any:
    """Return a scalar as JSON writes it; any other value unchanged, to be opened by the caller."""
    return scalar(value) if json_kind(type_of(value)) in ("native", "scalar") and value is not None else value


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
    register_secret(value.get_secret_value())
    return marker("credential")


def _duration(value: datetime.timedelta) -> str:
    sign, value = ("-", -value) if value < datetime.timedelta() else ("", value)
    fraction = f".{value.microseconds:06d}" if value.microseconds else ""
    return f"{sign}P{value.days}DT{value.seconds}{fraction}S"


_SCALARS: dict[Any, Any] = {
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: memoryview.tobytes,
    datetime.datetime: datetime.datetime.isoformat,
    datetime.date: datetime.date.isoformat,
    datetime.time: datetime.time.isoformat,
    datetime.timedelta: _duration,
    complex: complex.__repr__,
    uuid.UUID: uuid.UUID.__str__,
    PurePath: PurePath.__str__,
    ipaddress.IPv4Address: ipaddress.IPv4Address.__str__,
    ipaddress.IPv6Address: ipaddress.IPv6Address.__str__,
}
"""The functions that write scalars, by type. All are of the types themselves, never of a subclass."""


def _is_numpy(kind: Any) -> bool:
    module = kind.__module__
    return isinstance(module, str) and module.partition(".")[0] == "numpy" and "tolist" in dir(kind)  # pyright: ignore[reportUnnecessaryIsInstance]


def json_stand_in(value: Any) -> Any:
    """Return the data that orjson writes for a value which it does not know; raises `NotJson` if it is no data."""
    kind = type_of(value)
    tag = json_kind(kind)
    if tag == "scalar":
        return scalar(value)
    if tag == "fields":
        return {name: object.__getattribute__(value, name) for name in declared_fields(kind) or ()}
    if tag == "model":
        return dumped(value)
    if tag == "list":
        return list(items_of(value))
    if tag == "map" and issubclass(kind, dict):
        return dict(items_of_dict(value))
    raise NotJson


def builtin_base(value: Any) -> Any:
    """Return the built-in type beneath a collection's class; its methods know the content whatever the class says."""
    return next(base for base in (*_SEQUENCES, *_SETS, dict) if issubclass(type_of(value), base))


def items_of(value: Any) -> Iterator[Any]:
    """Return an iterator over a list, tuple, set or the like, made by the built-in type and not by its class."""
    return builtin_base(value).__iter__(value)
