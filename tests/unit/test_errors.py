"""The exceptions: one tree, drawn in its module, each with a stable code."""

import inspect

import pytest

from runbundle import errors
from runbundle.errors import (
    BundleError,
    BundleQuarantined,
    MalformedBundle,
    RunbundleError,
    RunStateError,
    StoreError,
    TooDeep,
    TooLarge,
    WriteConflict,
)
from runbundle.format.findings import FINDINGS

ALL = [one for one in vars(errors).values() if inspect.isclass(one) and one.__module__ == errors.__name__]


def test_the_tree_that_is_drawn_is_the_tree() -> None:
    """Every class is in it, below the class that it derives from."""
    above: list[tuple[int, str]] = []
    drawn: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        text = line.lstrip(" │├└─")
        name = text.split(" ")[0]
        if name in vars(errors) and line.startswith(" "):
            depth = len(line) - len(text)
            above = [pair for pair in above if pair[0] < depth]
            drawn[name] = above[-1][1] if above else "Exception"
            above.append((depth, name))
    assert drawn == {one.__name__: one.__bases__[0].__name__ for one in ALL}


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.__name__)
def test_every_error_has_a_code_and_says_what_is_wrong(one: type[RunbundleError]) -> None:
    """The codes are words; those of JSON that is too large or too deep are that of a malformed bundle."""
    assert one.code == one.code.lower()
    assert "_" not in one.code
    assert (one.__doc__ or "").rstrip().endswith(".")


def test_codes_are_one_for_a_class() -> None:
    """But for the two that are told apart by their finding."""
    codes = [one.code for one in ALL if one not in (TooLarge, TooDeep)]
    assert len(set(codes)) == len(codes)
    assert {TooLarge.code, TooDeep.code} == {MalformedBundle.code}


def test_a_finding_of_an_error_is_in_the_table() -> None:
    """So that whoever sees it finds its page."""
    assert {TooLarge.finding, TooDeep.finding, BundleQuarantined.finding} <= set(FINDINGS)
    assert MalformedBundle.finding == ""


def test_an_error_says_the_place_the_fault_and_what_to_do() -> None:
    """In this order."""
    error = MalformedBundle("is no JSON", file="events.jsonl", line=3, hint="copy it again")
    assert str(error) == "events.jsonl:3: is no JSON (copy it again)"
    assert str(StoreError("unreachable")) == "unreachable"
    assert issubclass(WriteConflict, BundleError)
    assert issubclass(RunStateError, RunbundleError)
