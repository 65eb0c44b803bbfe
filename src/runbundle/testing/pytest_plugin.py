"""The pytest plugin: the fixtures `runbundle_run` and `runbundle_gate`, and the marker `runbundle`.

A test that uses none of them is left alone.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from runbundle.testing.assertions import RecordedRuns
    from runbundle.testing.gated_runs import GatedRuns


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option by which tests make baselines."""
    parser.getgroup("runbundle").addoption(
        "--runbundle-baseline", metavar="REASON", default="",
        help="Add the runs of each test that calls runbundle_gate to its baseline, for this reason, and do not judge.",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "runbundle(**options): arguments of runbundle.configure() for the fixture runbundle_run"
    )


@pytest.fixture
def runbundle_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[RecordedRuns]":
    """Record the runs of a test into a temporary store, and assert what tools they called.

    Digests are the same in each run of the test, nothing is forwarded, and recording ends with the test. The marker
    `runbundle(**options)` adds arguments of `configure()`, such as `contracts` and `decider`. Raises `ConfigError` if
    runbundle is configured otherwise already, as by the application's own set-up.
    """
    import runbundle
    from runbundle.testing.assertions import RecordedRuns

    marker = request.node.get_closest_marker("runbundle")
    options: dict[str, Any] = {
        "store": tmp_path_factory.mktemp("runbundle"), "key": b"the key of runbundle_run, for tests only",
        "otlp": False, "recover": False, **(marker.kwargs if marker else {}),
    }  # fmt: skip
    with runbundle.configure(**options) as handle:
        yield RecordedRuns(handle)


@pytest.fixture
def runbundle_gate(request: pytest.FixtureRequest, runbundle_run: "RecordedRuns") -> "GatedRuns":
    """Judge the runs of a test against a baseline by a policy, as `runbundle gate` does; see `GatedRuns`."""
    from runbundle.testing.gated_runs import GatedRuns

    return GatedRuns(
        runbundle_run, request.config.rootpath, reason=str(request.config.getoption("--runbundle-baseline") or "")
    )
