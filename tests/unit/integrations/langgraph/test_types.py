"""Which types are restored: plain data that is loaded, safe types, and those that are allowed."""

import dataclasses
import enum
import sys
from typing import Any, NamedTuple

import pydantic
import pydantic.v1
import pytest

from runbundle.integrations.langgraph.types import (
    FIELDS,
    MODEL,
    NAMES,
    ONE,
    POSITIONS,
    NotRestorable,
    is_data,
    is_model,
    is_restorable,
    plain_value_of,
    restored,
    type_names,
)


@dataclasses.dataclass
class Cart:
    """Counts how often it is constructed."""

    items: list[int]

    def __post_init__(self) -> None:
        raise AssertionError("constructed")


class Model(pydantic.BaseModel):
    """A model."""

    n: int


class Older(pydantic.v1.BaseModel):
    """A model of pydantic 1."""

    n: int


class Pair(NamedTuple):
    """A pair."""

    a: int


class Mode(enum.Enum):
    """A mode."""

    FAST = "fast"


class Client:
    """No data."""

    def __init__(self, host: str) -> None:
        self.host = host


HERE = __name__


def test_types_are_named_by_module_and_qualified_name() -> None:
    """As classes, or as pairs already."""
    assert type_names([Cart, (HERE, "Client"), ["a", "b"]]) == {(HERE, "Cart"), (HERE, "Client"), ("a", "b")}


def test_models_of_both_versions_are_models() -> None:
    """Nothing else is, and no instance is."""
    assert is_model(Model)
    assert is_model(Older)
    assert not any(is_model(kind) for kind in (Cart, Client, Model(n=1), 5))


def test_only_classes_that_hold_data_are_data() -> None:
    """A class with behaviour could do anything when it is made."""
    assert all(is_data(kind) for kind in (Cart, Model, Older, Pair, Mode))
    assert not any(is_data(kind) for kind in (Client, tuple, dict, 5))


def test_a_type_is_restorable_if_another_process_will_find_it() -> None:
    """Data at the top of a module is; a local class and one with behaviour are not, unless allowed."""

    @dataclasses.dataclass
    class Local:
        x: int

    assert is_restorable(Cart, frozenset())
    assert not is_restorable(Client, frozenset())
    assert is_restorable(Client, type_names([Client]))
    assert not is_restorable(Local, frozenset())


def test_data_is_filled_without_its_constructor() -> None:
    """`Cart` would raise."""
    cart = restored(FIELDS, [HERE, "Cart", {"items": [1]}], frozenset())
    assert type(cart) is Cart
    assert cart.items == [1]
    assert restored(NAMES, [HERE, "Pair", {"a": 1}], frozenset()) == Pair(1)
    assert restored(ONE, [HERE, "Mode", "fast"], frozenset()) is Mode.FAST
    model = restored(MODEL, [HERE, "Model", [{"n": "not validated"}, None, ["n"], None]], frozenset())
    assert model.n == "not validated"


def test_other_types_need_to_be_allowed() -> None:
    """Then they are made by their constructor."""
    parts = [HERE, "Client", ["host"]]
    with pytest.raises(NotRestorable):
        restored(POSITIONS, parts, frozenset())
    assert restored(POSITIONS, parts, type_names([Client])).host == "host"


@pytest.mark.parametrize(
    "parts",
    [
        ["os", "system", "true"],
        ["this", "s", "x"],
        [HERE, "pytest.mark", 1],
        [HERE, "NotRestorable", []],
        [HERE, "gone", {}],
        [5, "x", 1],
    ],
    ids=["a function", "a module that is not loaded", "an import", "an imported class", "nothing", "no name"],
)
def test_a_stored_name_causes_no_import_and_no_call(parts: list[Any]) -> None:
    """Whoever can write to the store chooses the name."""
    assert "this" not in sys.modules
    with pytest.raises(NotRestorable):
        restored(ONE, parts, frozenset())
    assert "this" not in sys.modules


def test_the_plain_value_of_a_model_is_its_fields() -> None:
    """And of anything else what was written."""
    assert plain_value_of(MODEL, ["m", "n", [{"a": 1}, None, [], None]]) == {"a": 1}
    assert plain_value_of(ONE, ["m", "n", "x"]) == "x"
