"""The same content has the same bytes, and run.json carries the digest of its own."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.format.canonical import SELF, self_digest, sha256_hex, to_json_bytes, with_self_digest

_KEYS = st.text(st.characters(codec="utf-8"), max_size=4)
_SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _KEYS
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3))


@given(st.dictionaries(_KEYS, _VALUES, max_size=5), st.booleans())
def test_the_order_of_keys_does_not_matter_and_the_value_comes_back(value: dict[str, Any], indent: bool) -> None:
    """One newline ends it."""
    data = to_json_bytes(value, indent=indent)
    assert data == to_json_bytes(dict(reversed(value.items())), indent=indent)
    assert json.loads(data) == value
    assert data.endswith(b"\n")


@pytest.mark.parametrize("value", [2**64, "\ud800", object()])
def test_what_json_does_not_have_raises(value: Any) -> None:
    """But for NaN and infinities, which are null."""
    with pytest.raises(TypeError):
        to_json_bytes(value)
    assert to_json_bytes([float("nan"), float("inf")]) == b"[null,null]\n"


def test_a_digest_of_itself_leaves_itself_out() -> None:
    """So it can be checked with the bytes that carry it, and tells any other edit."""
    fields = json.loads(with_self_digest({"a": 1}))
    assert fields == {"a": 1, SELF: sha256_hex(to_json_bytes({"a": 1}, indent=True))}
    assert self_digest(fields) == fields[SELF] != self_digest(fields | {"a": 2})


def test_floats_have_the_form_that_sealed_bundles_have() -> None:
    """The form is orjson's, and was another before 3.11.7: a bundle with such a number would not verify any more."""
    written = to_json_bytes([1e16, 1e-7, 1.5e300, 0.1, -0.0, 5e-324, 1.2345678901234568e17])
    assert written == b"[1e+16,1e-7,1.5e+300,0.1,-0.0,5e-324,1.2345678901234568e+17]\n"
