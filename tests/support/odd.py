"""Values as agents pass them about, and some that fight back."""

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import math
import pathlib
import threading
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic


class Colour(enum.Enum):
    """An enum."""

    RED = "red"
    BOTH = ("red", "blue")


class Level(enum.IntEnum):
    """An enum of numbers."""

    LOW = 1


@dataclasses.dataclass
class Node:
    """A dataclass."""

    name: str
    parent: Any = None
    _private: int = 3


@dataclasses.dataclass(init=False)
class Unset:
    """A dataclass whose field was never set."""

    missing: int
    there: int = 2


class Model(pydantic.BaseModel):
    """A model."""

    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    user: str = "ada"
    token: pydantic.SecretStr = pydantic.SecretStr("tok-Zx81Qp0Lm4Rt7Yv2")
    other: Any = None


class BrokenModel(pydantic.BaseModel):
    """A model whose serializer raises."""

    a: int = 1
    hidden: int = pydantic.Field(default=2, exclude=True)

    @pydantic.field_serializer("a")
    def _broken(self, value: int) -> int:
        raise RuntimeError


class Hostile:
    """An object that raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("hostile")

    def __repr__(self) -> str:
        raise AssertionError("repr was called")

    __str__ = __iter__ = __len__ = __bool__ = __hash__ = __repr__  # type: ignore[assignment]


class Liar:
    """An object that says that it is a dict."""

    __class__ = dict  # type: ignore[assignment]


class HostileMapping(Mapping[str, Any]):
    """A mapping whose items raise midway."""

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[str]:
        yield "a"
        raise RuntimeError

    def __getitem__(self, key: str) -> Any:
        return 1


class Endless(Mapping[str, Any]):
    """A mapping that has itself anew in it, without end."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        return iter("x")

    def __getitem__(self, key: str) -> Any:
        return Endless()


class Text(str):
    """A text whose own methods raise."""

    def __str__(self) -> str:
        raise AssertionError("str was called")

    __repr__ = __str__


class Number(int):
    """A number whose own methods raise."""

    def __repr__(self) -> str:
        raise AssertionError("repr was called")

    __str__ = __index__ = __int__ = __repr__  # type: ignore[assignment]


class Items(list[Any]):
    """A list whose own methods raise."""

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError


class Frame:
    """An object that could be asked for its data, by calling into it."""

    def to_dict(self) -> Any:
        raise AssertionError("to_dict was called")


class NumpyScalar:
    """What a NumPy scalar looks like."""

    __module__ = "numpy"

    def tolist(self) -> float:
        return 0.5


def cycle() -> list[Any]:
    """Return a list that contains itself."""
    items: list[Any] = [1]
    items.append(items)
    return items


def model_cycle() -> Model:
    """Return a model that contains itself."""
    model = Model()
    model.other = {"again": model}
    return model


async def _coroutine() -> None: ...


def coroutine() -> Any:
    """Return a coroutine that need not be awaited."""
    made = _coroutine()
    made.close()
    return made


DATA: dict[str, tuple[Any, Any]] = {
    "decimal": (decimal.Decimal("0.10"), "0.10"),
    "fraction": (fractions.Fraction(1, 3), "1/3"),
    "path": (pathlib.Path("a/b"), "a/b"),
    "uuid": (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    "address": (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
    "datetime": (datetime.datetime(2026, 3, 29, 2, 30), "2026-03-29T02:30:00"),
    "date": (datetime.date(2026, 3, 29), "2026-03-29"),
    "time": (datetime.time(1, 2, tzinfo=datetime.UTC), "01:02:00+00:00"),
    "duration": (datetime.timedelta(days=1, milliseconds=1500), "P1DT1.500000S"),
    "enum": (Colour.RED, "red"),
    "enum of a tuple": (Colour.BOTH, ["red", "blue"]),
    "enum of numbers": (Level.LOW, 1),
    "2**63": (2**63, 2**63),
    "2**70": (2**70, "1180591620717411303424"),
    "-2**70": (-(2**70), "-1180591620717411303424"),
    "more digits than Python writes": (16**6000, "0x1" + "0" * 6000),
    "NaN": (math.nan, "NaN"),
    "infinite": ([math.inf, -math.inf, None], ["Infinity", "-Infinity", None]),
    "tuple keys": ({("a", 1): 2, 3: 4}, {'["a",1]': 2, "3": 4}),
    "keys of one text": ({1: "a", "1": "b"}, {"int:1": "a", "1": "b"}),
    "keys of enums and dates": ({Colour.RED: 1, datetime.date(2026, 1, 1): 2}, {"red": 1, "2026-01-01": 2}),
    "None as a key": ({None: 1, True: 2, 1.5: 3}, {"null": 1, "true": 2, "1.5": 3}),
    "set": ({3, 1, 2}, [1, 2, 3]),
    "set of sets": (frozenset([frozenset([2]), frozenset([1])]), [[1], [2]]),
    "text as bytes": (b"abc", "abc"),
    "bytes": (b"\x00\xff", "bytes:\x00ÿ"),
    "memory": (memoryview(b"ab"), "ab"),
    "array": (array.array("d", [1.5]), [1.5]),
    "lone surrogate": ("caf\udce9", "caf\\udce9"),
    "text of a class": (Text("x"), "x"),
    "number of a class": (Number(5), 5),
    "list of a class": (Items([1, 2]), [1, 2]),
    "deque": (collections.deque([1]), [1]),
    "defaultdict": (collections.defaultdict(list, a=[1]), {"a": [1]}),
    "dataclass": (Node("n"), {"name": "n", "parent": None, "_private": 3}),
    "dataclass without its fields": (Unset(), {"there": 2}),
    "model": (Model(), {"user": "ada", "token": "[REDACTED:credential]", "other": None}),
    "model without its fields": (Model.model_construct(user="u"), {"user": "u", "token": "[REDACTED:credential]",
                                                                   "other": None}),
    "model that was never made": (Model.__new__(Model), {}),
    "model that cannot be written": (BrokenModel(), {"a": 1}),
    "numpy": (NumpyScalar(), 0.5),
    "complex": (1j, "1j"),
}  # fmt: skip
"""Data, and what it is as JSON."""

NOT_DATA: dict[str, Any] = {
    "object": object(),
    "lock": threading.Lock(),
    "generator": (i for i in range(3)),
    "iterator": iter([1]),
    "coroutine": coroutine(),
    "exception": ValueError("x"),
    "class": int,
    "enum class": Colour,
    "function": len,
    "hostile": Hostile(),
    "liar": Liar(),
    "mapping that raises": HostileMapping(),
    "frame": Frame(),
    "module": math,
}
"""What is no data: one marker in its place."""

PARTLY: dict[str, Any] = {
    "cycle": cycle(),
    "model with itself in it": model_cycle(),
    "endless": Endless(),
    "5,000 levels": functools.reduce(lambda inner, _: [inner], range(5000), []),
    "lock in a dataclass": Node("n", threading.Lock()),
    "object as a key": {object(): 1, "b": 2},
}
"""What has parts that cannot be written."""
