"""OpenLLMetry, the conventions of Traceloop: `traceloop.*`, `llm.*`, and `gen_ai.*` names that only it has.

Source: the packages opentelemetry-semantic-conventions-ai (0.4 and 0.5), traceloop-sdk and the instrumentations of the
same repository, https://github.com/traceloop/openllmetry, in versions 0.47 and 0.62, and spans of them.
"""

from typing import Any, cast

from runbundle.process.regex import later
from runbundle.signals import own, semconv
from runbundle.signals.dialects.forms.documents import MOST, add_documents, document_of
from runbundle.signals.dialects.forms.envelopes import Opened, answer_of, arguments_of, result_of
from runbundle.signals.dialects.forms.flattened import Fields, messages_text
from runbundle.signals.dialects.forms.table import Dialect, Reading, Row, json_text
from runbundle.signals.kinds import keys_of
from runbundle.signals.names import CHAT, EXECUTE_TOOL, INVOKE_AGENT, RETRIEVAL, STEP
from runbundle.signals.reading import json_of

_KIND, _ENTITY = "traceloop.span.kind", "traceloop.entity.name"
_INPUT, _OUTPUT = "traceloop.entity.input", "traceloop.entity.output"
_REQUEST_TYPE = "llm.request.type"
_PROPERTIES = "traceloop.association.properties"
"""The beginning of what an application says of its traces; what of it is none of our terms is gathered under it."""
_PROMPT, _COMPLETION, _FUNCTIONS = "gen_ai.prompt", "gen_ai.completion", "llm.request.functions"
_LISTS = frozenset({_PROMPT, _COMPLETION, _FUNCTIONS})

_OPERATIONS = {
    CHAT: CHAT, "llm_request": CHAT, "response": CHAT, "generate_content": "generate_content",
    "text_completion": "text_completion", "embeddings": "embeddings", "create_agent": "create_agent",
    EXECUTE_TOOL: EXECUTE_TOOL, RETRIEVAL: RETRIEVAL, "vector_db_retrieve": RETRIEVAL,
}  # fmt: skip
"""What `gen_ai.operation.name` says, where it is believed more than the kind of the span: a task may retrieve."""
_OF_REQUEST = {CHAT: CHAT, "completion": "text_completion", "embedding": "embeddings", "unknown": CHAT}
_OF_KIND = {"agent": INVOKE_AGENT, "tool": EXECUTE_TOOL}
"""All other kinds are steps. A workflow of LangGraph calls itself an agent and lies in the agent's own span."""
_STEPS = frozenset({"execute_task", "handoff", "goto", "rerank"})
_OF_CREW = "crewai.crew.id"
"""A crew is no agent, although its span says so: its agents have spans of their own."""
_MODELS = frozenset({CHAT, "text_completion", "generate_content", "embeddings"})
_FRAMEWORKS = frozenset(
    {"langgraph", "langchain", "crewai", "agno", "llamaindex", "llama_index", "haystack", "openai_agents"}
)
"""What some spans have for a provider: who calls the models, not who has them."""


def _work(reading: Reading) -> str:
    attributes = reading.attributes
    provider = attributes.get(semconv.PROVIDER, attributes.get("gen_ai.system"))
    if isinstance(provider, str) and provider.lower() in _FRAMEWORKS:
        for key in (semconv.PROVIDER, "gen_ai.system"):
            attributes.pop(key, None)
    said, kind = reading.text(semconv.OPERATION), reading.text(_KIND)
    work = _OPERATIONS.get(said) or _OF_REQUEST.get(reading.text(_REQUEST_TYPE))
    if work is None:
        if kind:
            work = _work_of_kind(reading, kind)
        elif said:
            work = STEP if said in _STEPS or _OF_CREW in attributes else said
        elif semconv.REQUEST_MODEL in attributes or f"{_PROMPT}.0.content" in attributes:
            work = CHAT
    if work == STEP:
        attributes.pop(semconv.OPERATION, None)
        attributes[own.OP] = STEP
        return "workflow" if kind == "workflow" or _OF_CREW in attributes else STEP
    if work is not None and work != said:
        attributes[semconv.OPERATION] = work
    return CHAT if work in _MODELS else work or ""


def _work_of_kind(reading: Reading, kind: str) -> str:
    work = _OF_KIND.get(kind, STEP)
    if work == STEP:  # LlamaIndex calls nearly everything a task
        if "tool.name" in reading.attributes:
            return EXECUTE_TOOL
        if reading.text(_ENTITY).partition(".")[0].endswith("Retriever"):
            return RETRIEVAL
    return work


def _finish(reading: Reading) -> None:
    op = reading.op
    if op == CHAT:
        _read_lists(reading)
    elif op == EXECUTE_TOOL:
        _open_payloads(reading)
    elif op == RETRIEVAL:
        _open_retrieval(reading)
    elif op in ("workflow", INVOKE_AGENT) or reading.is_root:
        _open_outcome(reading)
    if op in ("workflow", STEP):
        reading.put(own.NAME, reading.text("traceloop.workflow.name") or reading.text(_KIND) or STEP)
    for key in _OFTEN_EMPTY:
        if key in reading.attributes and reading.attributes[key] == "":
            del reading.attributes[key]


_OFTEN_EMPTY = ("traceloop.entity.path", "traceloop.workflow.name")


# -- models ------------------------------------------------------------------------------------------------------------


def _read_lists(reading: Reading) -> None:
    attributes = reading.attributes
    if not reading.lists or _STARTS_OF_LISTS.isdisjoint(attributes):
        return
    lists = reading.lists.take(attributes)
    asked, said = lists.get(_PROMPT, []), lists.get(_COMPLETION, [])
    for item in asked:
        if "user" in item and "content" not in item:  # of a completion that has no roles
            item["role"], item["content"] = "user", item.pop("user")
    reading.put(semconv.INPUT_MESSAGES, messages_text(asked))
    reasons = [item["finish_reason"] for item in said if isinstance(item.get("finish_reason"), str)]
    if reasons:
        reading.put(semconv.FINISH_REASONS, reasons)
    text = messages_text(said, role="assistant")
    if text is not None and semconv.OUTPUT_MESSAGES in attributes:
        _add_calls(reading, text)
    reading.put(semconv.OUTPUT_MESSAGES, text)
    functions = lists.get(_FUNCTIONS)
    if functions:
        reading.put(semconv.TOOL_DEFINITIONS, json_text([_opened_parameters(function) for function in functions]))


def _add_calls(reading: Reading, text: str) -> None:
    """Add calls, of which a model's output messages only say that there were some, to the last of them."""
    before = reading.text(semconv.OUTPUT_MESSAGES)
    messages, said = json_of(before), json_of(text)
    if '"tool_call"' in before or not isinstance(messages, list) or not isinstance(said, list) or not messages:
        return
    last = cast("list[Any]", messages)[-1]
    if isinstance(last, dict):
        message = cast("Fields", last)
        parts = cast("list[Any]", message["parts"]) if isinstance(message.get("parts"), list) else []
        calls = (part for one in cast("list[Fields]", said) for part in one["parts"] if part["type"] == "tool_call")
        message["parts"] = [*parts, *calls]
        reading.replace(semconv.OUTPUT_MESSAGES, messages)


def _opened_parameters(function: Fields) -> Fields:
    return {key: opened if (opened := json_of(value)) is not None else value for key, value in function.items()}


# -- what is in envelopes ----------------------------------------------------------------------------------------------


def _open_payloads(reading: Reading) -> None:
    """Take a tool's arguments and result out of what was written down with them."""
    attributes = reading.attributes
    said = attributes.get(semconv.ARGUMENTS)
    if isinstance(said, str) and ('"kwargs"' in said or '"tool_name"' in said):
        opened = arguments_of(said, keywords=True)
        if opened.value is said:
            opened = _call_in(said)
        attributes[semconv.ARGUMENTS] = opened.value
        reading.put(semconv.CALL_ID, opened.call_id)
    said = attributes.get(semconv.RESULT)
    if isinstance(said, str) and said[:1] in _OPENINGS and (said[1:2] != '"' or _IN_ENVELOPES.search(said)):
        opened = _output_in(said, reading)
        attributes[semconv.RESULT] = opened.value
        reading.put(semconv.CALL_ID, opened.call_id)
        if opened.failed:
            reading.put(semconv.ERROR_TYPE, "tool_error")


_OPENINGS = frozenset("{[(")
_IN_ENVELOPES = later('"(?:output|tool_output|raw_output|kwargs|result|tool_call_id)"')
"""Words of envelopes; a result without them is JSON as the tool returned it."""


def _call_in(said: str) -> Opened:
    """Return the arguments of what MCP's and LlamaIndex's instrumentations write down as a call."""
    fields = json_of(said) if '"tool_name"' in said else None
    if isinstance(fields, dict):
        call = cast("dict[str, Any]", fields)
        for word in ("tool_kwargs", "arguments"):
            if isinstance(call.get(word), dict):
                return Opened(call[word], call.get("tool_id"))
    return Opened(said)


def _output_in(said: str, reading: Reading) -> Opened:
    of_mcp = reading.scope.endswith(".mcp")
    fields = json_of(said) if of_mcp or '"tool_output"' in said or said.startswith('{"output":') else None
    if isinstance(fields, list) and of_mcp:
        block = cast("list[Any]", fields)[0] if len(cast("list[Any]", fields)) == 1 else None
        text = cast("dict[str, Any]", block).get("content") if isinstance(block, dict) else None
        return Opened(said if text is None else text)
    if isinstance(fields, dict):
        call = cast("dict[str, Any]", fields)
        if isinstance(call.get("tool_output"), dict):
            return result_of(call["tool_output"])._replace(call_id=call.get("tool_id"))
        if of_mcp and "result" in call and call.keys() <= {"result", "is_error"}:
            return Opened(call["result"], failed=call.get("is_error") is True)
        if call.keys() == {"output", "kwargs"}:
            opened = result_of(call)
            return Opened(call["output"]) if opened.value is call else opened
    return result_of(said)


def _open_outcome(reading: Reading) -> None:
    """Let the result of a run be what its last message says, else its whole output.

    The messages of LangGraph are a state that has the prompts, too: what is more than the result stays where it is.
    """
    text = reading.attributes.get(_OUTPUT)
    if not isinstance(text, str):
        return
    opened = json_of(text) if text.startswith('{"outputs":') else None
    state: Any = cast("dict[str, Any]", opened).get("outputs") if isinstance(opened, dict) else None
    answer = answer_of(state)
    reading.put(semconv.FINAL_RESULT, json_text(answer if answer is not None else text if state is None else state))
    if answer is None and semconv.FINAL_RESULT in reading.attributes:
        del reading.attributes[_OUTPUT]


def _open_retrieval(reading: Reading) -> None:
    asked, found = json_of(reading.attributes.get(_INPUT)), json_of(reading.attributes.get(_OUTPUT))
    if isinstance(asked, dict):
        said = cast("dict[str, Any]", asked)
        query = said.get("query", said.get("query_bundle", said.get("str_or_query_bundle")))
        if isinstance(query, dict):  # LlamaIndex
            query = cast("dict[str, Any]", query).get("query_str")
        if isinstance(query, str):
            reading.put(semconv.QUERY_TEXT, query)
            del reading.attributes[_INPUT]
    documents = cast("dict[str, Any]", found).get("documents") if isinstance(found, dict) else found
    if isinstance(documents, list):
        add_documents(reading, [document_of(document) for document in cast("list[Any]", documents)[:MOST]])
        if len(cast("list[Any]", documents)) <= MOST and reading.added:
            del reading.attributes[_OUTPUT]


def _reasons(value: Any) -> list[Any] | None:
    opened = json_of(value) if isinstance(value, str) and value[:1] == "[" else value
    return cast("list[Any]", opened) if isinstance(opened, list) else [opened] if isinstance(opened, str) else None


def _provider(value: Any) -> str | None:
    return value.lower() if isinstance(value, str) else None


def _truth(value: Any) -> Any:
    return {"True": True, "False": False}.get(value) if isinstance(value, str) else value


def _said(value: Any) -> Any:
    """Return what says something: an empty text does not."""
    return None if value == "" else value


_STARTS_OF_LISTS = frozenset(
    {f"{head}.0.{field}" for head in (_PROMPT, _COMPLETION) for field in
     ("role", "content", "user", "finish_reason", "function_call.name", "tool_calls.0.name", "tool_calls.0.id")}
    | {f"{_FUNCTIONS}.0.{field}" for field in ("name", "description", "parameters")}
)  # fmt: skip

OPENLLMETRY = Dialect(
    name="openllmetry",
    signs=frozenset(
        {
            _KIND, _ENTITY, _INPUT, "traceloop.workflow.name", _REQUEST_TYPE, _OF_CREW, *_STARTS_OF_LISTS,
            "gen_ai.is_streaming", "llm.is_streaming", "llm.usage.total_tokens",
            "gen_ai.openai.api_base", "gen_ai.user", "llm.user",
            "gen_ai.workflow.nodes", "gen_ai.task.name", "gen_ai.task.kind", "gen_ai.handoff.from_agent",
        }
    ),
    kinds={
        **keys_of(
            "name",
            "traceloop.span.kind traceloop.workflow.name traceloop.entity.name traceloop.entity.path",
            "traceloop.prompt.key traceloop.prompt.version_name llm.request.type gen_ai.task.name gen_ai.task.status",
            "gen_ai.task.kind gen_ai.workflow.nodes gen_ai.handoff.from_agent gen_ai.handoff.to_agent",
            "gen_ai.agent.handoff_parent langgraph.command.source_node langgraph.command.goto_node",
            "gen_ai.openai.api_version gen_ai.openai.api_type gen_ai.request.reasoning_summary",
            "gen_ai.response.reasoning_effort gen_ai.cache.type gen_ai.guardrail.type gen_ai.completion.tool.type",
            "agno.team.name crewai.crew.name crewai.crew.process crewai.agent.role crewai.agent.llm crewai.task.agent",
            *(
                f"{_PROPERTIES}.{word}"
                for word in (
                    "langgraph_node", "langgraph_triggers", "langgraph_path", "lc_agent_name", "ls_integration",
                    "ls_provider", "ls_model_name", "ls_model_type", "ls_retriever_name", "ls_vector_store_provider",
                )
            ),
        ),
        **keys_of(
            "id",
            "gen_ai.task.id gen_ai.task.parent.id traceloop.prompt.version_hash traceloop.correlation.id agno.run.id",
            "gen_ai.openai.response.system_fingerprint gen_ai.openai.system_fingerprint crewai.crew.id crewai.agent.id",
            "crewai.task.id mcp.request.id gen_ai.response.system_fingerprint",
            f"{_PROPERTIES}.langgraph_checkpoint_ns {_PROPERTIES}.checkpoint_ns",
        ),
        **keys_of(
            "number",
            "traceloop.entity.version traceloop.prompt.version traceloop.prompt.managed",
            "gen_ai.request.repetition_penalty rerank.top_n",
            f"{_PROPERTIES}.langgraph_step gen_ai.completion.tool.strict_json_schema",
        ),
        **keys_of(
            "content",
            f"traceloop.entity.input traceloop.entity.output traceloop.prompt.template {_PROPERTIES}",
            "gen_ai.task.input gen_ai.task.output gen_ai.workflow.edges langgraph.command.goto_nodes gen_ai.headers",
            "llm.headers gen_ai.openai.api_base gen_ai.request.structured_output_schema",
            "gen_ai.prompt.prompt_filter_results gen_ai.prompt.prompt_error gen_ai.completion.content_filter_results",
            "crewai.crew.tasks crewai.crew.agents crewai.crew.tasks_output",
            "crewai.crew.token_usage crewai.crew.usage_metrics crewai.agent.goal crewai.agent.backstory",
            "crewai.agent.tools crewai.task.description crewai.task.expected_output crewai.task.tools",
            "mcp.request.argument mcp.response.value mcp.session.init_options openai.agent.handoffs",
            f"{_PROPERTIES}.lc_versions",
        ),
    },
    work=_work,
    rows=(
        Row(semconv.PROVIDER, (semconv.PROVIDER, "gen_ai.system"), _provider),
        Row(semconv.INPUT_TOKENS, ("gen_ai.usage.prompt_tokens",)),
        Row(semconv.OUTPUT_TOKENS, ("gen_ai.usage.completion_tokens",)),
        Row(semconv.REASONING_TOKENS, ("gen_ai.usage.reasoning_tokens", "llm.usage.reasoning_tokens")),
        Row(semconv.CACHE_READ_TOKENS, ("gen_ai.usage.cache_read_input_tokens",)),
        Row(semconv.CACHE_CREATION_TOKENS, ("gen_ai.usage.cache_creation_input_tokens",)),
        Row(semconv.TOTAL_TOKENS, ("llm.usage.total_tokens",)),
        Row(own.SESSION_ID, (f"{_PROPERTIES}.session_id", f"{_PROPERTIES}.thread_id"), _said),
        Row(own.USER_ID, (f"{_PROPERTIES}.user_id", "gen_ai.user", "llm.user"), _said),
        Row(_INPUT, ("gen_ai.task.input",)),
        Row(_OUTPUT, ("gen_ai.task.output", "crewai.crew.result")),
    ),
    rows_of={
        CHAT: (
            Row(semconv.FINISH_REASONS, (
                semconv.FINISH_REASONS, "gen_ai.response.finish_reason", "gen_ai.response.stop_reason",
                "llm.response.finish_reason", "llm.response.stop_reason",
            ), _reasons),
            Row("gen_ai.request.stream", ("gen_ai.is_streaming", "llm.is_streaming"), _truth),
            Row("gen_ai.request.choice.count", ("gen_ai.request.n",)),
            Row("gen_ai.request.max_tokens", ("gen_ai.request.max_completion_tokens",)),
            Row("gen_ai.request.reasoning.level", ("gen_ai.request.reasoning_effort", "llm.request.reasoning_effort")),
            Row("gen_ai.request.top_k", ("llm.top_k",)),
            Row("gen_ai.request.frequency_penalty", ("llm.frequency_penalty",)),
            Row("gen_ai.request.presence_penalty", ("llm.presence_penalty",)),
            Row("gen_ai.request.repetition_penalty", ("llm.request.repetition_penalty",)),
            Row("gen_ai.request.stop_sequences", ("llm.chat.stop_sequences",)),
            Row(semconv.PROVIDER, (f"{_PROPERTIES}.ls_provider",), _provider),
            Row(semconv.REQUEST_MODEL, (f"{_PROPERTIES}.ls_model_name",)),
        ),
        EXECUTE_TOOL: (
            Row(semconv.TOOL_NAME, ("tool.name", "gen_ai.completion.tool.name", _ENTITY)),
            Row("gen_ai.tool.description", ("gen_ai.completion.tool.description", "tool.description")),
            Row(semconv.ARGUMENTS, ("tool.arguments", _INPUT)),
            Row(semconv.RESULT, (_OUTPUT,)),
        ),
        INVOKE_AGENT: (Row(semconv.AGENT_NAME, (_ENTITY, "crewai.agent.role")),),
        RETRIEVAL: (
            Row(own.RETRIEVER_NAME, (f"{_PROPERTIES}.ls_retriever_name", _ENTITY)),
        ),
        STEP: (
            Row(own.NAME, ("gen_ai.task.name", _ENTITY)),
        ),
        "workflow": (
            Row(own.NAME, (_ENTITY, "agno.team.name", "crewai.crew.name")),
        ),
    },
    finish=_finish,
    lists=_LISTS,
    gathered={f"{_PROPERTIES}.": _PROPERTIES},
)  # fmt: skip
