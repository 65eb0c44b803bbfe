"""The pytest plugin: the fixture `runbundle_run` and the marker `runbundle`. A test that uses neither is left alone."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from runbundle.testing.assertions import RecordedRuns


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
