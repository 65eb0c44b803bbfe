"""Packing a value collects its secrets and types, and refuses by name what cannot be stored."""

import dataclasses

import ormsgpack
import pytest
from pydantic import SecretStr

from runbundle.integrations.langgraph.pack import Packer, Refused


@dataclasses.dataclass
class Item:
    """Data."""

    x: object


class Words(list):  # type: ignore[type-arg]
    """More than a list."""


class Client:
    """No data."""


def test_plain_values_are_plain_msgpack() -> None:
    """Without any extension, and with nothing to collect."""
    packer = Packer(bytes)
    value = {"a": [1, 2.5, None, True, "ä"], "b": b"bytes"}
    assert ormsgpack.unpackb(packer.pack(value)) == value
    assert (packer.secrets, packer.types, packer.converted) == ([], set(), set())


def test_secrets_are_collected_and_written_encrypted_only() -> None:
    """Those of secret types go through `encrypt`; those under names of credentials are collected too."""
    packed: list[bytes] = []

    def encrypt(data: bytes) -> bytes:
        packed.append(data)
        return b"ENCRYPTED"

    packer = Packer(encrypt)
    data = packer.pack({"a": SecretStr("first"), "password": "second", "b": [Item(SecretStr("third"))]})
    assert set(packer.secrets) == {"first", "second", "third"}
    assert b"first" not in data
    assert b"third" not in data
    assert data.count(b"ENCRYPTED") == 2
    assert len(packed) == 2


def test_types_that_a_reader_needs_are_collected() -> None:
    """Those restored by name, and those that come back as a built-in type."""
    packer = Packer(bytes)
    packer.pack([Item(1), Words([1])])
    assert (packer.types, packer.converted) == ({Item}, {Words})


@pytest.mark.parametrize("value", [Client(), [Item(Client())], {"a": (Client(),)}], ids=["itself", "field", "tuple"])
def test_what_cannot_be_stored_is_refused_by_the_name_of_its_type(value: object) -> None:
    """Wherever it is in the value."""
    with pytest.raises(Refused) as caught:
        Packer(bytes).pack(value)
    assert caught.value.kind == f"{__name__}.Client"
