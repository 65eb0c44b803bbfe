"""The native core makes the bundle that Python makes, or leaves a run to it.

`python -m tests.fuzz.native_seals 10` looks for ten minutes.
"""

import pytest
from hypothesis import HealthCheck, given, settings

from runbundle.core import native
from tests.fuzz.native_seals import Case, cases, compared

pytestmark = pytest.mark.skipif(native.module() is None, reason="the native core is not there: make native")
_TAKEN = {"native": 0, "python": 0}


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(cases)
def test_both_cores_make_the_same_bundle(case: Case) -> None:
    """Of any journals, those included that no recorder writes."""
    _TAKEN["python" if compared(case) else "native"] += 1


def test_that_was_no_comparison_of_python_with_itself() -> None:
    """The native core took half of those runs at least, odd as they are."""
    assert _TAKEN["native"] >= _TAKEN["python"], _TAKEN
