"""A row that anybody may have altered is checked before it is used."""

import pytest

from runbundle.errors import StateCorrupt
from runbundle.runstate import CheckpointKey, checks
from runbundle.runstate.sql.rows import (
    DATA,
    INTEGER,
    MAYBE_DATA,
    MAYBE_TEXT,
    NUMBER,
    TEXT,
    accepted,
    checked,
    json_object,
    versions_of,
)


def test_a_row_of_the_right_types_is_returned_as_it_is() -> None:
    """With nothing where nothing may be."""
    row = ("a", None, None, b"x", 3, 1.5, 2)
    assert checked(row, TEXT, MAYBE_TEXT, MAYBE_DATA, DATA, INTEGER, NUMBER, NUMBER) is row


@pytest.mark.parametrize(
    ("row", "kinds"),
    [(("a",), (DATA,)), ((None,), (TEXT,)), ((True,), (INTEGER,)), ((1.0,), (INTEGER,)), (("a",), ()), ((), (TEXT,))],
)
def test_a_column_of_another_type_is_damage(row: tuple[object, ...], kinds: tuple[tuple[type, ...], ...]) -> None:
    """A boolean is no integer, and a column too many or too few is damage too."""
    with pytest.raises(StateCorrupt):
        checked(row, *kinds)


@pytest.mark.parametrize("text", ["", "CANARY", "[]", "7", "null", "{" * 9])
def test_what_is_no_json_object_is_damage_and_not_repeated(text: str) -> None:
    """In metadata and in versions of slots."""
    for read in (json_object, versions_of):
        with pytest.raises(StateCorrupt) as caught:
            read(text)
        assert "CANARY" not in str(caught.value)


def test_a_version_of_a_slot_is_text() -> None:
    """A number there is damage, although it is JSON."""
    assert versions_of('{"a":"1"}') == json_object('{"a":"1"}') == {"a": "1"}
    with pytest.raises(StateCorrupt):
        versions_of('{"a":1}')


def test_a_value_that_a_store_would_refuse_to_write_is_damage() -> None:
    """And not an error of whoever reads it."""
    key = CheckpointKey("t", "", "1")
    assert accepted(checks.check_key, key) is key
    for bad in (key._replace(thread_id=""), key._replace(checkpoint_id="\x00")):
        with pytest.raises(StateCorrupt, match="damaged"):
            accepted(checks.check_key, bad)
