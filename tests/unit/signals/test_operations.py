"""What a span is, is told by its attributes and its name at its start."""

from typing import Any

import pytest

from runbundle.signals.operations import is_agent_work


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("x", {"gen_ai.operation.name": "chat"}),
        ("x", {"gen_ai.operation.name": "an operation of tomorrow"}),
        ("x", {"runbundle.op": "step"}),
        ("invoke_agent", {}),
        ("invoke_agent support", {"http.route": "/"}),
        (None, {"runbundle.op": "run"}),
    ],
)
def test_a_run_begins_with_a_span_that_names_its_operation_or_an_agent(
    name: object, attributes: dict[str, Any]
) -> None:
    """Whatever the operation is; of names only that of an agent's call counts."""
    assert is_agent_work(name, attributes)


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("GET /", {"http.request.method": "GET"}),
        ("chat m", {}),
        ("execute_tool find", {}),
        ("an invoke_agent", {}),
        ("x", {"gen_ai.agent.name": "support", "gen_ai.request.model": "m"}),
        (None, {}),
        (5, {}),
        (b"invoke_agent", {}),
    ],
)
def test_no_run_begins_with_a_span_of_other_work(name: object, attributes: dict[str, Any]) -> None:
    """A server's span, a name that is no text, and one that only mentions an agent begin none."""
    assert not is_agent_work(name, attributes)
