"""A report is the same whether the native core derived the bundle or Python did, whatever the bundle is.

`python -m tests.fuzz.native_bundles 10` looks for ten minutes.
"""

import pytest
from hypothesis import HealthCheck, given, settings

from runbundle.core import native
from tests.fuzz.native_bundles import Case, cases, compared

pytestmark = pytest.mark.skipif(native.module() is None, reason="the native core is not installed: make native")
_TAKEN = {"native": 0, "python": 0}


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(cases)
def test_both_cores_report_the_same(case: Case) -> None:
    """Of odd runs, and of bundles that were damaged and got digests that fit."""
    first, *_ = compared(case)
    _TAKEN["python" if first else "native"] += 1


def test_that_was_no_comparison_of_python_with_itself() -> None:
    """The native core took a third at least of those that nobody damaged, odd as their runs are."""
    assert 2 * _TAKEN["native"] >= _TAKEN["python"], _TAKEN
