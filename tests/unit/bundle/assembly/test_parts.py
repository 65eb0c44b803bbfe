"""The files of a bundle while they are made."""

import hashlib
from pathlib import Path

import pytest

from runbundle.bundle.assembly.parts import MEMORY_BYTES, NewFile, batches, digest_only, make_file


@pytest.mark.parametrize("size", [0, 10, MEMORY_BYTES, MEMORY_BYTES + 1])
def test_a_file_has_the_size_and_digest_of_its_pieces_in_memory_or_on_disk(tmp_path: Path, size: int) -> None:
    """A small one is bytes; a large one is an unnamed file, read in whole lines."""
    pieces = [b"x" * 1023 + b"\n"] * (size // 1024) + [b"y" * (size % 1024)]
    whole = b"".join(pieces)
    made = make_file("events.jsonl", pieces, tmp_path)
    assert isinstance(made.body, bytes) == (size <= MEMORY_BYTES)
    assert list(tmp_path.iterdir()) == []
    assert (made.size, made.sha256) == (size, hashlib.sha256(whole).hexdigest())
    read = list(made.pieces())
    assert b"".join(read) == whole
    assert all(piece.endswith(b"\n") for piece in read[:-1])
    again = digest_only("events.jsonl", pieces, tmp_path)
    assert (again.name, again.size, again.sha256, again.body) == (made.name, made.size, made.sha256, b"")
    made.close()


def test_a_file_has_the_media_type_of_the_layout() -> None:
    """And none if the format has no such file."""
    assert NewFile("run.json", b"", 0, "").media_type == "application/json"
    assert NewFile("events.jsonl", b"", 0, "").media_type == "application/x-ndjson"
    with pytest.raises(KeyError):
        _ = NewFile("other", b"", 0, "").media_type


def test_a_batch_is_of_64_kib_or_one_larger_item() -> None:
    """All items come back in order, in no empty batch; what is larger is with no others."""
    small, large = b"x" * 30_000, b"y" * 70_000
    found = list(batches([small, small, small, small, large, large, small], len))
    assert found == [[small, small, small], [small], [large], [large], [small]]
    assert list(batches([], len)) == []
