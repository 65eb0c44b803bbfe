"""A span takes no more instructions than is recorded, counted by valgrind over the SDK's: no clock, no noise.

Without valgrind nothing is counted; where CI is set that fails, elsewhere it is said.
"""

import os

import pytest

from tests.benchmarks.instructions import PYTHON, SUBJECTS, above, measured, missing, recorded


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    """The ratios, measured once."""
    table = recorded()
    if table["python"] != PYTHON:
        pytest.skip(f"the bounds are recorded for Python {table['python']}, this is {PYTHON}")
    if missing() and not os.environ.get("CI"):
        pytest.skip(missing())
    assert not missing(), missing()
    return measured()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_span_takes_no_more_instructions_than_recorded(subject: str, found: dict[str, float]) -> None:
    """Within the tolerance of the table, whose last entry holds."""
    said = above({subject: found[subject]}, recorded())
    assert not said, said[subject]
