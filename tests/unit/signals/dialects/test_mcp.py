"""Spans of the Model Context Protocol: a tool's call is one, whoever says it; every other method is a step."""

from typing import Any

import pytest

from runbundle.signals.operations import begins_run, operation
from tests.unit.signals.dialects.spans import dumped, read

CALL = {"mcp.method.name": "tools/call"}


def test_the_call_of_a_client_is_a_call_of_the_tool_in_its_name() -> None:
    """Its SDK says the tool's name nowhere else; server and client say the same."""
    spans = [record["attributes"] for record in dumped("mcp_native")]
    calls = [s["gen_ai.tool.name"] for s in spans if operation(s) == "tool"]
    assert sorted(calls) == ["explode"] * 2 + ["lookup_order"] * 2 + ["weather"] * 2
    ids = [(s["gen_ai.tool.name"], s["jsonrpc.request.id"]) for s in spans if operation(s) == "tool"]
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("tools/call find", "find"),
        ("MCP send tools/call shop.find_order-2", "shop.find_order-2"),
        ("tools/call for Jane Doe", None),
        ("tools/call jane@example.org", None),
        ("what tools/call find", None),
        ("tools/call ", None),
        ("tools/call " + "a" * 129, None),
        ("find", None),
    ],
)
def test_only_a_name_in_the_protocols_alphabet_is_a_tools(name: str, tool: str | None) -> None:
    """The rest of a span's name may be anything that somebody wrote there."""
    assert read(name, CALL).get("gen_ai.tool.name") == tool


@pytest.mark.parametrize("method", ["initialize", "tools/list", "resources/read", "prompts/get"])
def test_another_method_is_a_step_that_begins_no_run(method: str) -> None:
    """It is called as the method, which one of few names; a tool's call begins a run, if it is in none."""
    said = read(f"MCP send {method}", {"mcp.method.name": method, "jsonrpc.request.id": "1"})
    assert (operation(said), said["runbundle.name"], said["jsonrpc.request.id"]) == ("step", method, "1")
    assert not begins_run("x", {"mcp.method.name": method})
    assert begins_run("tools/call find", CALL)


@pytest.mark.parametrize(
    ("attributes", "ours"),
    [
        ({"mcp.tool.name": "find"}, {"gen_ai.tool.name": "find"}),
        ({"gen_ai.tool.name": "find"}, {"gen_ai.tool.name": "find"}),
        (
            {"mcp.request.argument": '{"method":"tools/call","params":{"name":"find","arguments":{"a":1}}}'},
            {"gen_ai.tool.name": "find", "gen_ai.tool.call.arguments": '{"a":1}'},
        ),
        ({"mcp.request.argument": "{"}, {}),
        ({"mcp.request.argument": '{"params":{"name":5,"arguments":[]}}'}, {}),
        (
            {"mcp.response.value": '{"content":[{"type":"text","text":"{\\"a\\":1}"}],"isError":false}'},
            {"gen_ai.tool.call.result": '{"a":1}'},
        ),
        ({"gen_ai.tool.call.result": '[{"type":"text","text":"b"}]'}, {"gen_ai.tool.call.result": "b"}),
        ({"enduser.id": "u", "mcp.request.id": "7"}, {"runbundle.user.id": "u", "jsonrpc.request.id": "7"}),
    ],
)
def test_what_other_instrumentations_say_of_a_call_is_read(attributes: dict[str, Any], ours: dict[str, Any]) -> None:
    """Under our names and out of its envelope."""
    said = read("x", {**CALL, **attributes})
    assert said == {
        **CALL,
        "gen_ai.operation.name": "execute_tool",
        **{key: value for key, value in attributes.items() if key == "mcp.request.argument"},
        **ours,
    }


@pytest.mark.parametrize(
    "result",
    [
        '[{"type":"text","text":"a"},{"type":"text","text":"b"}]',
        '{"content":[{"type":"image","data":"x"}]}',
        '{"content":[{"type":"text","text":"a"}],"order":1}',
        '{"content":"a"}',
        "[1]",
        "{",
        "plain",
    ],
)
def test_a_result_of_several_parts_stays_whole(result: str) -> None:
    """So does what only looks like the protocol's."""
    assert read("x", {**CALL, "gen_ai.tool.call.result": result})["gen_ai.tool.call.result"] == result
