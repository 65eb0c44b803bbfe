"""Packs values of a graph's state as msgpack.

The form is that of LangGraph's own serializer, extended by types that it would lose.
"""

import dataclasses
import decimal
import ipaddress
import pathlib
import re
import sys
from collections import deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from enum import Enum
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import ormsgpack
from langgraph.checkpoint.serde.types import SendProtocol
from langgraph.checkpoint.serde.types import _DeltaSnapshot as DeltaSnapshot  # pyright: ignore[reportPrivateUsage]
from langgraph.store.base import Item

from runbundle.integrations.langgraph.types import (
    ARRAY,
    DELTA,
    FIELDS,
    MAPPING,
    METHOD,
    MODEL,
    NAMES,
    NUMBER,
    ONE,
    POSITIONS,
    PYDANTIC_V1,
    PYDANTIC_V2,
    SCALAR,
    SECRET,
    TEXT,
    TUPLE,
    is_model,
)
from runbundle.runstate.credentials import credential_values

_STRICT = (
    ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_UUID
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_BIG_INT
)
_DEPTH = 100
_ADDRESSES = (
    ipaddress.IPv4Address, ipaddress.IPv4Interface, ipaddress.IPv4Network,
    ipaddress.IPv6Address, ipaddress.IPv6Interface, ipaddress.IPv6Network,
)  # fmt: skip
_TIMES = (datetime, date, time, timedelta, timezone)
_PLAIN_KEYS = (str, int, float, bool, bytes, type(None))


class Refused(TypeError):
    """Raised for a value of a type that cannot be stored. `kind` is the name of the type."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Packer:
    """Packs one value, and collects its secrets and the types that matter for reading it back.

    `encrypt` is called with each packed secret, and returns the bytes to store for it.
    """

    def __init__(self, encrypt: Callable[[bytes], bytes]) -> None:
        self._encrypt = encrypt
        self._depth = 0
        self.secrets: list[object] = []
        """The values that are secret by their type, or by the name under which they stand."""
        self._stopped: Refused | None = None
        self.types: set[type] = set()
        """The types that a reader restores by name."""
        self.converted: set[type] = set()
        """The types whose values are read back as a built-in type: a subclass of `dict` as a `dict`."""

    def pack(self, value: Any) -> bytes:
        """Return a value as msgpack. Raises `Refused` if a part of it cannot be stored.

        Afterwards `secrets`, `types` and `converted` are complete.
        """
        self._depth += 1
        try:
            if self._depth > _DEPTH:
                raise self._stop(f"structure of more than {_DEPTH} objects in each other")
            self.secrets += credential_values(value)
            try:
                return ormsgpack.packb(value, default=self._default, option=_STRICT)
            except TypeError:
                if self._stopped is not None:
                    raise self._stopped from None
                # Text that is no UTF-8, or keys that are not text: rare, so they cost a walk of their own.
                try:
                    loose = _STRICT | ormsgpack.OPT_NON_STR_KEYS
                    return ormsgpack.packb(_portable(value, 0), default=self._default, option=loose)
                except (TypeError, RecursionError) as error:
                    raise self._stopped or self._stop(_name(cast("Any", type(value))), error) from None
        finally:
            self._depth -= 1

    def _stop(self, kind: str, error: BaseException | None = None) -> Refused:
        self._stopped = error if isinstance(error, Refused) else Refused(kind)
        return self._stopped

    def _default(self, value: Any) -> Any:
        if type(value) is tuple:
            return ormsgpack.Ext(TUPLE, self.pack(list(cast("tuple[Any, ...]", value))))
        try:
            code, body = self._body(value)
            return ormsgpack.Ext(code, body if isinstance(body, bytes) else self.pack(body))
        except _Plain as plain:
            return plain.value
        except Refused as refused:
            raise self._stop("", refused) from None
        except Exception:  # noqa: BLE001 - whatever a class of the application raises when it is looked at
            raise self._stop(_name(cast("Any", type(value)))) from None

    def _body(self, value: Any) -> tuple[int, Any]:
        kind = cast("Any", type(value))
        if kind is _Text:
            return TEXT, value.text.encode("utf-8", "surrogatepass")
        if kind is int:
            return NUMBER, str(value).encode()
        if kind is _Mapping:
            return MAPPING, value.pairs
        if isinstance(value, DeltaSnapshot):
            return DELTA, self.pack(value.value)
        if isinstance(value, Enum):
            return ONE, self._named(kind, value.value)
        if callable(getattr(value, "get_secret_value", None)):
            return self._secret_of(value)
        if is_model(kind):
            return self._model(value)
        if callable(getattr(value, "model_dump", None)):
            return PYDANTIC_V2, [*self._named(kind, value.model_dump()), "model_validate_json"]
        if callable(getattr(value, "dict", None)):
            return PYDANTIC_V1, self._named(kind, value.dict())
        if isinstance(value, tuple) and callable(getattr(cast("Any", value), "_asdict", None)):
            return NAMES, self._named(kind, cast("Any", value)._asdict())
        if isinstance(value, pathlib.PurePath):
            return POSITIONS, self._named(kind, list(value.parts))
        if isinstance(value, re.Pattern):
            found = cast("re.Pattern[Any]", value)
            return POSITIONS, ["re", "compile", [found.pattern, found.flags]]
        if isinstance(value, UUID):
            return ONE, self._named(kind, value.hex)
        if isinstance(value, (decimal.Decimal, *_ADDRESSES)):
            return ONE, self._named(kind, str(value))
        if isinstance(value, set | frozenset | deque):
            return ONE, self._named(kind, list(cast("Any", value)))
        if isinstance(value, _TIMES):
            return self._time(value, kind)
        if isinstance(value, ZoneInfo):
            return ONE, self._named(kind, value.key)
        if dataclasses.is_dataclass(kind):
            return FIELDS, self._named(cast("type", kind), self._fields(value))
        if isinstance(value, SendProtocol):
            timeout = getattr(value, "timeout", None)
            return POSITIONS, self._named(kind, [value.node, value.arg, *([] if timeout is None else [timeout])])
        if isinstance(value, Item):
            return NAMES, self._named(kind, {name: getattr(value, name) for name in value.__slots__})
        return self._rest(value, kind)

    def _rest(self, value: Any, kind: Any) -> tuple[int, Any]:
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.ndarray) and _is_plain(value.dtype):
            fortran = value.flags.f_contiguous and not value.flags.c_contiguous
            order = "F" if fortran else "C"
            return ARRAY, [value.dtype.str, list(value.shape), order, value.tobytes(order=order)]
        if numpy is not None and isinstance(value, numpy.generic) and _is_plain(value.dtype):
            return SCALAR, [value.dtype.str, value.tobytes()]
        if isinstance(value, BaseException):
            raise _Plain(repr(value))  # as LangGraph has it, for the errors of its tasks
        for base in (dict, list, tuple, str, int, float, bytes):
            if issubclass(kind, base):
                self.converted.add(cast("type", kind))
                raise _Plain(cast("Any", base)(value) if base is not str else str.__str__(value))
        if isinstance(value, complex):
            return POSITIONS, ["builtins", "complex", [value.real, value.imag]]
        raise Refused(_name(kind))

    def _named(self, kind: type, body: Any) -> list[Any]:
        self.types.add(kind)
        return [kind.__module__, kind.__qualname__, body]

    def _secret_of(self, value: Any) -> tuple[int, Any]:
        kind = cast("Any", type(value))
        inner = value.get_secret_value()
        self.secrets.append(inner)
        name = kind.__qualname__.partition("[")[0]  # `Secret[date]` is a class of its own
        return SECRET, self._encrypt(self.pack([kind.__module__, name, inner]))

    def _model(self, value: Any) -> tuple[int, Any]:
        """Return a pydantic model as it is; where that cannot be packed, as the model itself says it is written."""
        kind = cast("Any", type(value))
        state: dict[str, Any] = value.__getstate__()
        kept: list[Any] = [
            state.get("__dict__") or {},
            state.get("__pydantic_extra__"),
            sorted(state.get("__pydantic_fields_set__") or state.get("__fields_set__") or ()),
            state.get("__pydantic_private__") or state.get("__private_attribute_values__") or None,
        ]
        try:
            return MODEL, self.pack(self._named(kind, kept))
        except Refused:
            self._stopped = None
        if hasattr(value, "model_dump"):
            return PYDANTIC_V2, [*self._named(kind, value.model_dump()), "model_validate_json"]
        return PYDANTIC_V1, self._named(kind, value.dict())

    def _fields(self, value: Any) -> dict[str, Any]:
        """Return what a data class holds: its fields, and what else was set on it and can be stored."""
        names = [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]
        held = {name: getattr(value, name) for name in names}
        for name, part in getattr(value, "__dict__", {}).items():
            if name not in held:
                try:
                    self.pack(part)
                except Refused:
                    self._stopped = None
                else:
                    held[name] = part
        return held

    def _time(self, value: Any, kind: type) -> tuple[int, Any]:
        if isinstance(value, datetime):
            return METHOD, [*self._named(kind, value.isoformat()), "fromisoformat"]
        if isinstance(value, timedelta):
            return POSITIONS, self._named(kind, [value.days, value.seconds, value.microseconds])
        if isinstance(value, date):
            return POSITIONS, self._named(kind, [value.year, value.month, value.day])
        if isinstance(value, timezone):
            return POSITIONS, self._named(kind, list(cast("Any", value).__getinitargs__()))
        parts = ("hour", "minute", "second", "microsecond", "tzinfo", "fold")
        return NAMES, self._named(kind, {part: getattr(value, part) for part in parts})


class _Plain(Exception):
    """Carries what stands for a value and needs no extension."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


@dataclasses.dataclass(slots=True)
class _Text:
    """Text with lone surrogates, such as the name of a file."""

    text: str


@dataclasses.dataclass(slots=True)
class _Mapping:
    """A dictionary whose keys are not plain."""

    pairs: list[Any]


def _portable(value: Any, depth: int) -> Any:
    """Return a value with what msgpack has no form for replaced, in lists and dictionaries."""
    if depth > 2 * _DEPTH:
        raise RecursionError
    if type(value) is str:
        return value if _is_utf8(value) else _Text(value)
    if type(value) is list:
        return [_portable(item, depth + 1) for item in cast("list[Any]", value)]
    if type(value) is not dict:
        return value
    held = cast("dict[Any, Any]", value)
    if all(type(key) in _PLAIN_KEYS and (type(key) is not int or -(2**63) <= key < 2**64) for key in held) and all(
        _is_utf8(key) for key in held if type(key) is str
    ):
        return {key: _portable(item, depth + 1) for key, item in held.items()}
    return _Mapping([[_portable(key, depth + 1), _portable(item, depth + 1)] for key, item in held.items()])


def _is_plain(dtype: Any) -> bool:
    """Tell whether a type of numpy is written by its short name: no pointers, no named fields."""
    return not dtype.hasobject and dtype.names is None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
