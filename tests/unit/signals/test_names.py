"""The names of spans of our own follow from their attributes."""

from typing import Any

import pytest

from runbundle.signals.names import derived_names, full_name, name_from, span_name


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find"}, "execute_tool find"),
        ({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}, "chat m"),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support"}, "invoke_agent support"),
        ({"runbundle.op": "run", "runbundle.name": "support"}, "run support"),
        ({"gen_ai.operation.name": "retrieval", "runbundle.name": "shelf", "runbundle.op": "run"}, "retrieval shelf"),
        ({"runbundle.op": "step"}, "step"),
        ({"runbundle.op": "step", "runbundle.name": ""}, "step"),
    ],
)
def test_a_name_is_the_kind_of_work_and_the_name_of_its_thing(attributes: dict[str, Any], name: str) -> None:
    """The kind alone where nothing is named; its first word is the one that a name may have by these attributes."""
    assert name_from(attributes) == name
    head, _ = derived_names(attributes)
    assert name.split()[0] == head


@pytest.mark.parametrize("attributes", [{}, {"runbundle.name": "a secret"}, {"gen_ai.tool.name": "find"}])
def test_a_span_of_no_known_work_has_a_marker_for_a_name(attributes: dict[str, Any]) -> None:
    """The name of a thing without its kind of work is not taken for the name of a span."""
    assert name_from(attributes) == "[REDACTED:name]"


def test_a_span_is_named_by_its_work_first() -> None:
    """The kind of work, one space, the name."""
    assert span_name("run", "support") == "run support"


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find"}, "execute_tool find"),
        (
            {"gen_ai.operation.name": "chat", "gen_ai.agent.name": "support", "gen_ai.request.model": "m-1"},
            "chat m-1",
        ),
        ({"gen_ai.operation.name": "chat", "gen_ai.response.model": "m-1-x"}, "chat m-1-x"),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support"}, "invoke_agent support"),
        ({"gen_ai.operation.name": "retrieval", "runbundle.name": "shelf"}, "retrieval shelf"),
        ({"gen_ai.operation.name": "execute_task", "runbundle.op": "step", "runbundle.name": "plan"}, "step plan"),
        ({"gen_ai.operation.name": "invoke_workflow", "runbundle.op": "run", "runbundle.name": "desk"}, "run desk"),
        ({"http.request.method": "GET", "http.route": "/chat"}, "GET /chat"),
        ({"mcp.method.name": "tools/call", "gen_ai.tool.name": "find"}, "tools/call find"),
        ({"rpc.service": "desk.Orders", "rpc.method": "Find"}, "desk.Orders/Find"),
        ({"gen_ai.operation.name": "chat"}, "chat"),
        ({"gen_ai.operation.name": "chat", "gen_ai.agent.name": "support"}, "chat"),
        ({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "[REDACTED:content:bytes=<64]"}, "execute_tool"),
        ({"http.request.method": "GET"}, ""),
        ({}, ""),
    ],
)
def test_the_full_name_is_the_kind_of_work_and_its_thing_if_one_is_named(attributes: dict[str, Any], name: str) -> None:
    """The thing is that of the kind: a model call that names its agent is called by its model."""
    assert full_name(attributes) == name
    assert not name or name in derived_names(attributes)[1]
