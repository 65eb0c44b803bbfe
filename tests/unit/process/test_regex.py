"""Regular expressions that are compiled late."""

import importlib
import pkgutil
import re
from typing import Any

import pytest

import runbundle
from runbundle.process.regex import _Later, later


def test_a_late_pattern_does_what_a_compiled_one_does() -> None:
    """Text or bytes, with flags, before the first use and after it."""
    late, known = later(r"(a)(b)?", re.IGNORECASE), re.compile(r"(a)(b)?", re.IGNORECASE)
    for _ in range(2):
        assert late.pattern == known.pattern
        assert [m.span() for m in late.finditer("abA")] == [m.span() for m in known.finditer("abA")]
        assert (late.sub("-", "abA"), late.flags) == (known.sub("-", "abA"), known.flags)
    assert later(rb"\d+").fullmatch(b"12")


def test_a_pattern_that_is_none_is_refused_at_its_first_use() -> None:
    """As `re.compile` refuses it."""
    wrong = later("(")
    with pytest.raises(re.error):
        wrong.match("")


def test_every_late_pattern_of_the_package_compiles() -> None:
    """One that does not would be found by an agent's span."""
    found: list[_Later] = []
    for module in pkgutil.walk_packages(runbundle.__path__, "runbundle."):
        if not module.name.endswith("__main__"):
            pending: list[Any] = list(vars(importlib.import_module(module.name)).values())
            while pending:
                value = pending.pop()
                found += [value] if type(value) is _Later else []
                pending += value if type(value) in (tuple, list) else value.values() if type(value) is dict else ()
    assert len(found) > 80
    for each in found:
        re.compile(each.pattern, each._flags)
