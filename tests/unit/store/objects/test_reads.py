"""All parts of an object that is read are of one version."""

from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore as Client

from runbundle.errors import KeyNotFound, StoreUnavailable
from runbundle.store.objects import reads
from runbundle.store.objects.reads import Reader, Stream, version_of

DATA = bytes(range(256))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client with an object of several parts, and an empty one."""
    monkeypatch.setattr(reads, "PART_BYTES", 100)
    made = Client()
    obstore.put(made, "large", DATA)
    obstore.put(made, "empty", b"")
    return made


def test_parts_join_to_the_object(client: Client) -> None:
    """Read as a whole, part by part, or as a stream into a buffer of any size."""
    reader = Reader(client, "s3://bucket")
    whole, version = reader.whole("large")
    assert whole == DATA
    part, meta = reader.part("large", 200, version)
    assert (part, meta["size"], version_of(meta)) == (DATA[200:], 256, version)
    for size in (1, 7, 100, 101, 999):
        stream = Stream(reader, "large")
        assert stream.readable()
        buffer, found = bytearray(size), b""
        while count := stream.readinto(buffer):
            found += bytes(buffer[:count])
        assert found == DATA


def test_a_replaced_object_is_an_error_and_never_a_mixture(client: Client) -> None:
    """For the reader of a part, and for one of a stream."""
    reader = Reader(client, "s3://bucket")
    _, version = reader.whole("large")
    stream = Stream(reader, "large")
    buffer = bytearray(100)
    assert stream.readinto(buffer) == 100
    obstore.put(client, "large", DATA[::-1])
    with pytest.raises(StoreUnavailable, match="was replaced"):
        reader.part("large", 100, version)
    with pytest.raises(StoreUnavailable, match="was replaced"):
        stream.readinto(buffer)


def test_a_missing_object_is_not_an_empty_one(client: Client) -> None:
    """A stream finds out when it is opened."""
    reader = Reader(client, "s3://bucket")
    for read in (reader.whole, lambda key: Stream(reader, key)):
        with pytest.raises(KeyNotFound):
            read("none")


def test_a_version_has_no_empty_parts() -> None:
    """Obstore refuses a tag that is None."""
    meta: Any = {"e_tag": '"x"', "version": None, "size": 3}
    assert version_of(meta) == {"e_tag": '"x"'}
