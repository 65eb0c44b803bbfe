"""The native core makes the bundle that Python makes, or leaves a run to it.

`python -m tests.fuzz.native_seals 10` looks for ten minutes.
"""

import pytest
from hypothesis import HealthCheck, given, settings

from runbundle.core import native
from tests.fuzz.native_seals import Case, cases, compared

pytestmark = pytest.mark.skipif(native.module() is None, reason="the native core is not there: make native")


def test_both_cores_make_the_same_bundle() -> None:
    """Of any journals, those included that no recorder writes.

    It is no comparison of Python with itself: the native core takes half of those runs at least, odd as they are.
    """
    taken = {"native": 0, "python": 0}

    @settings(max_examples=300, suppress_health_check=list(HealthCheck))
    @given(cases)
    def compare(case: Case) -> None:
        taken["python" if compared(case) else "native"] += 1

    compare()
    assert taken["native"] >= taken["python"] > 0, taken
