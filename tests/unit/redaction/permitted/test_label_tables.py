"""Labels of values in structure: keys, pairs of name and value, options before a value."""

from typing import Any

import pytest

from runbundle.redaction.markers import marker
from runbundle.redaction.permitted.labelled import escape, labels_of_list, labels_of_map, mask_labelled
from runbundle.redaction.receipt import Receipt


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ({"password": "x", "city": "Oslo"}, {"password": "password"}),
        ({"name": "password", "value": "x"}, {"value": "password"}),
        ({"name": "city", "value": "Oslo"}, {}),
        ({1: "password"}, {}),
    ],
)
def test_a_field_is_labelled_by_its_key_or_by_the_name_beside_it(value: dict[Any, Any], labels: dict[Any, str]) -> None:
    """A name counts for the value in the same object."""
    assert labels_of_map(value) == labels


@pytest.mark.parametrize(
    ("items", "labels"),
    [
        (["password", "x"], {1: "password"}),
        (["password", "username"], {}),
        (["--token", "x", "--city"], {1: "--token"}),
        (["--token", "--verbose", "-x"], {}),
        (["city", "Oslo", "password", "x"], {3: "password"}),
        (["password"], {}),
    ],
)
def test_an_item_is_labelled_by_the_one_before_it(items: list[Any], labels: dict[int, str]) -> None:
    """In pairs, or after an option; a list of names of fields is no pair."""
    assert labels_of_list(items) == labels


def test_a_value_without_a_label_is_returned_as_it_is() -> None:
    """The same object, so that the common case costs no copy; the given value is never modified."""
    receipt = Receipt()
    plain = {"city": ["Oslo", {"zip": 1}]}
    assert mask_labelled(plain, receipt, "p") is plain
    given = {"a": {"password": "hunter22"}}
    assert mask_labelled(given, receipt, "p") == {"a": {"password": marker("credential")}}
    assert given == {"a": {"password": "hunter22"}}
    assert receipt.notes == [("p/a/password", "detector:credential-key", "mask")]


def test_a_step_of_a_path_has_plain_characters() -> None:
    """So that a receipt's path can carry nothing."""
    assert escape("order id/ü") == "order_id__"
    assert escape(7) == "7"
    assert len(escape("x" * 100)) == 64
