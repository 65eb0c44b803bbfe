"""The native core writes the lines that Python writes, or leaves a span to it.

`python -m tests.fuzz.native_spans 10` looks for ten minutes.
"""

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbundle.core import native
from tests.fuzz.native_spans import Case, cases, compared, messages, payloads, written

pytestmark = pytest.mark.skipif(native.module() is None, reason="the native core is not there: make native")
_TAKEN = {"native": 0, "python": 0}


@settings(max_examples=250, suppress_health_check=list(HealthCheck))
@given(cases)
def test_both_cores_write_the_same_lines(case: Case) -> None:
    """Of any spans of a run under any policy, secrets that are learned in between included."""
    found = compared(case)
    _TAKEN["native"] += found.native
    _TAKEN["python"] += found.python


def test_that_was_no_comparison_of_python_with_itself() -> None:
    """The native core took a fourth of those spans at least, odd as they are."""
    assert _TAKEN["native"] * 4 >= _TAKEN["native"] + _TAKEN["python"] > 0, _TAKEN


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.one_of(written, payloads, messages))
def test_json_is_read_and_written_as_by_orjson(text: str) -> None:
    """What one refuses the other does; numbers, escapes and the order of keys have the same bytes."""
    try:
        wanted: object = orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        wanted = True  # no JSON
    try:
        said = native.module().sorted_json(text)
    except UnicodeEncodeError:
        return  # a lone surrogate never comes so far
    assert said is None or said == wanted
