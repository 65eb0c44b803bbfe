"""The GenAI conventions are read as they are now and as they were, with what Strands and ADK make of them."""

from typing import Any

import orjson
import pytest

from runbundle.signals.dialects.canonical import canonical, canonical_log
from runbundle.signals.keys import SPAN_KEYS
from runbundle.signals.operations import begins_run, is_agent_work, operation
from tests.unit.signals.dialects.spans import dumped, read, span

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find"}


@pytest.mark.parametrize(
    "attributes",
    [
        {**CHAT, "gen_ai.provider.name": "openai", "gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 2},
        {**TOOL, "gen_ai.tool.call.id": "c", "gen_ai.tool.call.arguments": "{}"},
        {**TOOL, "gen_ai.tool.call.result": '[{"text":"x"}]'},
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a", "gen_ai.conversation.id": "s"},
        {"gen_ai.operation.name": "create_agent", "gen_ai.agent.name": "a"},
        {"gen_ai.operation.name": "an operation of tomorrow"},
        {"http.request.method": "GET", "session.id": "s", "user.id": "u", "enduser.id": "e"},
        {"agent_name": "support"},
    ],
)  # fmt: skip
def test_what_is_in_our_terms_already_stays_as_it_is(attributes: dict[str, Any]) -> None:
    """Each key, each value and their order; a web span with a session is nobody's agent."""
    assert list(read("x", attributes).items()) == list(attributes.items())


@pytest.mark.parametrize(
    ("key", "ours"),
    [
        ("gen_ai.usage.prompt_tokens", "gen_ai.usage.input_tokens"),
        ("gen_ai.usage.completion_tokens", "gen_ai.usage.output_tokens"),
        ("gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
        ("gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.cache_read.input_tokens"),
        ("gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.cache_read.input_tokens"),
        ("gen_ai.usage.details.reasoning_tokens", "gen_ai.usage.reasoning.output_tokens"),
        ("gen_ai.usage.reasoning_tokens", "gen_ai.usage.reasoning.output_tokens"),
    ],
)
def test_two_names_of_one_count_are_one(key: str, ours: str) -> None:
    """Whether only the other is there, or both are."""
    assert read("x", {**CHAT, key: 3}) == {**CHAT, ours: 3}
    assert read("x", {**CHAT, key: 3, ours: 3}) == {**CHAT, ours: 3}


def test_a_total_is_left_out_where_its_parts_are_said() -> None:
    """Alone it stays."""
    parts = {"gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 2}
    assert read("x", {**CHAT, **parts, "gen_ai.usage.total_tokens": 3}) == {**CHAT, **parts}
    assert "gen_ai.usage.total_tokens" in read("x", {**CHAT, "gen_ai.usage.total_tokens": 3})


def test_a_workflow_is_a_step_that_names_the_run() -> None:
    """With its name, else with its kind of work."""
    said = read("invoke_workflow w", {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "w"})
    assert (operation(said), said["runbundle.name"]) == ("step", "w")
    assert read("x", {"gen_ai.operation.name": "invoke_workflow"})["runbundle.name"] == "invoke_workflow"


@pytest.mark.parametrize(
    ("name", "attributes", "work"),
    [
        ("chat m", {"gen_ai.system": "OpenAI", "gen_ai.request.model": "m"}, "chat"),
        ("openai", {"gen_ai.system": "OpenAI", "gen_ai.request.model": "m", "gen_ai.usage.prompt_tokens": 1}, "chat"),
        ("x", {"gen_ai.system": "openai", "gen_ai.request.model": "m"}, None),
        ("chat m", {"gen_ai.request.model": "m", "gen_ai.usage.prompt_tokens": 1}, None),
        ("x", {"gen_ai.system": "openai", "gen_ai.operation.name": "chat.completions"}, "chat"),
        ("x", {"gen_ai.system": "openai", "gen_ai.operation.name": "text.completions"}, "text_completion"),
    ],
)
def test_a_model_call_is_known_before_operations_had_their_names(
    name: str, attributes: dict[str, Any], work: str | None
) -> None:
    """By its name, or by what only a model's answer has."""
    said = read(name, attributes)
    assert said.get("gen_ai.operation.name") == work
    if "gen_ai.system" in attributes:
        assert said["gen_ai.provider.name"] == "openai"


def test_session_and_user_are_those_of_agent_work() -> None:
    """The first that is said; `gen_ai.conversation.id` stays."""
    said = read("x", {**CHAT, "session.id": "s", "user.id": "u", "enduser.id": "e", "gen_ai.conversation.id": "c"})
    assert said == {**CHAT, "gen_ai.conversation.id": "c", "runbundle.session.id": "s", "runbundle.user.id": "u"}


def test_documents_of_a_retrieval_are_events_of_evidence() -> None:
    """In their order, without a score where there is none; a span that has such events gets no more."""
    documents = '[{"id":"a","score":null},{"id":"b","score":0.5},7]'
    attributes = {"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": documents}
    events = canonical(span("retrieval", attributes))["events"]
    assert [event["name"] for event in events] == ["runbundle.evidence"] * 2
    assert [event["attributes"] for event in events] == [
        {"runbundle.document.id": "a", "runbundle.document.rank": 1},
        {"runbundle.document.id": "b", "runbundle.document.rank": 2, "runbundle.document.score": 0.5},
    ]
    own = [("runbundle.evidence", {"runbundle.document.id": "c"})]
    assert len(canonical(span("retrieval", attributes, events=own))["events"]) == 1


def test_messages_on_events_become_the_spans_as_the_conventions_have_them() -> None:
    """If the span has none itself; the events keep theirs, under names that are not anybody's."""
    events = [
        ("gen_ai.system.message", {"content": "be kind"}),
        ("gen_ai.user.message", {"content": "hello"}),
        ("gen_ai.assistant.message", {"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": '{"a":1}'}}]}),
        ("gen_ai.tool.message", {"content": "[1]", "id": "1", "role": "tool"}),
        (
            "gen_ai.choice",
            {"index": 0, "finish_reason": "stop", "gen_ai.event.content": '{"message":{"content":"hi"}}'},
        ),
        ("gen_ai.user.message", {"gen_ai.event.content": '{"content":"more"}', "gen_ai.system": "openai"}),
    ]
    record = canonical(span("chat", CHAT, events=events))
    asked = orjson.loads(record["attributes"]["gen_ai.input.messages"])
    assert asked == [
        {"role": "system", "parts": [{"type": "text", "content": "be kind"}]},
        {"role": "user", "parts": [{"type": "text", "content": "hello"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "f", "arguments": {"a": 1}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": [1]}]},
        {"role": "user", "parts": [{"type": "text", "content": "more"}]},
    ]
    answered = orjson.loads(record["attributes"]["gen_ai.output.messages"])
    assert answered == [{"role": "assistant", "parts": [{"type": "text", "content": "hi"}]}]
    keys = {key for event in record["events"] for key in event["attributes"]}
    assert keys - SPAN_KEYS.keys() == {"tool_calls"}
    kept = read("chat", {**CHAT, "gen_ai.input.messages": "[]"}, events=events)
    assert kept["gen_ai.input.messages"] == "[]"


def test_messages_on_the_event_of_now_are_the_spans_too() -> None:
    """A span that has its own keeps them."""
    details = [("gen_ai.client.inference.operation.details", {"gen_ai.input.messages": "[1]"})]
    assert read("chat", CHAT, events=details)["gen_ai.input.messages"] == "[1]"
    assert read("chat", {**CHAT, "gen_ai.input.messages": "[2]"}, events=details)["gen_ai.input.messages"] == "[2]"


def _log(event_name: str, body: Any, attributes: dict[str, Any]) -> Any:
    return {"event_name": event_name, "body": body, "attributes": attributes, "scope": {"name": "s"}}


def test_a_log_record_that_is_a_message_has_it_where_messages_are() -> None:
    """Its body stays; any other log record is the same object."""
    raw = _log("", {"content": "hello"}, {"event.name": "gen_ai.user.message", "gen_ai.system": "openai"})
    record = canonical_log(raw)
    assert record["event_name"] == "gen_ai.user.message"
    assert record["attributes"] == {
        "gen_ai.provider.name": "openai",
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"hello"}]}]',
    }
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}
    assert canonical_log(_log("gen_ai.choice", choice, {}))["attributes"] == {
        "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"hi"}]}]'
    }
    details = _log("gen_ai.client.inference.operation.details", None, {"gen_ai.input.messages": [{"role": "user"}]})
    for other in (details, _log("", "text", {"http.route": "/"})):
        assert canonical_log(other) is other


@pytest.mark.parametrize("body", [{"content": b"\xff"}, {"content": "\ud800"}, {"content": {1, 2}}, {"content": None}])
def test_a_body_that_is_no_message_costs_the_message_alone(body: Any) -> None:
    """The record goes on."""
    record = canonical_log(_log("gen_ai.user.message", body, {"gen_ai.system": "openai"}))
    assert record["attributes"]["gen_ai.provider.name"] == "openai"
    assert record["body"] is body


# -- Strands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["strands", "strands_latest"])
def test_strands_says_the_same_by_events_and_by_attributes(name: str) -> None:
    """Arguments and results out of their blocks, cycles as steps, one count, no provider; session and user."""
    spans = [record["attributes"] for record in dumped(name)]
    tools = {s["gen_ai.tool.name"]: s for s in spans if operation(s) == "tool"}
    assert orjson.loads(tools["lookup_order"]["gen_ai.tool.call.arguments"])["order_id"] == "A-1001"
    assert orjson.loads(tools["lookup_order"]["gen_ai.tool.call.result"])["status"] == "shipped"
    assert tools["weather"]["gen_ai.tool.call.result"] == "sunny zebra-weather-7399"
    cycles = [s for s in spans if s["gen_ai.operation.name"] == "execute_event_loop_cycle"]
    assert {(operation(s), s["runbundle.name"]) for s in cycles} == {("step", "cycle")}
    assert not any("strands-agents" in s.values() for s in spans)
    (agent,) = [s for s in spans if s.get("gen_ai.agent.name") == "concierge"]
    assert (agent["runbundle.session.id"], agent["runbundle.user.id"]) == ("chat-17", "zebra-user-7388")
    for s in spans:
        if operation(s) in ("model", "agent"):
            assert "gen_ai.input.messages" in s
            assert "gen_ai.output.messages" in s
            counts = {key.removeprefix("gen_ai.usage.") for key in s if key.startswith("gen_ai.usage.")}
            assert counts == {"input_tokens", "output_tokens", "cache_read.input_tokens", "cache_creation.input_tokens"}


@pytest.mark.parametrize(
    ("result", "ours"),
    [
        ('[{"text": "{\\"a\\": 1}"}]', '{"a": 1}'),
        ('[{"text": "plain"}]', "plain"),
        ('[{"json": {"a": 1}}]', '{"a":1}'),
        ('[{"text": "a"}, {"text": "b"}]', '[{"text": "a"}, {"text": "b"}]'),
        ('[{"image": {}}]', '[{"image": {}}]'),
        ("[]", "[]"),
        ('[{"text": 5}]', '[{"text": 5}]'),
    ],
)
def test_a_result_of_strands_is_opened_if_it_is_one_block(result: str, ours: str) -> None:
    """Of text or of JSON; anything else stays whole."""
    raw = {**TOOL, "gen_ai.tool.call.result": result, "gen_ai.event.start_time": "2026-01-01T00:00:00+00:00"}
    assert read("execute_tool find", raw)["gen_ai.tool.call.result"] == ours


# -- ADK -------------------------------------------------------------------------------------------------------------


def test_merged_tools_of_adk_are_no_call() -> None:
    """Nine calls of the dump are left of thirteen spans, and the sums are steps."""
    spans = [record["attributes"] for record in dumped("adk")]
    ops = [operation(s) for s in spans]
    assert (ops.count("tool"), ops.count("agent"), ops.count("model")) == (9, 5, 9)
    assert {s["runbundle.name"] for s in spans if s.get("gen_ai.workflow.name")} >= {"concierge", "par0"}
    assert not any(s.get("gen_ai.tool.call.id") == "<not specified>" for s in spans)


@pytest.mark.parametrize(
    ("scope", "result", "ours"),
    [
        ("gcp.vertex.agent", '{"result": "sunny"}', "sunny"),
        ("gcp.vertex.agent", '{"result": 7}', "7"),
        ("gcp.vertex.agent", '{"result": 7, "more": 1}', '{"result": 7, "more": 1}'),
        ("another", '{"result": 7}', '{"result": 7}'),
    ],
)
def test_a_scalar_that_adk_wrapped_is_unwrapped(scope: str, result: str, ours: str) -> None:
    """Where it is certain: under its scope, and with that key alone."""
    raw = {**TOOL, "gen_ai.tool.call.result": result, "gcp.vertex.agent.event_id": "e"}
    assert read("execute_tool find", raw, scope=scope)["gen_ai.tool.call.result"] == ours


def test_adk_before_the_conventions_is_read() -> None:
    """Its versions 1 had names of their own for the payloads, the session and the model's call."""
    said = read(
        "execute_tool find",
        {**TOOL, "gcp.vertex.agent.tool_call_args": '{"a": 1}', "gcp.vertex.agent.tool_response": '{"result": 1}',
         "gcp.vertex.agent.event_id": "e", "gen_ai.tool.call.id": "<not specified>"},
        scope="gcp.vertex.agent",
    )  # fmt: skip
    payloads = {"gen_ai.tool.call.arguments": '{"a": 1}', "gen_ai.tool.call.result": "1"}
    assert said == {**TOOL, "gcp.vertex.agent.event_id": "e", **payloads}
    model = read("call_llm", {"gcp.vertex.agent.invocation_id": "i", "gcp.vertex.agent.session_id": "s"})
    assert (operation(model), model["runbundle.session.id"]) == ("model", "s")


@pytest.mark.parametrize(
    "name",
    ["adk", "agents_genai", "anthropic_genai", "lg_genai", "logfire", "mcp_native", "openai_genai", "pydantic_ai",
     "pydantic_ai_v2", "pydantic_ai_v5", "strands", "strands_latest"],
)  # fmt: skip
def test_of_each_dump_nearly_all_attributes_are_declared(name: str) -> None:
    """What an application adds of its own is not: less than one in twenty."""
    keys = [key for record in dumped(name) for of in (record, *record["events"]) for key in of["attributes"]]
    assert sum(key not in SPAN_KEYS for key in keys) < len(keys) / 20


def test_odd_values_are_kept_as_they_are() -> None:
    """A table reads what it can; nothing it meets costs the span."""
    odd: list[Any] = [None, 5, b"x", ["a"], {"a": 1}, "\ud800", float("nan")]
    keys = ("gen_ai.system", "gen_ai.usage.prompt_tokens", "gen_ai.tool.call.result", "gen_ai.retrieval.documents",
            "gen_ai.response.finish_reason", "session.id", "mcp.method.name", "mcp.tool.name", "mcp.request.argument",
            "tool_arguments", "events", "model_request_parameters", "anthropic.message.stop_reason",
            "gcp.vertex.agent.event_id", "gen_ai.operation.name")  # fmt: skip
    for value in odd:
        for key in keys:
            said = read("x", {**CHAT, key: value}, events=[("gen_ai.choice", {"message": value})])
            assert is_agent_work("x", said)
            assert any(found is value or found in (value, [value]) for found in said.values()) or value is None
            begins_run("x", {**CHAT, key: value})


def test_an_error_of_which_nothing_is_known_has_no_type() -> None:
    """The conventions call it `_OTHER`; what other dialects leave out is left out of the same call here too."""
    assert read("x", {**TOOL, "error.type": "_OTHER"}) == TOOL
    assert read("x", {**TOOL, "error.type": "ValueError"})["error.type"] == "ValueError"
