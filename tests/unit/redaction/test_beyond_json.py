"""Bytes of data that JSON cannot hold: different for different values, and none for what is no data."""

import itertools
import math
from typing import Any

from runbundle.redaction.beyond_json import bytes_beyond_json, json_writes_null

VALUES: list[Any] = [
    None, True, False, 0, 1, 1.0, -1, 2**70, math.nan, math.inf, -math.inf, "", "0", "\ud800", b"", b"0", [], [[]], {},
    [0],
    ["0"], [[0], 1], [0, [1]], {"a": 1}, {"a": "1"}, {1: "a"}, {"1": "a"}, {"a": [1, {"b": 2}]}, {"a": [1], "b": 2},
]  # fmt: skip


def test_different_values_have_different_bytes() -> None:
    """So no two of them share a digest."""
    found = [bytes_beyond_json(value) for value in VALUES]
    assert None not in found
    for (one, a), (other, b) in itertools.combinations(zip(VALUES, found, strict=True), 2):
        assert a != b, (one, other)


def test_the_order_of_keys_does_not_matter_and_depth_costs_no_stack() -> None:
    """A mapping is the same data whatever its order."""
    assert bytes_beyond_json({"a": 1, "b": 2}) == bytes_beyond_json({"b": 2, "a": 1})
    deep: Any = 1
    for _ in range(20_000):
        deep = [deep]
    assert bytes_beyond_json(deep) is not None


def test_what_is_no_data_has_no_bytes() -> None:
    """An object, and a list that contains itself."""
    loop: list[Any] = []
    loop.append(loop)
    assert bytes_beyond_json(object()) is None
    assert bytes_beyond_json({"a": object()}) is None
    assert bytes_beyond_json(loop) is None


def test_a_number_that_json_has_not_would_be_null() -> None:
    """NaN and infinities, alone or in a flat list."""
    assert all(map(json_writes_null, (math.nan, math.inf, [1.0, math.nan], (-math.inf,))))
    assert not any(map(json_writes_null, (1.5, [1.0, 2], None, "nan", [])))
