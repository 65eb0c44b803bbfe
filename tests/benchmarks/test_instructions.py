"""A span takes no more instructions than is recorded, counted by valgrind over the SDK's: no clock, no noise.

Without valgrind nothing is counted, and that is said: `make test` lists what it left out. `.ci/run` installs it.
"""

import pytest

from tests.benchmarks.instructions import PYTHON, SUBJECTS, above, measured, missing, recorded


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    """The ratios, measured once."""
    table = recorded()
    if table["python"] != PYTHON:
        pytest.skip(f"the bounds are recorded for Python {table['python']}, this is {PYTHON}")
    if missing():
        pytest.skip(missing())
    return measured()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_span_takes_no_more_instructions_than_recorded(subject: str, found: dict[str, float]) -> None:
    """Within the tolerance of the table, whose last entry holds."""
    if subject not in found:
        pytest.skip("the native core is not there: its instructions are not counted")
    said = above({subject: found[subject]}, recorded())
    assert not said, said[subject]
