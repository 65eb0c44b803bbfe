"""Capture is total, says what it did not see, and of one odd part loses that part."""

import hashlib
import random
import time
from typing import Any
from unittest import mock

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.core import native
from runbundle.otel.agent.capture import MAX_CAPTURE_BYTES, capture
from runbundle.redaction.captured import WORDS, Said, capture_text, parse_capture
from runbundle.redaction.payloads.shrink import shrink
from runbundle.redaction.views import MAX_PAYLOAD_BYTES
from tests.support.odd import DATA, NOT_DATA, PARTLY

MARK = "[REDACTED:unserialisable]"


@pytest.mark.parametrize("name", DATA)
def test_data_becomes_text_numbers_and_structure(name: str) -> None:
    """Nothing of it is lost, and the value says so."""
    value, expected = DATA[name]
    seen = capture(value)
    assert (orjson.loads(seen.text), seen.word, seen.sha256) == (expected, "whole", "")
    assert orjson.loads(capture({"a": [value], "b": 1}).text) == {"a": [expected], "b": 1}


def test_a_variable_that_says_nothing_of_the_native_core_costs_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """`configure()` does not refuse it, so it is there when values are captured; the core is not used."""
    monkeypatch.setenv("RUNBUNDLE_NATIVE", "perhaps")
    native.module.cache_clear()
    try:
        assert capture({"a": None}) == ('{"a":null}', "whole", "", None)
    finally:
        native.module.cache_clear()


@pytest.mark.parametrize("name", NOT_DATA)
def test_what_is_no_data_costs_its_own_place(name: str) -> None:
    """What is beside it is there, and the value has no digest."""
    value = NOT_DATA[name]
    assert capture(value) == (MARK, "unserialisable", "", None)
    seen = capture({"a": [value, 1], "b": {"c": "kept"}})
    assert orjson.loads(seen.text) == {"a": [MARK, 1], "b": {"c": "kept"}}
    assert (seen.word, seen.sha256) == ("unserialisable", "")


@pytest.mark.parametrize("name", PARTLY)
def test_of_what_is_odd_in_part_the_rest_is_there(name: str) -> None:
    """A value of one's own may contain itself, or have no end; what is beside it survives."""
    seen = capture({"odd": PARTLY[name], "b": 1})
    assert orjson.loads(seen.text)["b"] == 1
    assert MARK in seen.text
    assert seen.word == "unserialisable"


def test_a_generator_is_left_to_its_owner() -> None:
    """No iterator is used up by looking at it."""
    items = (i for i in range(3))
    capture({"items": items})
    assert list(items) == [0, 1, 2]


def test_a_text_that_reads_like_a_marker_is_a_text() -> None:
    """It is quoted as any other, and its word is `whole`."""
    assert capture(MARK) == (f'"{MARK}"', "whole", "", None)


_keys = st.one_of(st.text(max_size=5), st.integers(), st.tuples(st.integers(), st.text(max_size=3)), st.none())
_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=9), st.binary(max_size=9),
        st.decimals(allow_nan=False), st.dates(), st.datetimes(), st.timedeltas(), st.uuids(), st.fractions(),
        st.characters(categories=["Cs"]),
    ),
    lambda v: st.lists(v, max_size=4) | st.dictionaries(_keys, v, max_size=4) | st.tuples(v, v),
    max_leaves=12,
)  # fmt: skip


_odd = {**NOT_DATA, **PARTLY}
_names = st.sampled_from(sorted(_odd)).map(lambda name: {"odd": name})  # hypothesis asks values for their repr


def _with_odd(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_odd(item) for item in value]
    if isinstance(value, dict) and "odd" in value:
        return _odd.get(value["odd"]) if isinstance(value["odd"], str) else value
    return value


@given(st.recursive(_values | _names, lambda v: st.lists(v, max_size=3)))
def test_capture_is_total(value: Any) -> None:
    """Any value gives JSON text, or a marker, and one of the words."""
    seen = capture(_with_odd(value))
    assert seen.word in WORDS
    assert seen.text == MARK or orjson.dumps(orjson.loads(seen.text), option=orjson.OPT_SORT_KEYS).decode() == seen.text


@given(_values, st.randoms(use_true_random=False))
def test_equal_values_have_equal_text(value: Any, shuffle: random.Random) -> None:
    """Whatever the order in which their keys were set."""
    assert capture(_shuffled(value, shuffle)) == capture(value)
    assert capture(value).word == "whole"


_numbers = st.floats() | st.integers() | st.text(max_size=3) | st.none() | st.booleans()
_simple = st.recursive(
    _numbers | st.sampled_from(list(DATA)).map(lambda name: DATA[name][0]),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.integers() | st.text(max_size=2), v, max_size=3),
    max_leaves=8,
)


@given(_simple.map(lambda value: [value, None]))
def test_both_cores_take_the_same_values_for_data_alone(value: Any) -> None:
    """With a NaN, a class of one's own, or two keys that read the same, each part is looked at."""
    with mock.patch("runbundle.core.native.module", return_value=None):
        by_python = capture(value)
    assert capture(value) == by_python


def _shuffled(value: Any, shuffle: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(key, _shuffled(item, shuffle)) for key, item in value.items()]
        shuffle.shuffle(items)
        return dict(items)
    if isinstance(value, list | tuple):
        return type(value)(_shuffled(item, shuffle) for item in value)
    return value


@given(st.dictionaries(st.text(max_size=5), _values, min_size=1, max_size=5), st.sampled_from(sorted(NOT_DATA)))
def test_one_odd_leaf_leaves_the_others(fields: dict[str, Any], odd: str) -> None:
    """The text is that of the value with a marker in its place."""
    name = min(fields)
    assert capture({**fields, name: NOT_DATA[odd]}).text == capture({**fields, name: MARK}).text


def test_of_a_large_value_the_digest_is_of_the_whole_and_small_parts_are_there() -> None:
    """Large parts leave their size; two large values that differ anywhere have two digests."""
    image = "A" * 2_000_000
    value = {"url": image, "title": "a cat", "tags": ["x", image, 1]}
    seen = capture(value)
    whole = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    assert orjson.loads(seen.text) == {
        "url": "[REDACTED:oversize:bytes=2000000]", "title": "a cat",
        "tags": ["x", "[REDACTED:oversize:bytes=2000000]", 1],
    }  # fmt: skip
    assert (seen.word, seen.sha256, seen.size) == ("oversize", hashlib.sha256(whole).hexdigest(), len(whole))
    assert capture({**value, "title": "a dog"}).sha256 != seen.sha256
    assert capture(dict(reversed(value.items()))) == seen


@pytest.mark.parametrize(
    "value",
    [
        b"\xff" * 5_000_000, bytearray(2_000_000), "x" * 5_000_000, {str(i): i for i in range(200_000)},
        dict.fromkeys(range(200000), "x"), [[i, None] for i in range(200_000)], {"n": 2**70, "x": "y" * 2_000_000},
    ],
    ids=["bytes", "bytearray", "text", "many keys", "numbers as keys", "many nodes", "walked"],
)  # fmt: skip
def test_whatever_is_large_has_a_digest_and_a_size(value: Any) -> None:
    """The span has at most as much of it as the redactor opens."""
    seen = capture(value)
    assert (seen.word, len(seen.sha256)) == ("oversize", 64)
    assert seen.size is not None
    assert seen.size > MAX_CAPTURE_BYTES
    assert len(seen.text) <= MAX_PAYLOAD_BYTES


def test_what_was_not_looked_at_to_its_end_has_no_digest() -> None:
    """A value that has to be looked at part by part and has too many parts is cut."""
    seen = capture({"many": {(i, i): i for i in range(200_000)}, "title": "a cat"})
    assert (seen.word, seen.sha256, seen.size) == ("cut", "", None)
    assert orjson.loads(seen.text) == {"many": "[REDACTED:oversize]", "title": "a cat"}


@pytest.mark.alone
def test_the_caller_is_not_held_up_by_images() -> None:
    """Four of 8 MB cost a tenth of a second of CPU, and this allows for slow machines."""
    image = "data:image/png;base64," + "A" * 10_666_668
    began = time.thread_time()
    capture([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": image}}] * 4}])
    assert time.thread_time() - began < 1.0


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**9) | st.text(max_size=300) | st.floats(allow_nan=False),
    lambda v: st.lists(v, max_size=5) | st.dictionaries(st.text(max_size=20), v, max_size=5),
    max_leaves=40,
)


@given(_json, st.integers(50, 2000))
def test_a_shrunk_value_fits_and_shrinks_no_further(value: Any, limit: int) -> None:
    """What fits is left as it is; what does not has markers, and is not opened again."""
    small = shrink(value, limit)
    assert len(orjson.dumps(small)) <= limit
    assert shrink(small, limit) is small


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[]", '{"secret words":{"word":"cut"}}', '{"gen_ai.input.messages":{"word":"secret"}}',
        '{"gen_ai.input.messages":{"word":"cut","more":"secret"}}', '{"gen_ai.input.messages":"cut"}',
        '{"gen_ai.input.messages":{"word":"oversize","sha256":"secret","bytes":1}}',
        '{"gen_ai.input.messages":{"word":"oversize","digest":"secret","bytes":1}}',
        '{"gen_ai.input.messages":{"word":"oversize","bytes":1}}',
        '{"gen_ai.input.messages":{"word":"cut","sha256":"' + "0" * 64 + '","bytes":1}}',
        '{"someones.own":{"word":"cut"}}', '{"gen_ai.input.messages":{"word":["cut"]}}', 7, None,
    ],
)  # fmt: skip
def test_only_what_has_the_shape_of_capture_is_read(text: Any) -> None:
    """Nothing else travels under its name."""
    assert parse_capture(text) is None


def test_what_is_said_of_values_can_be_read_back() -> None:
    """The text is the same however often it was read and written."""
    said = {"gen_ai.input.messages": Said("oversize", "0" * 64, "", 5), "runbundle.result": Said("cut")}
    assert parse_capture(capture_text(said)) == said
