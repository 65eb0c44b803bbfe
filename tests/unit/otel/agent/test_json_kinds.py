"""The kinds of single values, read off their types alone."""

import dataclasses
import datetime
import enum
from collections import OrderedDict, deque
from pathlib import PurePosixPath
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from runbundle.otel.agent.json_kinds import (
    NotJson,
    builtin_base,
    declared_fields,
    items_of,
    json_kind,
    json_stand_in,
    scalar,
    scalar_or_self,
)
from runbundle.otel.agent.json_walk import JsonWalk, key_text
from runbundle.redaction.markers import is_marker


class Colour(enum.Enum):
    RED = "red"


class Model(BaseModel):
    name: str = "n"


@dataclasses.dataclass
class Point:
    x: int = 1
    y: int = 2


class Liar(list[int]):
    """A list that says that it is empty, and something else."""

    __class__ = dict  # type: ignore[assignment] - that is the point

    def __iter__(self) -> Any:
        raise RuntimeError

    def __len__(self) -> int:
        return 0


def test_the_kind_of_a_type_is_read_off_the_type() -> None:
    """Whatever `__class__` says."""
    kinds: dict[str, list[type]] = {
        "native": [str, int, type(None)],
        "scalar": [Colour, bytes, datetime.date, PurePosixPath, SecretStr],
        "map": [dict, OrderedDict],
        "list": [list, tuple, deque, Liar],
        "set": [set, frozenset],
        "model": [Model],
        "fields": [Point],
        "none": [object, type, property],
    }
    for kind, types in kinds.items():
        assert [json_kind(one) for one in types] == [kind] * len(types)
    assert declared_fields(Point) == ("x", "y")
    assert declared_fields(object) is None


def test_scalars_become_text_or_numbers_and_secrets_markers() -> None:
    """A value that is none is left to be opened, and refused where it cannot be."""
    assert scalar(Colour.RED) == "red"
    assert scalar(datetime.timedelta(days=-1, seconds=1)) == "-P0DT86399S"
    assert scalar(float("nan")) == "NaN"
    assert is_marker(scalar(SecretStr("a secret of this test")))
    assert scalar_or_self([1]) == [1]
    with pytest.raises(NotJson):
        scalar(object())


def test_a_collection_is_read_by_the_type_beneath_it() -> None:
    """Its own class may lie or raise."""
    assert builtin_base(Liar([1, 2])) is list
    assert list(items_of(Liar([1, 2]))) == [1, 2]
    assert json_stand_in(Liar([1, 2])) == [1, 2]
    assert json_stand_in(Point()) == {"x": 1, "y": 2}
    with pytest.raises(NotJson):
        json_stand_in(object())


def test_keys_are_texts_and_what_is_no_data_is_none() -> None:
    """Two keys with one text stay two, with their types."""
    assert (key_text((1, 2)), key_text(None), key_text(Colour.RED)) == ("[1,2]", "null", "red")
    with pytest.raises(NotJson):
        key_text(object())
    assert JsonWalk().to_json({1: "a", "1": "b"}) == ({"1": "b", "int:1": "a"}, "whole")


def test_a_walk_ends_at_its_limit_and_keeps_the_top() -> None:
    """The parts beyond it are markers, and the value says that it is cut."""
    value, word = JsonWalk(nodes=3).to_json({"a": 1, "deep": [Colour.RED] * 10})
    assert word == "cut"
    assert value["a"] == 1
    assert is_marker(value["deep"])
