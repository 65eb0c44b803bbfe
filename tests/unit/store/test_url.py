"""URLs of stores: many name the same store, and a store to be read must exist."""

from pathlib import Path

import pytest

from runbundle.errors import ConfigError, StoreUnavailable
from runbundle.store import LocalStore, MemoryStore, from_url
from runbundle.store.url import canonical_url, local_root, require_there


def test_all_names_of_a_local_store_have_one_canonical_url(tmp_path: Path) -> None:
    """A path, a relative one, one through a link or `..`, and both forms of the URL."""
    root = tmp_path / "a b"
    root.mkdir()
    (tmp_path / "link").symlink_to(root)
    names = ["a b", str(root), f"{root}/", str(tmp_path / "link"), f"{tmp_path}/x/../a b", root.as_uri()]
    assert {canonical_url(name) for name in names} == {root.as_uri()}
    assert {local_root(name) for name in names} == {root}


def test_an_object_store_is_the_same_whatever_its_connection() -> None:
    """Timeouts and retries do not count; the bucket, prefix and server do."""
    one = canonical_url("s3://bucket/p?timeout_s=5&retries=1&region=eu-west-1")
    assert one == canonical_url("s3://bucket/p") == "s3://bucket/p"
    assert canonical_url("s3://bucket/q") != one
    assert canonical_url("s3://bucket/p?endpoint=https://s3.example.com") != one
    with pytest.raises(ConfigError):
        canonical_url("s3://bucket?nonsense=1")


@pytest.mark.parametrize("url", ["memory://", "ftp://host/x"])
def test_other_urls_are_no_folder_and_stay_as_they_are(url: str) -> None:
    """Whatever they name."""
    assert local_root(url) is None
    assert canonical_url(url) == url


def test_a_local_store_that_is_to_be_read_must_exist(tmp_path: Path) -> None:
    """A missing store is not an empty one; other stores are asked nothing."""
    require_there(LocalStore(tmp_path))
    require_there(MemoryStore())
    (tmp_path / "file").write_text("")
    for name, says in (("none", "is not there"), ("file", "is no folder")):
        with pytest.raises(StoreUnavailable, match=says):
            require_there(LocalStore(tmp_path / name))


@pytest.mark.parametrize("url", ["", " ", "a\0b", "s3:/bucket/p", "file:/var/x", "backup.zip", "memory://?a=1"])
def test_a_slip_in_a_url_makes_no_folder_of_that_name(url: str) -> None:
    """The error says what was probably meant."""
    with pytest.raises(ConfigError):
        from_url(url)


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("file:/var/x", "file:///var/x"),
        ("file:./runs", "./runs"),
        ("file:runs", "runs"),
        ("file:", "file:///"),
        ("s3:bucket/p", "s3://bucket/p"),
    ],
)
def test_a_slip_in_a_url_is_answered_by_the_place_that_was_meant(url: str, meant: str) -> None:
    """A path that began in this folder is not said to begin at the root."""
    with pytest.raises(ConfigError) as raised:
        from_url(url)
    assert raised.value.hint == f"did you mean {meant}?"
