"""Logfire and Pydantic AI: the names of their first versions, and what a retry counts."""

from typing import Any

import orjson

from runbundle.signals.keys import SPAN_KEYS
from runbundle.signals.operations import begins_run, operation
from tests.unit.signals.dialects.spans import dumped, read


def test_version_2_says_what_version_5_says() -> None:
    """Names of the agent, the model, the tools and their payloads, and the attempts."""

    def known(name: str) -> list[Any]:
        keys = ("gen_ai.agent.name", "gen_ai.request.model", "gen_ai.tool.name", "gen_ai.tool.call.arguments",
                "gen_ai.tool.call.result", "runbundle.attempt", "final_result")  # fmt: skip
        spans = [record["attributes"] for record in dumped(name)]
        return sorted((operation(s), *(str(s.get(key)) for key in keys)) for s in spans)

    assert known("pydantic_ai_v2") == known("pydantic_ai_v5")
    tries = [s[6] for s in known("pydantic_ai_v5") if s[3] == "weather"]
    assert sorted(tries) == ["1", "2", "None"]


def test_spans_of_version_1_are_known_by_their_names() -> None:
    """They had no operation: a tool's name with arguments is a call, an agent's name with a model's a run."""
    tool = read("running tool", {"gen_ai.tool.name": "f", "tool_arguments": "{}", "tool_response": "1"})
    assert tool == {
        "gen_ai.tool.name": "f",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.call.arguments": "{}",
        "gen_ai.tool.call.result": "1",
    }
    agent = read("agent run", {"agent_name": "a", "model_name": "m", "all_messages_events": "[]"})
    assert agent == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "a",
        "gen_ai.request.model": "m",
        "pydantic_ai.all_messages": "[]",
    }
    assert read("x", {"agent_name": "a"}) == {"agent_name": "a"}
    assert read("x", {"tool_arguments": "{}"}) == {"tool_arguments": "{}"}


def test_events_of_version_1_are_messages() -> None:
    """A list of anything else stays."""
    events = [
        {"event.name": "gen_ai.user.message", "content": "hello", "role": "user"},
        {"event.name": "gen_ai.choice", "index": 0, "message": {"role": "assistant", "content": "hi"}},
    ]
    chat = {"gen_ai.operation.name": "chat", "gen_ai.system": "openai", "model_request_parameters": "{}"}
    said = read("chat m", {**chat, "events": orjson.dumps(events).decode()})
    assert orjson.loads(said["gen_ai.input.messages"])[0]["parts"] == [{"type": "text", "content": "hello"}]
    assert orjson.loads(said["gen_ai.output.messages"])[0]["parts"] == [{"type": "text", "content": "hi"}]
    assert "events" not in said
    for other in ("[1]", "{}", "no JSON", '[{"event.name":"sold"}]', "[]"):
        assert read("chat m", {**chat, "events": other})["events"] == other


def test_a_log_of_logfire_is_no_work_and_its_words_are_content() -> None:
    """Neither its message nor the template, into which an application may have put its data, may be kept."""
    logs = [r for r in dumped("logfire") if r["attributes"].get("logfire.span_type") == "log"]
    assert logs
    for record in logs:
        assert operation(record["attributes"]) == "other"
        assert not begins_run(record["name"], record["attributes"])
    kinds = {key: SPAN_KEYS[f"logfire.{key}"] for key in ("msg", "msg_template", "metrics", "json_schema")}
    assert set(kinds.values()) == {"content"}
    assert (SPAN_KEYS["logfire.span_type"], SPAN_KEYS["logfire.level_num"]) == ("name", "number")


def test_sums_of_an_agent_are_no_usage() -> None:
    """They are declared, under names that nothing adds up."""
    for record in dumped("pydantic_ai"):
        if operation(record["attributes"]) == "agent":
            assert not any(key.startswith("gen_ai.usage.") for key in record["attributes"])
            assert record["attributes"]["gen_ai.aggregated_usage.input_tokens"] > 0
