"""Keys that cannot be kept, and why."""

from pathlib import Path

from runbundle.keyring.kept_keys import KEY_BYTES, StoreKey, key_of, path_of, process_key, why_unwritable


def test_a_process_has_one_key_for_a_store() -> None:
    """It is drawn once, says why it is not kept, and is no other store's."""
    one = process_key("mem://a", "a reason")
    assert isinstance(one, StoreKey)
    assert (len(one.key), one.path, one.why) == (KEY_BYTES, None, "a reason")
    assert process_key("mem://a", "").key == one.key
    assert process_key("mem://b", "").key != one.key


def test_a_place_that_cannot_be_written_to_says_why(tmp_path: Path) -> None:
    """Before a key is made there, and without making one."""
    (tmp_path / "file").write_text("x")
    assert why_unwritable(tmp_path / "file" / "keys" / "k") == "Not a directory"
    assert why_unwritable(tmp_path / "keys" / "k") == ""
    assert not (tmp_path / "keys").exists()


def test_a_kept_key_says_where_it_is() -> None:
    """And why it is only this process's where it could not be kept."""
    found = key_of("file:///shop/runs")
    assert (found.path, found.why) == (path_of("file:///shop/runs"), "")
    assert key_of("file:///shop/runs") == found
