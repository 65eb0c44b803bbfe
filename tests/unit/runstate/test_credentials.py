"""Secrets in run state are found by their type and by the name under which they stand."""

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.runstate.credentials import (
    MASK,
    credential_values,
    masked_metadata,
    register_secrets,
)

TOKEN = "hx7-Tq2-zzPw9-KdLm4"


class Settings(BaseModel):
    """A model with a secret."""

    key: SecretStr


@dataclass
class Holder:
    """Data that holds a mapping."""

    inner: dict[str, Any]


class Liar:
    """Raises whatever is asked of it."""

    __dataclass_fields__ = ()

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        """Raise."""
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value",
    [
        {"api_key": TOKEN},
        {"a": [{"b": {"password": TOKEN}}]},
        ["api_key", TOKEN],
        {"headers": [["authorization", TOKEN]]},
        {"name": "api_key", "value": TOKEN},
        {"key": "client_secret", "value": TOKEN},
    ],
)
def test_a_value_under_the_name_of_a_credential_is_found_at_any_depth(value: Any) -> None:
    """In dictionaries, in pairs of name and value, and in records of name and value."""
    assert credential_values(value) == [TOKEN]


def test_other_values_are_not_taken_for_credentials() -> None:
    """Names that are no credential's, and lists that are no pair."""
    assert credential_values({"city": TOKEN, "tokens_used": 3, "list": ["api_key", "b", "c"]}) == []


@pytest.mark.timeout(20)
def test_each_part_of_a_value_is_searched_once() -> None:
    """One that holds itself was searched without end, and one with shared parts for each way that leads to them."""
    loop: dict[str, Any] = {"password": TOKEN}
    loop["again"] = [loop, loop]
    shared: list[Any] = [{"api_key": TOKEN}]
    for _ in range(60):
        shared = [shared, shared, 1]
    assert credential_values([loop, shared]) == [TOKEN, TOKEN]


def test_metadata_is_masked_at_its_first_level_and_its_secrets_become_known() -> None:
    """The rest of the metadata stays as it is; a deeper secret is known to the redactor, though not masked."""
    other = "q" + TOKEN
    given = {"api_key": TOKEN, "step": 1, "deep": {"password": other}}
    assert masked_metadata(given) == {"api_key": MASK, "step": 1, "deep": {"password": other}}
    assert KNOWN.find(f"x {TOKEN}")
    assert KNOWN.find(f"x {other}")
    assert given["api_key"] == TOKEN


@pytest.mark.parametrize(
    "value",
    [
        SecretStr(TOKEN),
        {"a": [SecretStr(TOKEN)]},
        Settings(key=SecretStr(TOKEN)),
        Holder({"api_key": TOKEN}),
        [Liar(), {"password": TOKEN}],
    ],
    ids=["secret", "nested", "model", "data class", "beside one that raises"],
)
def test_secrets_of_a_live_value_become_known(value: Any) -> None:
    """By type and by name, within models and data classes, and beside a value that raises."""
    register_secrets(value)
    assert KNOWN.find(f"x {TOKEN}")


def test_a_value_that_holds_itself_is_read_to_an_end() -> None:
    """And of a very large one only the first 2,000 values are examined."""
    loop: list[Any] = [{"password": TOKEN}]
    loop.append(loop)
    register_secrets(loop)
    assert KNOWN.find(f"x {TOKEN}")
    late = "Vb83-late-Qp55-only"
    register_secrets([*range(5000), {"password": late}])
    assert not KNOWN.find(f"x {late}")
