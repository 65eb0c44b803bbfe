"""Whatever an instrumentation puts into our own attributes, the run is sealed."""

from collections.abc import Callable

import pytest
from opentelemetry import trace

import runbundle

_COUNTS = ("runbundle.spans.dropped", "runbundle.spans.started", "runbundle.spans.unfollowed")
_VALUES = ("abc", ["a"], [1], float("nan"), -1, 2**70, "", True)


@pytest.mark.parametrize(
    "key", [*_COUNTS, "runbundle.contract.sha256", "runbundle.contract.version", "gen_ai.operation.name"]
)
def test_a_value_of_another_type_keeps_no_run_from_its_seal(
    configured: Callable[..., runbundle.Handle], key: str
) -> None:
    """A value of another type keeps no run from its seal."""
    handle = configured()
    for number, value in enumerate(_VALUES):
        with runbundle.start_run("r", run_id=f"r{number}"), runbundle.start_tool("t"):
            trace.get_current_span().set_attribute("runbundle.contract.sha256", "a" * 64)
            trace.get_current_span().set_attribute(key, value)  # pyright: ignore[reportArgumentType]
    result = handle.flush()
    assert not result.failed
    assert len(result.sealed) == len(_VALUES)
