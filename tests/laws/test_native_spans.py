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


def test_both_cores_write_the_same_lines() -> None:
    """Of any spans of a run under any policy, secrets that are learned in between included.

    It is no comparison of Python with itself: the native core takes a fourth of those spans at least, odd as they are.
    """
    taken = {"native": 0, "python": 0}

    @settings(max_examples=250, suppress_health_check=list(HealthCheck))
    @given(cases)
    def compare(case: Case) -> None:
        found = compared(case)
        taken["native"] += found.native
        taken["python"] += found.python

    compare()
    assert taken["native"] * 4 >= taken["native"] + taken["python"] > 0, taken


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
