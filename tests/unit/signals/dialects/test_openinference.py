"""Spans of OpenInference are read into our terms, whichever framework its instrumentation is of."""

import time
from typing import Any

import orjson
import pytest

from runbundle.signals.dialects.canonical import canonical
from runbundle.signals.keys import SPAN_KEYS
from runbundle.signals.operations import begins_run, operation
from tests.interop.dumps import FOLDER, load

DUMPS = sorted(FOLDER.glob("*.openinference.*.json.gz"))


def _record(name: str, attributes: dict[str, Any], scope: str = "", **more: Any) -> Any:
    return {
        "name": name, "attributes": attributes, "events": [], "end_ns": 9, "parent_span_id": "1" * 16,
        "remote_parent": False, "scope": {"name": f"openinference.instrumentation.{scope}" if scope else ""}, **more,
    }  # fmt: skip


def _read(name: str, kind: str, scope: str = "", /, events: Any = (), **attributes: Any) -> dict[str, Any]:
    said = {key.replace("__", "."): value for key, value in attributes.items()}
    record = _record(name, {"openinference.span.kind": kind, **said}, scope, events=list(events))
    return canonical(record)["attributes"]


def _named(attributes: dict[str, Any]) -> tuple[str, Any]:
    keys = {"agent": "gen_ai.agent.name", "tool": "gen_ai.tool.name", "step": "runbundle.name"}
    op = operation(attributes)
    return op, attributes.get(keys.get(op, "gen_ai.request.model"))


CREATED = '{"ls_integration": "langchain_create_agent", "lc_agent_name": "desk"}'
NODE = '{"ls_integration": "langchain_create_agent", "lc_agent_name": "desk", "langgraph_node": "model"}'


@pytest.mark.parametrize(
    ("name", "kind", "scope", "attributes", "expected"),
    [
        ("desk", "AGENT", "openai_agents", {"agent.name": "desk", "graph.node.id": "x"}, ("agent", "desk")),
        ("desk", "AGENT", "openai_agents", {"graph.node.id": "desk"}, ("agent", "desk")),
        ("Agent workflow", "AGENT", "openai_agents", {}, ("step", "Agent workflow")),
        ("Agent workflow", "AGENT", "", {}, ("step", "Agent workflow")),
        ("handoff to billing", "TOOL", "openai_agents", {"input.value": "a"}, ("step", "handoff to billing")),
        ("turn", "CHAIN", "openai_agents", {}, ("step", "turn")),
        ("desk", "CHAIN", "langchain", {"metadata": CREATED}, ("agent", "desk")),
        ("LangGraph", "CHAIN", "langchain", {"metadata": CREATED}, ("agent", "desk")),
        ("model", "CHAIN", "langchain", {"metadata": NODE}, ("step", "model")),
        ("LangGraph", "CHAIN", "langchain", {}, ("step", "LangGraph")),
        ("FunctionAgent.run", "CHAIN", "llama_index", {}, ("agent", "FunctionAgent")),
        ("Agent.run", "CHAIN", "haystack", {}, ("agent", "Agent")),
        ("Pipeline.run", "CHAIN", "haystack", {}, ("step", "Pipeline.run")),
        ("PromptBuilder.run", "LLM", "haystack", {}, ("step", "PromptBuilder.run")),
        ("desk.run", "AGENT", "smolagents", {"input.value": "{}"}, ("agent", "desk")),
        ("Step 1", "CHAIN", "smolagents", {}, ("step", "Step 1")),
        ("Agent.run", "AGENT", "agno", {"graph.node.id": "5f1c"}, ("agent", "Agent")),
        ("my_desk.run", "AGENT", "agno", {"agent.name": "my desk", "graph.node.id": "5f"}, ("agent", "my desk")),
        ("crew.kickoff", "CHAIN", "crewai", {"crew_key": "k"}, ("agent", "crew")),
        ("Flow.kickoff", "CHAIN", "crewai", {"flow_id": "k"}, ("step", "Flow.kickoff")),
        ("Clerk.task._execute_core", "AGENT", "crewai", {"graph.node.id": "Clerk"}, ("agent", "Clerk")),
        ("desk", "AGENT", "", {"input.value": "hello"}, ("agent", "desk")),
        ("find.__call__", "TOOL", "dspy", {}, ("tool", "find")),
        ("SimpleTool", "TOOL", "smolagents", {"tool.name": "find"}, ("tool", "find")),
        ("LM.__call__", "LLM", "dspy", {"llm.model_name": "m"}, ("model", "m")),
        ("M.predict", "LLM", "llama_index", {}, ("step", "M.predict")),
        ("M._prepare_chat_with_tools", "LLM", "llama_index", {}, ("step", "M._prepare_chat_with_tools")),
        ("R._retrieve", "RETRIEVER", "llama_index", {}, ("step", "R._retrieve")),
        ("R.retrieve", "RETRIEVER", "llama_index", {}, ("retrieval", None)),
        ("rank", "RERANKER", "haystack", {"reranker.model_name": "r"}, ("retrieval", "r")),
        ("e", "EMBEDDING", "openai", {"embedding.model_name": "e"}, ("model", "e")),
        ("guard", "guardrail", "", {}, ("step", "guard")),
        ("odd", "NEW", "", {}, ("step", "odd")),
        ("", "AGENT", "", {}, ("step", None)),
    ],
)
def test_a_span_is_what_its_kind_its_name_and_its_framework_say(
    name: str, kind: str, scope: str, attributes: dict[str, Any], expected: tuple[str, Any]
) -> None:
    """Agents and tools are named; workflows, handoffs and what only holds a call are steps."""
    assert _named(_read(name, kind, scope, **attributes)) == expected


def test_kinds_of_work_of_its_own_translation_are_not_believed() -> None:
    """Nor the schema that it takes for arguments; the rest of it is."""
    schema = '{"type": "object"}'
    said = _read("Agent workflow", "AGENT", "openai_agents", gen_ai__operation__name="invoke_agent")
    assert _named(said) == ("step", "Agent workflow")
    assert "gen_ai.operation.name" not in said
    tool = {"gen_ai.tool.call.arguments": schema, "tool.parameters": schema, "tool.name": "f"}
    assert _read("f", "TOOL", **tool, input__value='{"a": 1}')["gen_ai.tool.call.arguments"] == '{"a": 1}'
    assert "gen_ai.tool.call.arguments" not in _read("f", "TOOL", **tool)
    model = _read("m", "LLM", llm__model_name="theirs", gen_ai__request__model="ours")
    assert model["gen_ai.request.model"] == "ours"


def test_a_call_is_the_same_whichever_framework_made_it() -> None:
    """Arguments and result without envelope, and the id of the call where it is said."""
    arguments, result = {"city": "Paris"}, {"sun": True}
    message = '{"type": "tool", "data": {"content": "{\\"sun\\": true}", "tool_call_id": "c"}}'
    said = [
        ("openai_agents", orjson.dumps(arguments).decode(), orjson.dumps(result).decode()),
        ("langchain", '{"city": "Paris"}', message),
        ("llama_index", '{"kwargs": {"city": "Paris"}}', '{"raw_output": {"sun": true}, "is_error": false}'),
        ("smolagents", '{"args": [], "sanitize_inputs_outputs": true, "kwargs": {"city": "Paris"}}', '{"sun": true}'),
        ("agno", '{"city": "Paris"}', "{'sun': True}"),
        ("dspy", '{"kwargs": {"city": "Paris"}}', '{"sun": true}'),
    ]  # fmt: skip
    for scope, given, gave in said:
        read = _read("f", "TOOL", scope, tool__name="f", input__value=given, output__value=gave)
        found = [read["gen_ai.tool.call.arguments"], read["gen_ai.tool.call.result"]]
        assert [orjson.loads(v) if isinstance(v, str) else v for v in found] == [arguments, result], scope
        assert read.get("gen_ai.tool.call.id") == ("c" if scope == "langchain" else None)


def test_a_failed_call_says_so() -> None:
    """By its envelope, or by the exception that was recorded; the status text is left to redaction."""
    gave = '{"raw_output": "no", "is_error": true}'
    assert _read("f", "TOOL", "llama_index", tool__name="f", output__value=gave)["error.type"] == "tool_error"
    event = {"name": "exception", "attributes": {"exception.type": "ValueError"}}
    assert _read("f", "TOOL", events=[event])["error.type"] == "ValueError"
    assert "error.type" not in _read("f", "TOOL", events=[{"name": "exception", "attributes": {"exception.type": 7}}])


def test_a_model_call_is_read_whole() -> None:
    """Model, provider, usage, finish, id, messages, tools and the parameters of the request."""
    parameters = {"model": "m", "temperature": 0.5, "max_completion_tokens": 9, "stop": "x", "api_key": "sk", "n": 2}
    read = _read(
        "ChatCompletion", "LLM", "openai", **{
            "llm.model_name": "m-2026", "llm.system": "OpenAI", "llm.finish_reason": "tool_calls",
            "llm.token_count.prompt": 11, "llm.token_count.completion": 7, "llm.token_count.total": 18,
            "llm.token_count.prompt_details.cache_read": 3, "llm.token_count.prompt_details.cache_write": 1,
            "llm.token_count.completion_details.reasoning": 2, "output.value": '{"id":"chatcmpl-1"}',
            "llm.invocation_parameters": orjson.dumps(parameters).decode(),
            "llm.tools.0.tool.json_schema": '{"name": "f"}', "llm.tools.1.tool.json_schema": '{"name": "g"}',
            "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "hi",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "f",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"a": 1}',
            "metadata": '{"thread_id": "t", "session_id": "s", "user_id": "u"}',
        }
    )  # fmt: skip
    assert {key: value for key, value in read.items() if key.startswith(("gen_ai.", "runbundle."))} == {
        "gen_ai.operation.name": "chat", "gen_ai.response.model": "m-2026", "gen_ai.request.model": "m",
        "gen_ai.provider.name": "openai", "gen_ai.response.finish_reasons": ["tool_calls"],
        "gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 7, "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.cache_creation.input_tokens": 1, "gen_ai.usage.reasoning.output_tokens": 2,
        "gen_ai.response.id": "chatcmpl-1", "gen_ai.request.temperature": 0.5, "gen_ai.request.max_tokens": 9,
        "gen_ai.request.stop_sequences": ["x"], "gen_ai.request.choice.count": 2,
        "gen_ai.tool.definitions": '[{"name": "f"},{"name": "g"}]',
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]',
        "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"tool_call","name":"f","arguments":{"a": 1}}],'
        '"finish_reason":"tool_calls"}]',
        "runbundle.session.id": "s", "runbundle.user.id": "u", "runbundle.dialect": "openinference",
    }  # fmt: skip
    assert SPAN_KEYS["llm.invocation_parameters"] == "content"


def test_tokens_of_an_agent_are_a_sum() -> None:
    """They are not counted beside those of its model calls."""
    read = _read("desk.run", "AGENT", "smolagents", input__value="{}", llm__token_count__prompt=5)
    assert read["gen_ai.aggregated_usage.input_tokens"] == 5
    assert "gen_ai.usage.input_tokens" not in read


def test_the_session_is_the_one_that_the_span_says_itself() -> None:
    """Then the session of its metadata, then the thread."""
    about = '{"thread_id": "t", "session_id": "s"}'
    assert _read("x", "CHAIN", session__id="own", metadata=about)["runbundle.session.id"] == "own"
    assert _read("x", "CHAIN", metadata=about)["runbundle.session.id"] == "s"
    assert _read("x", "CHAIN", metadata='{"thread_id": 7}')["runbundle.session.id"] == "7"


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("where?", "where?"),
        ('{"query": "where?", "top_k": 2}', "where?"),
        ('{"query_bundle": {"query_str": "where?"}}', "where?"),
        ('{"query_embedding": [0.1]}', None),
        ("{where?}", "{where?}"),
    ],
)
def test_the_question_of_a_retrieval_is_text(asked: str, text: str | None) -> None:
    """Out of the JSON of what the retriever was called with; what has none stays where it was."""
    read = _read("R.retrieve", "RETRIEVER", input__value=asked)
    assert read.get("gen_ai.retrieval.query.text") == text
    assert ("input.value" in read) == (text is None)
    assert read["runbundle.retriever.name"] == "R"


def test_documents_are_evidence() -> None:
    """In their order, with score, place and title; LangChain's ids stand in the output alone."""
    found = {
        "retrieval.documents.0.document.content": "a", "retrieval.documents.0.document.score": 0.5,
        "retrieval.documents.0.document.metadata": '{"source": "kb/1.md", "title": "Handbook"}',
        "retrieval.documents.1.document.content": "b",
    }  # fmt: skip
    output = '{"documents": [{"id": "d1", "page_content": "a"}, {"id": "d2", "page_content": "b"}]}'
    for more, ids in (({}, ["1", "2"]), ({"output.value": output}, ["d1", "d2"])):
        record = _record("R", {"openinference.span.kind": "RETRIEVER", **found, **more})
        events = [event["attributes"] for event in canonical(record)["events"]]
        assert [event["runbundle.document.id"] for event in events] == ids
        assert events[0]["runbundle.document.uri"] == "kb/1.md"
        assert events[0]["runbundle.document.title"] == "Handbook"
        assert events[0]["runbundle.document.score"] == 0.5
    record = _record("R", {"openinference.span.kind": "RETRIEVER", "output.value": output})
    assert [e["attributes"]["runbundle.document.content"] for e in canonical(record)["events"]] == ["a", "b"]


def test_scores_are_events() -> None:
    """As the conventions have them."""
    said = {
        "evaluations.0.evaluation.name": "fit",
        "evaluations.0.evaluation.score": 0.5,
        "openinference.span.kind": "LLM",
    }
    [event] = canonical(_record("m", said))["events"]
    assert event["name"] == "gen_ai.evaluation.result"
    assert event["attributes"] == {"gen_ai.evaluation.name": "fit", "gen_ai.evaluation.score.value": 0.5}


def test_the_result_of_a_run_is_that_of_its_agent_or_its_root() -> None:
    """What a step within it gave is content and no more."""
    said = {"openinference.span.kind": "CHAIN", "output.value": "done"}
    assert canonical(_record("x", said, parent_span_id=""))["attributes"]["final_result"] == "done"
    assert canonical(_record("x", said, remote_parent=True))["attributes"]["final_result"] == "done"
    assert "final_result" not in canonical(_record("x", said))["attributes"]
    assert _read("desk", "AGENT", output__value="done")["final_result"] == "done"


def test_indexing_begins_no_run() -> None:
    """Nor does an embedding, nor what is within one."""
    embeddings = (("M.get_text_embedding", "EMBEDDING"), ("M._get_text_embedding", "EMBEDDING"))
    for name, kind in (("SentenceSplitter.__call__", "CHAIN"), *embeddings):
        assert not begins_run(name, {"openinference.span.kind": kind})
    assert begins_run("turn", {"openinference.span.kind": "CHAIN"})


@pytest.mark.parametrize("kind", ["AGENT", "CHAIN", "TOOL", "LLM", "EMBEDDING", "RETRIEVER", "RERANKER", "?", 7, None])
def test_a_span_of_the_wrong_types_is_read_nevertheless(kind: Any) -> None:
    """Lists, numbers, nothing and broken JSON where text should be: it stays a span of its dialect."""
    keys = (
        "input.value", "output.value", "metadata", "tool.name", "tool.parameters", "llm.invocation_parameters",
        "llm.model_name", "llm.provider", "llm.finish_reason", "llm.tools", "agent.name", "graph.node.id", "session.id",
        "llm.input_messages.0.message.role", "llm.input_messages.0.message.tool_calls.0.tool_call.id", "reranker.query",
        "llm.output_messages.0.message.content", "retrieval.documents.0.document.metadata", "llm.tools.0.tool",
        "retrieval.documents.0.document.score", "evaluations.0.evaluation.score", "embedding.embeddings.0.x",
    )  # fmt: skip
    values: list[Any] = [("a", 1), 7, True, None, "{", '{"documents": [1]}', "[[", '{"a": ' * 900, b"x", {"a": {}}, ""]
    for value in values:
        record = _record("x", {"openinference.span.kind": kind, **dict.fromkeys(keys, value)})
        read = canonical(record)
        assert read is not record
        assert read["attributes"]["runbundle.dialect"] == "openinference"


@pytest.mark.alone
def test_a_history_of_five_hundred_messages_is_read_in_a_moment() -> None:
    """Cost grows with what is there."""
    said: dict[str, Any] = {"openinference.span.kind": "LLM"}
    for number in range(500):
        said[f"llm.input_messages.{number}.message.role"] = "user"
        said[f"llm.input_messages.{number}.message.content"] = "word " * 20
    before = time.thread_time()
    read = canonical(_record("m", said))["attributes"]
    assert time.thread_time() - before < 0.5
    assert len(orjson.loads(read["gen_ai.input.messages"])) == 500
    assert len(read) < 6


@pytest.mark.parametrize("place", DUMPS, ids=lambda place: place.name)
def test_every_attribute_of_a_dump_is_read_or_declared(place: Any) -> None:
    """Each span is of a kind, agents, tools and steps are named; undeclared are less than one attribute in twenty."""
    undeclared = total = 0
    for span in load(place)["spans"]:
        if "openinference.span.kind" not in span["attributes"]:
            continue  # another's, as of a server or an SDK
        record = _record(span["name"], span["attributes"], scope=span["scope"], events=span["events"])
        read = canonical(record)["attributes"]
        assert operation(read) != "other"
        if operation(read) in ("tool", "agent", "step"):
            assert _named(read)[1]
        undeclared += sum(key not in SPAN_KEYS for key in read)
        total += len(read)
    assert undeclared <= total * 0.05
