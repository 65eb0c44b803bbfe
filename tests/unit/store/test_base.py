"""Keys, prefixes and ranges are checked once, before any backend sees them."""

import io

import pytest

from runbundle.errors import ConfigError, StoreUnavailable
from runbundle.store import ArtifactStore, MemoryStore
from runbundle.store.base import check_key, check_prefix, check_range, chunks_of, is_key

BAD_KEYS = ["", "/", "a//b", "a/", "/a", "..", "a/../b", ".a", "a/.b", "-a", "a b", "a\x00", "ä", "a\n", "x" * 256]


@pytest.mark.parametrize("key", ["a", "a/b.json", "A-1/x_.y", "0/1/2", "x" * 255])
def test_a_key_is_plain_segments(key: str) -> None:
    """Joined by slashes; each is also a prefix, with or without a slash at its end."""
    assert is_key(key)
    assert check_key(key) == key
    assert check_prefix(key) == key
    assert check_prefix(f"{key}/") == f"{key}/"


@pytest.mark.parametrize("key", BAD_KEYS)
def test_anything_else_is_no_key_and_is_not_repeated(key: str) -> None:
    """The error says how keys are written."""
    assert not is_key(key)
    with pytest.raises(ConfigError, match="invalid key of a store"):
        check_key(key)


def test_the_empty_prefix_is_all_keys() -> None:
    """A prefix that no key can begin with is refused."""
    assert check_prefix("") == ""
    for bad in ("/", ".a", "a//b", "../", "a b"):
        with pytest.raises(ConfigError, match="invalid prefix"):
            check_prefix(bad)


def test_ranges_count_forwards() -> None:
    """Both numbers may be zero, neither negative."""
    check_range(0, 0)
    for start, length in ((-1, 0), (0, -1)):
        with pytest.raises(ConfigError, match="range"):
            check_range(start, length)


@pytest.mark.parametrize("size", [0, 1, 1_048_576, 1_048_577, 3_000_000])
def test_chunks_join_to_what_was_given(size: int) -> None:
    """None is longer than a mebibyte; a file is read from its beginning, wherever it was read to, and stays open."""
    data = bytes(range(251)) * (size // 251) + bytes(size % 251)
    with io.BytesIO(data) as file:
        file.seek(size // 2)
        for given in (data, file):
            chunks = [bytes(chunk) for chunk in chunks_of(given)]
            assert b"".join(chunks) == data
            assert all(0 < len(chunk) <= 1_048_576 for chunk in chunks)
        assert not file.closed


def test_a_backend_that_cannot_replace_says_so() -> None:
    """The defaults of the interface: no replacement, nothing odd, nothing to sweep."""
    store = MemoryStore()
    store.put("run/a", b"x")
    with pytest.raises(StoreUnavailable, match="cannot replace run/a"):
        ArtifactStore.replace(store, "run/a", b"y", expected=b"x")
    assert store.get("run/a") == b"x"
    assert list(ArtifactStore.odd(store)) == []
    assert ArtifactStore.sweep(store) == 0
