"""Spans of OpenLLMetry, of today and of earlier versions, say in our terms what they say in theirs."""

import json
from pathlib import Path
from typing import Any

import pytest

from runbundle.signals import own, semconv
from runbundle.signals.dialects.canonical import canonical_attributes
from runbundle.signals.keys import SPAN_KEYS
from runbundle.signals.operations import operation
from tests.interop.dumps import FOLDER, load
from tests.interop.replay import replay
from tests.unit.signals.dialects.one_span import read, read_of_dump, said

PROPERTIES = "traceloop.association.properties"


def tool(arguments: str = "{}", result: str = "{}", **more: Any) -> dict[str, Any]:
    """Return what a tool's span says."""
    return said(
        {
            "traceloop.span.kind": "tool", "traceloop.entity.name": "find",
            "traceloop.entity.input": arguments, "traceloop.entity.output": result,
        },
        **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("attributes", "op", "named"),
    [
        ({"traceloop.span.kind": "workflow", "traceloop.entity.name": "w"}, "step", (own.NAME, "w")),
        ({"traceloop.span.kind": "workflow", "traceloop.workflow.name": "w"}, "step", (own.NAME, "w")),
        ({"traceloop.span.kind": "task", "traceloop.entity.name": "t"}, "step", (own.NAME, "t")),
        ({"traceloop.span.kind": "handoff", semconv.OPERATION: "handoff"}, "step", (own.NAME, "handoff")),
        ({"traceloop.span.kind": "session"}, "step", (own.NAME, "session")),
        ({semconv.OPERATION: "execute_task", "gen_ai.task.name": "model"}, "step", (own.NAME, "model")),
        ({"traceloop.span.kind": "agent", "traceloop.entity.name": "a"}, "agent", (semconv.AGENT_NAME, "a")),
        (
            {"traceloop.span.kind": "agent", "traceloop.entity.name": "a", semconv.AGENT_NAME: "b"},
            "agent", (semconv.AGENT_NAME, "b"),
        ),
        ({"traceloop.span.kind": "tool", "traceloop.entity.name": "x"}, "tool", (semconv.TOOL_NAME, "x")),
        ({"traceloop.span.kind": "task", "tool.name": "x"}, "tool", (semconv.TOOL_NAME, "x")),
        ({"llm.request.type": "chat", semconv.REQUEST_MODEL: "m"}, "model", (semconv.REQUEST_MODEL, "m")),
        ({"llm.request.type": "completion"}, "model", (semconv.OPERATION, "text_completion")),
        ({"llm.request.type": "embedding"}, "model", (semconv.OPERATION, "embeddings")),
        ({"gen_ai.prompt.0.content": "hi"}, "model", (semconv.OPERATION, "chat")),
        ({"traceloop.span.kind": "task", semconv.OPERATION: "chat"}, "model", (semconv.OPERATION, "chat")),
        ({"traceloop.span.kind": "task", semconv.OPERATION: "vector_db_retrieve"}, "retrieval",
         (semconv.OPERATION, "retrieval")),
        ({"traceloop.span.kind": "task", "traceloop.entity.name": "VectorIndexRetriever.task"}, "retrieval",
         (semconv.OPERATION, "retrieval")),
        ({semconv.OPERATION: "create_agent", "gen_ai.user": "u"}, "step", (semconv.OPERATION, "create_agent")),
        ({semconv.OPERATION: "invoke_agent", "crewai.crew.id": "1", "crewai.crew.name": "c"}, "step", (own.NAME, "c")),
        ({semconv.OPERATION: "tomorrow's", "gen_ai.user": "u"}, "other", (semconv.OPERATION, "tomorrow's")),
    ],
)  # fmt: skip
def test_each_kind_of_span_is_one_of_our_kinds_of_work_with_its_name(
    attributes: dict[str, Any], op: str, named: tuple[str, str]
) -> None:
    """What the GenAI conventions say of the work is believed more than the kind, except of tasks and workflows."""
    found = said(attributes)
    assert operation(found) == op
    assert found[named[0]] == named[1]


def test_a_workflow_that_calls_itself_an_agent_is_a_step_in_the_agent() -> None:
    """LangGraph's agent has a span of its own, so it is counted once."""
    found = said({"traceloop.span.kind": "workflow", semconv.OPERATION: "invoke_agent", "traceloop.entity.name": "a"})
    assert operation(found) == "step"
    assert semconv.OPERATION not in found


ENVELOPE = {
    "input_str": "{'a': 1}",
    "tags": [],
    "metadata": {"m": 1},
    "inputs": {"a": 1},
    "kwargs": {"tool_call_id": "c1"},
}
MESSAGE = {
    "lc": 1,
    "type": "constructor",
    "id": ["x"],
    "kwargs": {"content": '{"b": 2}', "type": "tool", "tool_call_id": "c1"},
}


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (ENVELOPE, {"a": 1}),
        ({"args": [], "kwargs": {"a": 1}}, {"a": 1}),
        ({"args": ["bare"], "kwargs": {}}, "bare"),
        ({"args": [7], "kwargs": {}}, 7),
        ({"tool_name": "find", "arguments": {"a": 1}}, {"a": 1}),
        ({"tool_name": "find", "tool_kwargs": {"a": 1}, "tool_id": "c1"}, {"a": 1}),
    ],
)
def test_arguments_come_out_of_what_frameworks_write_around_them(payload: Any, value: Any) -> None:
    """LangChain's envelope, positional and keyword arguments of decorators, calls of MCP and LlamaIndex."""
    assert tool(json.dumps(payload))[semconv.ARGUMENTS] == value


def test_arguments_without_an_envelope_stay_as_they_are() -> None:
    """Nothing is opened for what is a tool's own: a text that was cut, fields of any name."""
    for text in ('{"a": 1}', '{"args": [1, 2', '{"inputs": 1}', '{"args": [1, 2], "kwargs": {"a": 1}}', "bare", "[1]"):
        assert tool(text)[semconv.ARGUMENTS] == text


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        ({"output": MESSAGE, "kwargs": {"tags": []}}, '{"b": 2}'),
        ({"output": "text", "kwargs": {"tags": []}}, "text"),
        ({"tool_name": "find", "tool_output": {"content": "x", "raw_output": {"b": 2}, "is_error": False}}, {"b": 2}),
    ],
)
def test_results_come_out_of_what_frameworks_write_around_them(payload: Any, value: Any) -> None:
    """LangChain's messages, LlamaIndex's outputs."""
    assert tool(result=json.dumps(payload))[semconv.RESULT] == value


def test_results_without_an_envelope_stay_as_they_are() -> None:
    """A tool may return a field that is called as an envelope's."""
    for text in ('{"status": "shipped"}', '"quoted"', "text", '{"result": 1}', '{"output": 1}', "[]", "", '{"cut": '):
        assert tool(result=text)[semconv.RESULT] == text


def test_the_id_of_a_call_is_that_of_the_envelope() -> None:
    """The model's id of the call is in both envelopes of LangChain."""
    assert tool(json.dumps(ENVELOPE))[semconv.CALL_ID] == "c1"
    assert tool(result=json.dumps({"output": MESSAGE, "kwargs": {}}))[semconv.CALL_ID] == "c1"


def test_a_call_over_mcp_has_the_result_that_the_server_gave() -> None:
    """Client and server write it down differently; an error is said."""
    scope = {"name": "opentelemetry.instrumentation.mcp"}
    assert tool(result='[{"type": "text", "content": "sunny"}]', scope=scope)[semconv.RESULT] == "sunny"
    found = tool(result='{"result": "no", "is_error": true}', scope=scope)
    assert (found[semconv.RESULT], found[semconv.ERROR_TYPE]) == ("no", "tool_error")


OLD = {
    "llm.request.type": "chat", "gen_ai.system": "OpenAI", "gen_ai.request.model": "m", "llm.is_streaming": "True",
    "gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": "be brief",
    "gen_ai.prompt.1.role": "assistant", "gen_ai.prompt.1.tool_calls.0.id": "c1",
    "gen_ai.prompt.1.tool_calls.0.name": "find", "gen_ai.prompt.1.tool_calls.0.arguments": '{"a": 1}',
    "gen_ai.prompt.2.role": "tool", "gen_ai.prompt.2.tool_call_id": "c1", "gen_ai.prompt.2.content": "found",
    "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.finish_reason": "tool_calls",
    "gen_ai.completion.0.tool_calls.0.id": "c2", "gen_ai.completion.0.tool_calls.0.name": "mail",
    "gen_ai.completion.0.tool_calls.0.arguments": '{"to": "x"}',
    "llm.request.functions.0.name": "mail", "llm.request.functions.0.description": "Send",
    "llm.request.functions.0.parameters": '{"type": "object"}',
    "gen_ai.usage.prompt_tokens": 5, "gen_ai.usage.completion_tokens": 2, "llm.usage.total_tokens": 7,
    "gen_ai.usage.cache_read_input_tokens": 3, "gen_ai.usage.reasoning_tokens": 1,
    "llm.user": "u", "llm.top_k": 4, "llm.chat.stop_sequences": ["x"], "llm.frequency_penalty": 0.5,
}  # fmt: skip


def test_a_model_call_of_earlier_versions_is_read_whole() -> None:
    """Messages, definitions of tools, counts and parameters, each under one name, and nothing beside them."""
    found = said(OLD)
    asked, answered = json.loads(found[semconv.INPUT_MESSAGES]), json.loads(found[semconv.OUTPUT_MESSAGES])
    assert [message["role"] for message in asked] == ["system", "assistant", "tool"]
    assert asked[1]["parts"] == [{"type": "tool_call", "id": "c1", "name": "find", "arguments": {"a": 1}}]
    assert asked[2]["parts"] == [{"type": "tool_call_response", "id": "c1", "response": "found"}]
    assert answered[0]["parts"] == [{"type": "tool_call", "id": "c2", "name": "mail", "arguments": {"to": "x"}}]
    definitions = json.loads(found[semconv.TOOL_DEFINITIONS])
    assert definitions == [{"name": "mail", "description": "Send", "parameters": {"type": "object"}}]
    for key in (semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES, semconv.TOOL_DEFINITIONS):
        del found[key]
    assert found == {
        own.DIALECT: "openllmetry", semconv.OPERATION: "chat", semconv.PROVIDER: "openai", semconv.REQUEST_MODEL: "m",
        "llm.request.type": "chat", semconv.FINISH_REASONS: ["tool_calls"], "gen_ai.request.stream": True,
        semconv.INPUT_TOKENS: 5, semconv.OUTPUT_TOKENS: 2, semconv.CACHE_READ_TOKENS: 3, semconv.REASONING_TOKENS: 1,
        own.USER_ID: "u", "gen_ai.request.top_k": 4, "gen_ai.request.stop_sequences": ["x"],
        "gen_ai.request.frequency_penalty": 0.5,
    }  # fmt: skip


def test_a_prompt_without_roles_is_a_users() -> None:
    """Completions had one text."""
    found = said({"llm.request.type": "completion", "gen_ai.prompt.0.user": "hi", "gen_ai.completion.0.content": "ho"})
    assert json.loads(found[semconv.INPUT_MESSAGES]) == [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    assert json.loads(found[semconv.OUTPUT_MESSAGES])[0]["role"] == "assistant"


def test_two_names_of_one_count_are_one() -> None:
    """The name of the conventions is believed; a sum of input and output is no count of its own."""
    found = said({**OLD, semconv.INPUT_TOKENS: 6, semconv.TOTAL_TOKENS: 8})
    assert found[semconv.INPUT_TOKENS] == 6
    assert not {"gen_ai.usage.prompt_tokens", "llm.usage.total_tokens", semconv.TOTAL_TOKENS} & found.keys()
    alone = said({"llm.request.type": "chat", "llm.usage.total_tokens": 7})
    assert alone[semconv.TOTAL_TOKENS] == 7


@pytest.mark.parametrize("framework", ["langgraph", "Langchain", "crewai", "agno"])
def test_a_framework_is_no_provider(framework: str) -> None:
    """Some spans have the framework's name where the name of the models' provider belongs."""
    for key in (semconv.PROVIDER, "gen_ai.system"):
        found = said({"traceloop.span.kind": "agent", key: framework})
        assert not {semconv.PROVIDER, "gen_ai.system"} & found.keys()
    found = said({"llm.request.type": "chat", "gen_ai.system": framework, f"{PROPERTIES}.ls_provider": "OpenAI"})
    assert found[semconv.PROVIDER] == "openai"


def test_session_and_user_are_among_the_association_properties() -> None:
    """A session is believed before a thread; the conversation is another attribute's."""
    both = {f"{PROPERTIES}.session_id": "s", f"{PROPERTIES}.thread_id": "t", f"{PROPERTIES}.user_id": "u"}
    found = said({"traceloop.span.kind": "task", "gen_ai.conversation.id": "c", **both})
    assert (found[own.SESSION_ID], found[own.USER_ID], found["gen_ai.conversation.id"]) == ("s", "u", "c")
    assert said({"traceloop.span.kind": "task", f"{PROPERTIES}.thread_id": "t"})[own.SESSION_ID] == "t"
    assert said({"traceloop.span.kind": "task", "gen_ai.user": "u"})[own.USER_ID] == "u"


def test_what_an_application_says_of_its_traces_is_content() -> None:
    """Its keys are its own: they go with their values into one attribute, and what is empty goes."""
    mine = {f"{PROPERTIES}.Ada Quill": 3, f"{PROPERTIES}.x": "", f"{PROPERTIES}.langgraph_step": 1}
    found = said({"traceloop.span.kind": "task", **mine})
    assert json.loads(found[PROPERTIES]) == {"Ada Quill": 3}
    assert found[f"{PROPERTIES}.langgraph_step"] == 1
    assert SPAN_KEYS[PROPERTIES] == "content"
    assert not found.keys() - SPAN_KEYS.keys()


def test_the_result_of_a_run_is_what_its_last_message_says() -> None:
    """The messages of LangGraph are a state with the prompts: it stays as content. Any other output is the result."""
    last = {"lc": 1, "kwargs": {"content": "shipped", "type": "ai"}}
    state = json.dumps({"outputs": {"messages": [MESSAGE, last]}, "kwargs": {}})
    found = said({"traceloop.span.kind": "workflow", "traceloop.entity.output": state})
    assert (found[semconv.FINAL_RESULT], found["traceloop.entity.output"]) == ("shipped", state)
    plain = said({"traceloop.span.kind": "agent", "traceloop.entity.output": '"done"'})
    assert plain[semconv.FINAL_RESULT] == '"done"'
    assert "traceloop.entity.output" not in plain
    inner = said({"traceloop.span.kind": "task", "traceloop.entity.output": "x"})
    assert inner["traceloop.entity.output"] == "x"
    root = said({"traceloop.span.kind": "task", "traceloop.entity.output": "x"}, parent_span_id="")
    assert root[semconv.FINAL_RESULT] == "x"


def test_a_retrieval_has_its_query_and_an_event_for_each_document() -> None:
    """Of LangChain the documents are in the output, of LlamaIndex the nodes."""
    retrieval = {"traceloop.span.kind": "task", semconv.OPERATION: "vector_db_retrieve", "traceloop.entity.name": "R"}
    documents = [
        {"page_content": "text", "metadata": {"source": "kb/1.md", "title": "Handbook"}},
        {"page_content": "b"},
    ]
    record = read(
        {
            **retrieval,
            "traceloop.entity.input": '{"query": "why", "tags": []}',
            "traceloop.entity.output": json.dumps({"documents": documents, "count": 2}),
        }
    )
    assert record["attributes"][semconv.QUERY_TEXT] == "why"
    assert record["attributes"][own.RETRIEVER_NAME] == "R"
    assert [event["name"] for event in record["events"]] == [own.EVIDENCE] * 2
    assert record["events"][0]["attributes"] == {
        own.DOCUMENT_CONTENT: "text", own.DOCUMENT_URI: "kb/1.md", own.DOCUMENT_TITLE: "Handbook",
        own.DOCUMENT_ID: "1", own.DOCUMENT_RANK: 1,
    }  # fmt: skip
    nodes = [{"node": {"id_": "n1", "text": "t", "metadata": {"file_name": "f"}}, "score": 0.5}]
    record = read(
        {
            "traceloop.span.kind": "task", "traceloop.entity.name": "VectorIndexRetriever.task",
            "traceloop.entity.input": '{"str_or_query_bundle": "why"}', "traceloop.entity.output": json.dumps(nodes),
        }
    )  # fmt: skip
    assert record["attributes"][semconv.QUERY_TEXT] == "why"
    assert record["events"][0]["attributes"][own.DOCUMENT_SCORE] == 0.5
    assert record["events"][0]["attributes"][own.DOCUMENT_ID] == "n1"


@pytest.mark.parametrize(
    ("attributes", "found", "evidence"),
    [
        (
            {"db.system": "Pinecone", "pinecone.query.top_k": 3, "pinecone.query.namespace": "n"},
            {"db.query.result.id": "d", "db.query.result.score": 0.5, "db.query.result.metadata": "{}"},
            {own.DOCUMENT_ID: "d", own.DOCUMENT_SCORE: 0.5, own.DOCUMENT_RANK: 1},
        ),
        (
            {"db.system": "chroma", "db.operation": "query", "db.chroma.query.n_results": 3},
            {"db.query.result.id": "d", "db.query.result.distance": 0.1, "db.query.result.document": "text"},
            {own.DOCUMENT_ID: "d", own.DOCUMENT_CONTENT: "text", own.DOCUMENT_RANK: 1},
        ),
        (
            {"db.system": "milvus", "db.milvus.search.limit": 3, "db.milvus.search.collection_name": "n"},
            {"db.search.result.id": "d", "db.search.result.distance": "0.1", "db.search.result.entity": "e"},
            {own.DOCUMENT_ID: "d", own.DOCUMENT_CONTENT: "e", own.DOCUMENT_RANK: 1},
        ),
    ],
)
def test_a_search_in_a_vector_store_is_a_retrieval(
    attributes: dict[str, Any], found: dict[str, Any], evidence: dict[str, Any]
) -> None:
    """The documents are events of the store's own, which stay; what was asked for is in one attribute."""
    name = "db.search.result" if "db.search.result.id" in found else "db.query.result"
    record = read(attributes, events=[{"name": name, "attributes": found, "time_ns": 1, "dropped": 0}])
    assert operation(record["attributes"]) == "retrieval"
    assert record["attributes"]["gen_ai.retrieval.top_k"] == 3
    assert record["attributes"][own.RETRIEVER_NAME] == record["attributes"]["db.system"] == attributes["db.system"]
    assert [event["attributes"] for event in record["events"]] == [found, evidence]
    assert not record["attributes"].keys() - SPAN_KEYS.keys()


def test_what_has_only_begun_is_read_as_far_as_it_says() -> None:
    """A span that has just started has a kind and a name, or nothing."""
    assert operation(canonical_attributes("x.tool", {"traceloop.span.kind": "tool"})) == "tool"
    assert canonical_attributes("openai.chat", {}) == {}


@pytest.mark.parametrize(
    "value", [None, 5, 1.5, True, ["a", 1], {"a": 1}, "", "{", '{"args":', "[" * 5000, '{"output":' * 5000, "\ud800"]
)
def test_any_value_anywhere_is_read_without_a_fault(value: Any) -> None:
    """Values of the wrong kind stay where they are, or are ours as they are; nothing else is lost for them."""
    for key in [*OLD, "traceloop.span.kind", "traceloop.entity.name", "traceloop.entity.input", semconv.RESULT,
                "traceloop.entity.output", semconv.OUTPUT_MESSAGES, f"{PROPERTIES}.x", semconv.OPERATION]:  # fmt: skip
        for kind in ("tool", "agent", "workflow", "task"):
            found = said({"traceloop.span.kind": kind, "traceloop.entity.name": "e", key: value}, parent_span_id="")
            assert found[own.DIALECT] == "openllmetry"


DUMPS = sorted(FOLDER.glob("*.openllmetry.*.json.gz"))


@pytest.mark.parametrize("place", DUMPS, ids=lambda place: place.name)
def test_of_what_frameworks_emit_every_key_is_declared(place: Path) -> None:
    """Nothing but our own terms, and names that tables declare, is left after a span was read."""
    undeclared: set[str] = set()
    for span in load(place)["spans"]:
        record = read_of_dump(span)
        undeclared |= record["attributes"].keys() - SPAN_KEYS.keys()
        assert operation(record["attributes"]) != "other" or "http.route" in record["attributes"]
    assert all(key.startswith("anthropic.") for key in undeclared)  # of the SDK's own spans beside them


@pytest.mark.parametrize("framework", ["openai_agents", "langgraph"])
def test_calls_are_the_same_whoever_instrumented_them(configured: Any, tmp_path: Path, framework: str) -> None:
    """The calls of tools in the bundles of OpenLLMetry are those of the GenAI conventions, but for ids and times."""
    found = [calls_of(configured, tmp_path, place) for place in sorted(FOLDER.glob(f"{framework}.*.json.gz"))
             if ".genai." in place.name or ".openllmetry." in place.name]  # fmt: skip
    assert len(found) == 2
    assert len(found[0]) == 11
    assert found[0] == found[1]


def calls_of(configured: Any, folder: Path, place: Path) -> list[str]:
    """Return what is said of the calls in the bundles of a dump that was replayed."""
    store = folder / place.name.removesuffix(".json.gz")
    with configured(store=store, contracts=CONTRACTS) as handle:
        replay(load(place), handle)
        handle.flush()
    found: list[str] = []
    for file in store.rglob("tool_calls.json"):
        for call in json.loads(file.read_text())["calls"]:
            payloads = [call[kind] and (call[kind]["view"], call[kind]["digest"]) for kind in ("arguments", "result")]
            found.append(json.dumps([call["agent"], call["tool"], call["contract"], *payloads], sort_keys=True))
    return sorted(found)


CONTRACTS = [
    {
        "name": "lookup_order", "side_effects": "read", "data": {"rules": [
            {"selector": "/order_id", "action": "keep"}, {"selector": "/email", "data_class": "personal"},
            {"selector": "/status", "target": "output", "action": "keep"},
        ]},
    }
]  # fmt: skip
