"""Differences between versions of a slot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.runstate.sql import delta

BLOCK = bytes(range(256)) * 4
_versions = st.builds(
    lambda head, n, end: head + BLOCK[n:] + end, st.binary(max_size=6), st.integers(0, 9), st.binary()
)


@given(_versions | st.binary(), _versions | st.binary())
def test_a_difference_makes_the_new_version(old: bytes, new: bytes) -> None:
    """Applied to the old version it gives the new one, and it is smaller than that."""
    difference = delta.difference(old, new)
    if difference is not None:
        assert delta.apply(old, difference) == new
        assert len(difference) < len(new)


@pytest.mark.parametrize(("old", "new"), [(0, 0), (1, 1), (1, 3), (3, 3), (3, 5), (5, 5)])
def test_growing_lists_are_short_differences(old: int, new: int) -> None:
    """Also where the length in front of a msgpack list comes to take more bytes."""
    difference = delta.difference(b"\x90" * old + BLOCK, b"\xdc" * new + BLOCK + b"added")
    assert difference is not None
    assert len(difference) < 40


def test_what_does_not_fit_is_an_error() -> None:
    """A difference to another version, or none at all, does not pass for one."""
    difference = delta.difference(BLOCK, BLOCK + b"added")
    assert difference is not None
    for old, wrong in ((BLOCK[:-1], difference), (BLOCK, b""), (BLOCK, b"\xff" * 17)):
        with pytest.raises(ValueError, match="not a difference"):
            delta.apply(old, wrong)
