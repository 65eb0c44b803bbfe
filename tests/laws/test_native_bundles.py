"""A report is the same whether the native core derived the bundle or Python did, whatever the bundle is.

`python -m tests.fuzz.native_bundles 10` looks for ten minutes.
"""

import pytest
from hypothesis import HealthCheck, given, settings

from runbundle.core import native
from tests.fuzz.native_bundles import Case, cases, compared

pytestmark = pytest.mark.skipif(native.module() is None, reason="the native core is not installed: make native")


def test_both_cores_report_the_same() -> None:
    """Of odd runs, and of bundles that were damaged and got digests that fit.

    It is no comparison of Python with itself: the native core takes a third at least of those that nobody damaged.
    """
    taken = {"native": 0, "python": 0}

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(cases)
    def compare(case: Case) -> None:
        first, *_ = compared(case)
        taken["python" if first else "native"] += 1

    compare()
    assert 2 * taken["native"] >= taken["python"] > 0, taken
