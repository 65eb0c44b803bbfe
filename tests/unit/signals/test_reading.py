"""Attributes are read as what they should be, whatever they are."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from runbundle.signals.reading import LARGEST, count_of, json_of, number_of, text_of, whole_of

anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)  # fmt: skip


@given(anything)
def test_a_reader_returns_its_type(value: Any) -> None:
    """Or what says that there is none; what it returns can be written as JSON."""
    said = {"k": value}
    whole, number = whole_of(said, "k"), number_of(said, "k")
    assert isinstance(text_of(said, "k"), str | None)
    assert whole is None or (type(whole) is int and abs(whole) <= LARGEST)
    assert number is None or number - number == 0
    assert type(count_of(said, "k")) is int
    assert count_of(said, "k") >= 0
    orjson.dumps([whole, count_of(said, "k"), json_of(value)])


def test_what_stands_for_a_value_counts_as_one() -> None:
    """A number where text is expected is text; a whole float is a count; true is no number."""
    said = {"id": 5, "tokens": 500.0, "flag": True, "half": 1.5, "empty": "", "list": ["a"]}
    assert (text_of(said, "id"), text_of(said, "empty"), text_of(said, "list")) == ("5", None, None)
    assert (count_of(said, "tokens"), count_of(said, "half"), count_of(said, "absent")) == (500, 0, 0)
    assert (whole_of(said, "flag"), number_of(said, "flag"), number_of(said, "half")) == (None, None, 1.5)
