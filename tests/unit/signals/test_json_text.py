"""JSON text is read so that two texts that say different things never become one value."""

import json
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runbundle.signals.reading import RepeatedKey, json_of, value_of

blanks = st.sampled_from(("", "", "", " ", "\n\t"))
keys = st.sampled_from(('"a"', '"b"', '"\\u0061"', '"\\":"', '"\\u0022:"', '"\\\\"', '"é"', '"\\u00e9"', '"1e-400"'))
digits = st.text("0123456789", min_size=1, max_size=24).map(lambda text: text.lstrip("0") or "0")
numbers = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(("", "-")),
    digits,
    st.one_of(st.just(""), st.text("0123456789", min_size=1, max_size=24).map(lambda text: f".{text}")),
    st.one_of(st.just(""), st.sampled_from(("e5", "E-7", "e+30", "e-400", "E-320"))),
)
leaves = st.one_of(numbers, keys, st.floats(allow_nan=False, allow_infinity=False).map(repr), st.just("null"))
texts = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda items, blank: f"[{blank}{f'{blank},'.join(items)}]", st.lists(inner, max_size=4), blanks),
        st.builds(
            lambda pairs, blank: "{" + ",".join(f"{key}{blank}:{item}" for key, item in pairs) + "}",
            st.lists(st.tuples(keys, inner), max_size=4), blanks,
        ),
    ),
    max_leaves=12,
)  # fmt: skip


class Twice(Exception):
    """Raised by the reference for a key that an object has twice."""


def reference(text: str) -> Any:
    """Return the value of a text by another parser, which gives each number as it was written."""

    def fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise Twice
        return dict(pairs)

    def whole(number: str) -> Any:
        return int(number) if -(2**63) <= int(number) < 2**64 else number

    def part(number: str) -> Any:
        return float(number) if Decimal(repr(float(number))) == Decimal(number) else number

    return json.loads(text, object_pairs_hook=fields, parse_int=whole, parse_float=part)


@given(texts)
@example('{"a" :1,"b":1,"b":2}')
@example('{"a":1,"a":2,"x":"\\u0022:"}')
@example("123456789012345678901234567890")
@example("[0.1, 0.10000000000000001, 0.3000000000000000444, 19.99, 1E2, 1.000000000000000000000, 4.9E-324]")
def test_all_that_a_text_says_is_in_its_value(text: str) -> None:
    """As another parser has it that looks at each number and each key."""
    try:
        expected = reference(text)
    except Twice:
        with pytest.raises(RepeatedKey):
            value_of(text)
        assert json_of(text) is None
        return
    assert value_of(text) == expected == value_of(text.encode())
    assert json.dumps(value_of(text)) == json.dumps(expected)  # 1 and 1.0 are equal, and are not the same


def test_what_is_no_json_is_refused_as_orjson_refuses_it() -> None:
    """A number beyond all floats, too."""
    for text in ("{", "NaN", "1e400", '"\ud800"', b"\xff", ""):
        with pytest.raises(orjson.JSONDecodeError):
            value_of(text)


def test_a_text_may_be_nested_deeper_than_what_can_be_written() -> None:
    """The parser reads 1,024 levels, and writes 254."""
    deep = '{"a":' * 900 + "[12345678901234567890123]" + "}" * 900
    value = value_of(deep)
    for _ in range(900):
        value = value["a"]
    assert value == ["12345678901234567890123"]


def test_a_number_of_a_megabyte_is_read_in_time() -> None:
    """Python's own numbers would take minutes for its digits."""
    for number in ("9" * 300 + "." + "1" * 1_000_000, "1e-" + "9" * 1_000_000):
        assert value_of(f"[{number}]") == [number]
