"""The arguments of a call, by name; and the attributes that values become."""

import inspect
import itertools
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.format.identity import valid_run_id
from runbundle.otel.agent.attribute_values import (
    MAX_TEXT,
    attribute_of,
    integer_of,
    kind_of,
    never_raise,
    number_of,
    run_id_or_new,
    tenant_id_of,
    text_of,
    warn_rarely,
    with_value,
)
from runbundle.otel.agent.capture import Captured, arguments_of, signature_of
from runbundle.redaction.markers import is_marker
from runbundle.signals import own

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


class _Odd:
    """An object whose hash, signature and name raise."""

    __hash__ = None  # type: ignore[assignment] - that is the point

    def __call__(self) -> None: ...

    @property
    def __signature__(self) -> Any:
        raise RuntimeError


def test_arguments_have_their_names_without_self_and_defaults() -> None:
    """Where no signature fits they have their positions, and nothing is lost."""

    class Shop:
        def find(self, order: int, *, deep: bool = False, **more: Any) -> None: ...

    assert arguments_of(Shop.find, (Shop(), 7), {"x": 1}) == {"order": 7, "x": 1}
    assert arguments_of(Shop.find, (Shop(), 7, 8, 9), {}).keys() == {"0", "1", "2", "3"}
    assert signature_of(_Odd()) is None
    assert arguments_of(_Odd(), (5,), {"k": 6}) == {"0": 5, "k": 6}


@given(ANYTHING)
def test_a_name_is_a_short_text_whatever_is_given(value: Any) -> None:
    """And an attribute is a value that every exporter can write."""
    assert len(text_of(value)) <= MAX_TEXT
    assert isinstance(attribute_of(value), str | bool | int | float)
    number, integer = number_of(value), integer_of(value)
    assert number is None or math.isfinite(number)
    assert integer is None or (type(integer) is int and -(2**63) <= integer < 2**63)


def test_numbers_are_read_from_whatever_means_one() -> None:
    """A text and a Decimal may; what is out of range or no number is none."""
    assert [integer_of(v) for v in ("7", Decimal(7), 7.9, True)] == [7, 7, 7, 1]
    assert [integer_of(v) for v in ("seven", math.inf, 2**63, None, [])] == [None] * 5
    assert attribute_of(2**63) == str(2**63)
    assert is_marker(str(attribute_of(object())))
    assert (kind_of([]), kind_of(None)) == ("list", "NoneType")


def test_a_value_that_is_not_whole_says_so_beside_itself() -> None:
    """A whole one needs no word."""
    assert with_value({}, "k", "text", as_text=True) == {"k": "text"}
    assert with_value({}, "k", "text") == {"k": '"text"'}
    assert own.CAPTURE in with_value({}, "k", object())
    assert Captured("1").said.word == "whole"


@given(ANYTHING)
def test_a_run_has_a_valid_id_and_a_refused_one_is_named_as_a_claim(value: Any) -> None:
    """An id that was not given is no claim."""
    attributes: dict[str, Any] = {}
    made = run_id_or_new(value, attributes)
    assert valid_run_id(made)
    assert (own.CLAIMED_RUN_ID in attributes) == (value is not None and made != text_of(value))


def test_an_invalid_tenant_is_kept_apart_and_is_the_same_each_time() -> None:
    """Unless it is no data: then it cannot be recognised, and is never the same."""
    assert (tenant_id_of(None), tenant_id_of("acme")) == ("", "acme")
    assert tenant_id_of("a/b") == tenant_id_of("a/b") not in ("a/b", "")
    assert tenant_id_of("a/b") != tenant_id_of("a/c")
    assert tenant_id_of(object()) != tenant_id_of(object())


def test_one_warning_is_logged_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """Another one is not held back by it."""
    for message in ("the first of this test", "the first of this test", "the second of this test"):
        warn_rarely(message)
    assert [r.getMessage() for r in caplog.records] == ["the first of this test", "the second of this test"]


def test_a_method_that_records_raises_nothing_but_what_ends_a_process() -> None:
    """`KeyboardInterrupt` and `SystemExit` are not its to swallow."""

    @never_raise
    def method(error: BaseException) -> None:
        raise error

    method(ValueError("x"))
    with pytest.raises(KeyboardInterrupt):
        method(KeyboardInterrupt())


def test_arguments_are_those_that_the_signature_binds_however_they_are_given() -> None:
    """By place or by name, too many or too few, and in the order of the parameters."""
    functions: list[Any] = [
        lambda: 0, lambda a: 0, lambda a, b: 0, lambda a, b=1: 0, lambda a, *b: 0, lambda a, **k: 0,
        lambda a, /, b=2: 0, lambda a, *, b: 0,
    ]  # fmt: skip
    for function, count, names in itertools.product(functions, range(4), itertools.permutations("abx", 2)):
        for some in range(3):
            args, kwargs = tuple(range(count)), {name: name for name in names[:some]}
            try:
                bound: dict[str, Any] = dict(inspect.signature(function).bind(*args, **kwargs).arguments)
                bound |= bound.pop("k", {})
            except TypeError:
                bound = {str(place): value for place, value in enumerate(args)} | kwargs
            assert list(arguments_of(function, args, kwargs).items()) == list(bound.items())
