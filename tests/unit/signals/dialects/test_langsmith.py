"""Runs that LangSmith exports to OpenTelemetry say in our terms what they say in its own."""

import json
from pathlib import Path
from typing import Any

import pytest

from runbundle.otel.exporters import BundleSpanExporter
from runbundle.signals import own, semconv
from runbundle.signals.keys import SPAN_KEYS
from runbundle.signals.operations import operation
from tests.interop.dumps import FOLDER, load
from tests.interop.replay import export
from tests.unit.signals.dialects.one_span import read, read_of_dump, said

KIND, NAME, METADATA = "langsmith.span.kind", "langsmith.trace.name", "langsmith.metadata"


def run(kind: str, asked: Any = None, answered: Any = None, **more: Any) -> dict[str, Any]:
    """Return the attributes of a run's span."""
    attributes: dict[str, Any] = {KIND: kind, NAME: "it", semconv.OPERATION: kind, "gen_ai.system": "langchain", **more}
    for key, value in ((semconv.PROMPT, asked), (semconv.COMPLETION, answered)):
        if value is not None:
            attributes[key] = json.dumps(value)
    return attributes


@pytest.mark.parametrize(
    ("kind", "says", "op", "named"),
    [
        ("chain", "chain", "step", own.NAME),
        ("prompt", "chat", "step", own.NAME),
        ("parser", "parser", "step", own.NAME),
        ("tool", "execute_tool", "tool", semconv.TOOL_NAME),
        ("llm", "chat", "model", None),
        ("retriever", "embeddings", "retrieval", own.RETRIEVER_NAME),
        ("embedding", "embeddings", "model", None),
    ],
)
def test_each_kind_of_run_is_one_of_our_kinds_of_work(kind: str, says: str, op: str, named: str | None) -> None:
    """The exporter's own word for the operation is wrong for retrievers and prompts."""
    found = said({**run(kind), semconv.OPERATION: says})
    assert operation(found) == op
    assert not named or found[named] == "it"
    assert not {"gen_ai.system", semconv.PROVIDER} & found.keys()


def test_a_graph_of_an_agent_is_the_agent() -> None:
    """The chain that has the agent's name is it, of those within each is a step."""
    about = {f"{METADATA}.lc_agent_name": "it", f"{METADATA}.ls_integration": "langchain_create_agent"}
    found = said(run("chain", **about))
    assert (operation(found), found[semconv.AGENT_NAME]) == ("agent", "it")
    assert operation(said({**run("chain", **about), NAME: "model"})) == "step"
    root = said(run("chain", **{f"{METADATA}.ls_integration": "langgraph"}), parent_span_id="")
    assert operation(root) == "agent"


MESSAGE = {"content": '{"b": 2}', "type": "tool", "tool_call_id": "c1", "status": "success"}


def test_a_tools_payloads_come_out_of_what_is_around_them() -> None:
    """Arguments are the inputs, or the text that is the only one; results are in messages of LangChain, or bare."""
    found = said(run("tool", {"a": 1}, {"output": MESSAGE}))
    assert (found[semconv.ARGUMENTS], found[semconv.RESULT]) == ({"a": 1}, '{"b": 2}')
    assert found[semconv.CALL_ID] == "c1"
    assert not {semconv.PROMPT, semconv.COMPLETION} & found.keys()
    found = said(run("tool", {"input": "{'a': 1}"}, {"output": {"lc": 1, "kwargs": MESSAGE}}))
    assert (found[semconv.ARGUMENTS], found[semconv.RESULT]) == ({"a": 1}, '{"b": 2}')
    found = said(run("tool", {"input": "Paris"}, {"output": "sunny"}))
    assert (found[semconv.ARGUMENTS], found[semconv.RESULT]) == ("Paris", "sunny")
    assert said(run("tool", {"a": 1}, {"done": True}))[semconv.RESULT] == {"done": True}
    failed = said(run("tool", {"a": 1}, {"output": {**MESSAGE, "status": "error"}}))
    assert failed[semconv.ERROR_TYPE] == "tool_error"
    assert semconv.RESULT not in said(run("tool", {"a": 1}, {}))


ANSWER = {
    "lc": 1,
    "kwargs": {
        "type": "ai", "content": "", "tool_calls": [{"name": "find", "args": {"a": 1}, "id": "c1"}],
        "response_metadata": {"model_name": "m-2", "finish_reason": "tool_calls", "id": "r"},
    },
}  # fmt: skip
CALLED = [{"type": "tool_call", "id": "c1", "name": "find", "arguments": {"a": 1}}]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (
            {"messages": [[{"lc": 1, "kwargs": {"type": "human", "content": "hi"}}]]},
            {"generations": [[{"text": "", "message": ANSWER}]]},
        ),
        (
            {"messages": [{"role": "user", "content": "hi"}]},
            {"choices": [{"finish_reason": "tool_calls", "message": {"role": "assistant", "content": None, "tool_calls":
                [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}]}}]},
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "find", "input": {"a": 1}}]},
        ),
        (
            {"messages": [{"role": "user", "content": "hi"}]},
            {"output": {"role": "assistant", "tool_calls": [{"name": "find", "args": {"a": 1}, "id": "c1"}]}},
        ),
    ],
)  # fmt: skip
def test_messages_of_each_provider_are_those_of_the_conventions(asked: Any, answered: Any) -> None:
    """LangChain's, OpenAI's, Anthropic's, and those that an application writes down itself."""
    found = said(run("llm", asked, answered))
    assert json.loads(found[semconv.INPUT_MESSAGES]) == [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    (message,) = json.loads(found[semconv.OUTPUT_MESSAGES])
    assert (message["role"], message["parts"]) == ("assistant", CALLED)


def test_what_the_model_said_of_itself_is_in_langchains_message() -> None:
    """The model that answered, its id of the response, and why it ended."""
    found = said(run("llm", None, {"generations": [[{"message": ANSWER}]]}))
    assert (found[semconv.RESPONSE_MODEL], found[semconv.RESPONSE_ID]) == ("m-2", "r")
    assert found[semconv.FINISH_REASONS] == ["tool_calls"]


def test_tokens_are_counted_once() -> None:
    """A chain says again what the model's call in it has said; details are texts of Python or JSON."""
    counts = {semconv.INPUT_TOKENS: 5, semconv.OUTPUT_TOKENS: 2, semconv.TOTAL_TOKENS: 7}
    model = said({**run("llm"), **counts, "gen_ai.usage.input_token_details": "{'cache_read': 3}",
                  f"{METADATA}.usage_metadata": '{"output_token_details":{"reasoning":1}}'})  # fmt: skip
    assert {key: model[key] for key in model if key.startswith(semconv.USAGE)} == {
        semconv.INPUT_TOKENS: 5, semconv.OUTPUT_TOKENS: 2, semconv.CACHE_READ_TOKENS: 3, semconv.REASONING_TOKENS: 1,
    }  # fmt: skip
    chain = said({**run("chain"), **counts})
    assert not [key for key in chain if key.startswith(semconv.USAGE)]
    assert chain["gen_ai.aggregated_usage.input_tokens"] == 5


def test_a_retrieval_has_its_query_and_an_event_for_each_document() -> None:
    """Its documents have ids here."""
    document = {"id": "d", "page_content": "text", "metadata": {"source": "kb/1.md"}, "type": "Document"}
    record = read(run("retriever", {"query": "why"}, {"documents": [document]}))
    assert record["attributes"][semconv.QUERY_TEXT] == "why"
    assert [event["attributes"] for event in record["events"]] == [
        {own.DOCUMENT_ID: "d", own.DOCUMENT_CONTENT: "text", own.DOCUMENT_URI: "kb/1.md", own.DOCUMENT_RANK: 1}
    ]


def test_session_user_and_what_is_the_applications_own_are_in_the_metadata() -> None:
    """Its keys are the application's: what is none of our terms is content, with its key."""
    metadata = {f"{METADATA}.thread_id": "t", f"{METADATA}.user_id": "u", f"{METADATA}.Ada Quill": "x"}
    found = said(run("chain", **metadata))
    assert (found[own.SESSION_ID], found[own.USER_ID]) == ("t", "u")
    assert json.loads(found[METADATA]) == {"Ada Quill": "x"}
    assert SPAN_KEYS[METADATA] == "content"
    assert not found.keys() - SPAN_KEYS.keys()


def test_the_type_of_an_error_stands_before_its_message() -> None:
    """The exception that the exporter records is one of its own."""
    said_of_it = {semconv.EXCEPTION_TYPE: "Exception", semconv.EXCEPTION_MESSAGE: "ValueError('x')Traceback (most"}
    event = {"name": semconv.EXCEPTION, "attributes": said_of_it, "time_ns": 1, "dropped": 0}
    assert said(run("tool"), events=[event])[semconv.ERROR_TYPE] == "ValueError"


def test_the_result_of_a_run_is_what_its_last_message_says() -> None:
    """Of a chain at the root any output is the result; a step's is content."""
    state = {"messages": [MESSAGE, {"content": "shipped", "type": "ai"}]}
    agent = said(run("chain", None, state, **{f"{METADATA}.lc_agent_name": "it"}))
    assert agent[semconv.FINAL_RESULT] == "shipped"
    assert semconv.COMPLETION in agent
    assert said(run("chain", None, {"a": 1}), parent_span_id="")[semconv.FINAL_RESULT] == '{"a": 1}'
    assert said(run("chain", None, {"a": 1}))[semconv.COMPLETION] == '{"a": 1}'


def test_of_what_langsmith_emits_every_key_is_declared() -> None:
    """A dump of its exporter: two agents of LangGraph, a retriever, and functions that its decorator traces."""
    (place,) = FOLDER.glob("langsmith.own.*.json.gz")
    dump = load(place)
    works: list[str] = []
    for span in dump["spans"]:
        record = read_of_dump(span)
        assert not record["attributes"].keys() - SPAN_KEYS.keys()
        works.append(operation(record["attributes"]))
    counts = {"agents": "agent", "tool_calls": "tool", "model_calls": "model", "retrievals": "retrieval"}
    assert {name: works.count(op) for name, op in counts.items()} == dump["expected"]
    assert "other" not in works


@pytest.mark.parametrize(
    "value", [None, 5, True, ["a"], {"a": 1}, "", "[", "[]", '{"messages": 5}', '{"messages": [[5, {"content": 5}]]}',
              '{"choices": [{"message": 5}]}', '{"output": null}',
              '{"generations": [[{"message": {"tool_calls": [{}]}}]]}',
              '{"documents": [1, {"metadata": 1}]}', "{" * 5000, '{"a":' * 5000]
)  # fmt: skip
def test_any_value_anywhere_is_read_without_a_fault(value: Any) -> None:
    """Values of the wrong kind cost themselves alone."""
    for kind in ("tool", "llm", "chain", "retriever", "agent", "embedding"):
        for key in (semconv.PROMPT, semconv.COMPLETION, f"{METADATA}.x", f"{METADATA}.lc_agent_name", NAME,
                    "gen_ai.usage.input_token_details", "gen_ai.system", semconv.OPERATION):  # fmt: skip
            found = said({**run(kind), key: value}, parent_span_id="")
            assert found[own.DIALECT] == "langsmith"


def test_a_run_that_was_exported_is_a_bundle_with_its_calls(tmp_path: Path) -> None:
    """Spans come when they have ended: of each of the four runs there is a bundle, of its tools the payloads."""
    (place,) = FOLDER.glob("langsmith.own.*.json.gz")
    exporter = BundleSpanExporter(store=str(tmp_path / "store"))
    export(load(place), exporter)
    exporter.shutdown()
    calls = [
        call for file in (tmp_path / "store").rglob("tool_calls.json") for call in json.loads(file.read_text())["calls"]
    ]
    assert sorted((call["tool"], call["agent"]) for call in calls if call["agent"]) == [
        ("explode", "failing"), ("lookup_order", "concierge"), ("weather", "concierge"),
    ]  # fmt: skip
    assert all(call["arguments"]["digest"] for call in calls)
    runs = [json.loads(file.read_text()) for file in (tmp_path / "store").rglob("run.json")]
    assert len([run for run in runs if run.get("session_id") == "sess-1"]) == 1
    found = b"".join(file.read_bytes() for file in (tmp_path / "store").rglob("*") if file.is_file())
    assert b"zebra-" not in found
