"""State as JSON: it is kept whole, or refused when it is saved, and not found missing when the run is resumed."""

import math
import warnings
from collections import deque
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretBytes, SecretStr, field_serializer

from runbundle.errors import ConfigError
from runbundle.runstate import RunState
from runbundle.runstate.plain import json_bytes, plain_of

SECRET = "wert-4711-geheim"


class Settings(BaseModel):
    """Writes stars for its secret."""

    key: SecretStr = SecretStr(SECRET)
    hidden: str = Field(default="", exclude=True)


class Open(BaseModel):
    """Writes its secret to JSON, as its application wants it."""

    key: SecretStr = SecretStr(SECRET)

    @field_serializer("key", when_used="json")
    def _said(self, value: SecretStr) -> str:
        return value.get_secret_value()


@dataclass
class Holder:
    """A data class that holds a secret."""

    key: SecretBytes


CYCLE: dict[str, Any] = {}
CYCLE["again"] = CYCLE
DEEP: list[Any] = []
for _ in range(300):
    DEEP = [DEEP]


_SECRET, _NAN, _TWICE, _NO_JSON = "a secret type", "NaN or an infinite number", "two keys of one text", "is not JSON"
REFUSED: dict[str, tuple[Any, str]] = {
    "a secret": (SecretStr(SECRET), _SECRET), "in a tuple": ([{"b": (SecretStr(SECRET),)}], _SECRET),
    "in a model": (Settings(), _SECRET), "in a model below a number": ({1: Settings()}, _SECRET),
    "in a data class": (Holder(SecretBytes(SECRET.encode())), _SECRET), "in a set": ({SecretStr(SECRET)}, _SECRET),
    "as a key": ({SecretStr(SECRET): 1}, _SECRET), "in a deque": (deque([SecretStr(SECRET)]), _SECRET),
    "NaN": (math.nan, _NAN), "no limit": ([{"usd": math.inf}, None], _NAN),
    "in a set of numbers": ({math.inf}, _NAN),
    "1 and its text": ({1: "a", "1": "b"}, _TWICE), "true and its text": ([{True: "a", "true": "b"}], _TWICE),
    "a cycle": (CYCLE, _NO_JSON), "depth": (DEEP, _NO_JSON), "a large number": (2**70, _NO_JSON),
    "bytes": (b"\xff", _NO_JSON), "a surrogate": ("\ud800", _NO_JSON), "an object": (object(), _NO_JSON),
}  # fmt: skip


@pytest.mark.timeout(20)  # a cycle was once followed for ever
@pytest.mark.parametrize(("value", "says"), REFUSED.values(), ids=REFUSED)
def test_what_json_does_not_keep_is_refused(value: Any, says: str) -> None:
    """A secret would come back as stars, NaN as None, of two keys one; no error quotes a value."""
    with pytest.raises(ConfigError, match=says) as raised:
        json_bytes(plain_of(RunState(run_id="r", data={"a": value})))
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({1: "a", None: "b"}, {"1": "a", "None": "b"}), ((1, 2.5, None), [1, 2.5, None]),
        (Open(), {"key": SECRET}), ({1: Open()}, {"1": {"key": SECRET}}), ({"null": "nan"}, {"null": "nan"}),
        (SECRET, SECRET), ({}, {}),
    ],
    ids=["keys", "tuple", "model", "model below a number", "names", "text", "nothing"],
)  # fmt: skip
def test_what_json_keeps_is_kept(value: Any, kept: Any) -> None:
    """As its own serializer writes it, where it has one."""
    plain = plain_of(RunState(run_id="r", data={"a": value}))
    assert plain["data"] == {"a": kept}
    assert json_bytes(plain)


@pytest.mark.parametrize(
    "update", [{"step": 1.5}, {"messages": {SECRET: 1}}, {"lanes": {SECRET: SECRET}}], ids=["step", "messages", "lanes"]
)
def test_a_field_of_another_type_is_refused_when_it_is_saved(update: dict[str, Any]) -> None:
    """Which `model_copy` does not do; saved, it could not be loaded. The field is named, and no value."""
    state = RunState(run_id="r").model_copy(update=update)
    warnings.simplefilter("error")  # whose text would quote the value
    with pytest.raises(ConfigError, match=f"{next(iter(update))} is not of its type") as raised:
        plain_of(state)
    assert SECRET not in f"{raised.value!r} {raised.value}"
