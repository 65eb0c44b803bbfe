"""LangSmith's export of its runs to OpenTelemetry: `langsmith.*`, and its own use of names of GenAI.

Source: langsmith/_internal/otel/_otel_exporter.py of langsmith 0.15, https://github.com/langchain-ai/langsmith-sdk, and
https://docs.langchain.com/langsmith/trace-with-opentelemetry for what applications write themselves. A whole run's
inputs and outputs are JSON in `gen_ai.prompt` and `gen_ai.completion`.
"""

from collections.abc import Callable
from typing import Any, cast

from runbundle.process.regex import later
from runbundle.signals import own, semconv
from runbundle.signals.dialects.forms.documents import MOST, add_documents, document_of
from runbundle.signals.dialects.forms.envelopes import answer_of, python_value, result_of, unwrapped
from runbundle.signals.dialects.forms.flattened import Fields, messages_text
from runbundle.signals.dialects.forms.table import Dialect, Reading, Row, json_text
from runbundle.signals.kinds import keys_of
from runbundle.signals.names import CHAT, EXECUTE_TOOL, INVOKE_AGENT, RETRIEVAL, STEP
from runbundle.signals.reading import json_of

_KIND, _NAME, _METADATA = "langsmith.span.kind", "langsmith.trace.name", "langsmith.metadata"
_WORK = {
    "llm": CHAT, "tool": EXECUTE_TOOL, "retriever": RETRIEVAL, "embedding": "embeddings", "agent": INVOKE_AGENT,
}  # fmt: skip
"""By kind of run; any other is a step. `gen_ai.operation.name` says `embeddings` of a retriever, `chat` of a prompt."""
_FRAMEWORK = "langchain"
"""What it has for a provider if it knows none."""
_COUNTS = later(r"""['"](cache_read|cache_creation|reasoning)['"]: ?(\d{1,15})\b""")
_COUNTED = {
    "cache_read": semconv.CACHE_READ_TOKENS,
    "cache_creation": semconv.CACHE_CREATION_TOKENS,
    "reasoning": semconv.REASONING_TOKENS,
}
_DETAILS = ("gen_ai.usage.input_token_details", "gen_ai.usage.output_token_details", f"{_METADATA}.usage_metadata")
"""Texts with those counts, of Python or JSON; the others in them are said elsewhere."""
_GRAPHS = frozenset({"langchain_create_agent", "langgraph"})
_DETAIL_CHARS = 4096
_RAISED = later(r"([A-Za-z_][A-Za-z0-9_]{0,63})\(")
_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}


def _work(reading: Reading) -> str:
    attributes = reading.attributes
    kind = reading.text(_KIND)
    work = _WORK.get(kind, STEP)
    name = reading.text(_NAME) or reading.name
    if kind == "chain" and (
        name == attributes.get(f"{_METADATA}.lc_agent_name")
        or (reading.is_root and reading.text(f"{_METADATA}.ls_integration") in _GRAPHS)
    ):
        work = INVOKE_AGENT
    for key in (semconv.PROVIDER, "gen_ai.system"):
        if attributes.get(key) == _FRAMEWORK:
            del attributes[key]
    if not kind:
        return reading.text(semconv.OPERATION)
    if work == STEP:
        attributes.pop(semconv.OPERATION, None)
        attributes[own.OP] = STEP
        reading.put(own.NAME, name or None)
    else:
        attributes[semconv.OPERATION] = work
        if work == INVOKE_AGENT:
            reading.put(semconv.AGENT_NAME, name or None)
    return work


def _finish(reading: Reading) -> None:
    if reading.op in (STEP, INVOKE_AGENT):
        reading.take(semconv.TOTAL_TOKENS)
    else:
        for key in _DETAILS:
            said = reading.text(key)
            if said and len(said) <= _DETAIL_CHARS:
                for word, count in _COUNTS.findall(said):
                    reading.put(_COUNTED[word], int(count))
                reading.take(key)
    if reading.attributes.get(semconv.COMPLETION) == "{}":  # nothing came of it
        reading.take(semconv.COMPLETION)
    for event in reading.events:
        if event["name"] == semconv.EXCEPTION:  # of a type of its own, with that of the error before its message
            raised = _RAISED.match(str(event["attributes"].get(semconv.EXCEPTION_MESSAGE)))
            reading.put(semconv.ERROR_TYPE, raised[1] if raised else None)
    of_work = _OF_WORK.get(reading.op) or (_outcome if reading.is_root else None)
    if of_work is not None:
        of_work(reading, json_of(reading.text(semconv.PROMPT)), json_of(reading.text(semconv.COMPLETION)))


# -- what a run was given, and what came of it -------------------------------------------------------------------------


def _tool(reading: Reading, asked: Any, said: Any) -> None:
    if isinstance(asked, dict):
        fields = cast("dict[str, Any]", asked)
        # A tool that was called with text has it under this name, whatever its parameter is called.
        given = python_value(fields["input"]) if fields.keys() == {"input"} else fields
        _move(reading, semconv.PROMPT, semconv.ARGUMENTS, given)
    if isinstance(said, dict):
        fields = cast("dict[str, Any]", said)
        opened = result_of(fields["output"] if fields.keys() == {"output"} else fields)
        _move(reading, semconv.COMPLETION, semconv.RESULT, opened.value)
        reading.put(semconv.CALL_ID, opened.call_id)
        if opened.failed:
            reading.put(semconv.ERROR_TYPE, "tool_error")


def _model(reading: Reading, asked: Any, said: Any) -> None:
    if isinstance(asked, dict):
        messages = cast("dict[str, Any]", asked).get("messages")
        text = messages_text([_message(message) for message in _flat(messages)])
        _move(reading, semconv.PROMPT, semconv.INPUT_MESSAGES, text)
    if isinstance(said, dict):
        found = _answers(cast("dict[str, Any]", said))
        for about in (answer.get("response_metadata") for answer in found):
            reading.put(semconv.RESPONSE_MODEL, _text(_field(about, "model_name")))
            reading.put(semconv.RESPONSE_ID, _text(_field(about, "id")))
            reason = _text(_field(about, "finish_reason")) or _text(_field(about, "stop_reason"))
            reading.put(semconv.FINISH_REASONS, [reason] if reason else None)
        text = messages_text([_message(message) for message in found], role="assistant")
        _move(reading, semconv.COMPLETION, semconv.OUTPUT_MESSAGES, text)


def _retrieval(reading: Reading, asked: Any, said: Any) -> None:
    if isinstance(asked, dict) and isinstance(query := cast("dict[str, Any]", asked).get("query"), str):
        _move(reading, semconv.PROMPT, semconv.QUERY_TEXT, query)
    fields = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    documents = fields.get("documents", fields.get("output"))
    if isinstance(documents, list):
        add_documents(reading, [document_of(document) for document in cast("list[Any]", documents)[:MOST]])
        if reading.added and len(cast("list[Any]", documents)) <= MOST:
            reading.take(semconv.COMPLETION)


def _outcome(reading: Reading, asked: Any, said: Any) -> None:  # noqa: ARG001
    answer = answer_of(said)
    if answer is not None:  # the messages are a state that has the prompts, too: it stays
        reading.put(semconv.FINAL_RESULT, json_text(answer))
    elif said is not None:
        _move(reading, semconv.COMPLETION, semconv.FINAL_RESULT, reading.text(semconv.COMPLETION))


def _move(reading: Reading, source: str, target: str, value: Any) -> None:
    if value is not None and target not in reading.attributes:
        reading.attributes[target] = value
        reading.moved[source] = target
        reading.take(source)


_OF_WORK: dict[str, Callable[[Reading, Any, Any], None]] = {
    EXECUTE_TOOL: _tool, CHAT: _model, RETRIEVAL: _retrieval, INVOKE_AGENT: _outcome,
}  # fmt: skip


# -- messages, as LangChain, OpenAI and Anthropic have them ------------------------------------------------------------


def _flat(messages: Any) -> list[Fields]:
    """Return the messages of a list, or of a list of such lists."""
    listed = cast("list[Any]", messages) if isinstance(messages, list) else []
    flat = (one for each in listed for one in (cast("list[Any]", each) if isinstance(each, list) else (each,)))
    return [unwrapped(cast("Fields", one)) for one in flat if isinstance(one, dict)]


def _answers(said: dict[str, Any]) -> list[Fields]:
    """Return the messages in what a model gave."""
    for word in ("generations", "choices"):
        lists = said.get(word)
        if isinstance(lists, list):
            found: list[Fields] = []
            for one in _flat(cast("list[Any]", lists)):
                message = one.get("message")
                answer = unwrapped(cast("Fields", message)) if isinstance(message, dict) else one
                reason = one.get("finish_reason") or _field(one.get("generation_info"), "finish_reason")
                found.append({**answer, "finish_reason": reason} if reason else answer)
            return found
    output = said.get("output", said)
    return _flat(output if isinstance(output, list) else [output]) if "content" in said or "output" in said else []


def _message(said: Fields) -> Fields:
    """Return a message in the words of `messages_text`."""
    role = said.get("role") or _ROLES.get(str(said.get("type")), said.get("type"))
    message: Fields = {"role": role if isinstance(role, str) else ""}
    content = said.get("content", said.get("text"))
    calls = [_call(call) for call in _flat(said.get("tool_calls"))]
    if isinstance(content, list):
        blocks = _flat(cast("list[Any]", content))
        known = {call.get("id") for call in calls}
        calls += [_call(block) for block in blocks if block.get("type") == "tool_use" and block.get("id") not in known]
        message["contents"] = [block for block in blocks if block.get("type") != "tool_use"]
    elif content is not None:
        message["content"] = content
    if calls:
        message["tool_calls"] = calls
    if said.get("tool_call_id"):
        message["tool_call_id"] = said["tool_call_id"]
    reason = said.get("finish_reason") or _field(said.get("response_metadata"), "finish_reason")
    if reason:
        message["finish_reason"] = reason
    return message


def _call(said: Fields) -> Fields:
    function = said.get("function")
    of = cast("Fields", function) if isinstance(function, dict) else said
    arguments = next((of[word] for word in ("arguments", "args", "input") if word in of), None)
    return {"id": said.get("id"), "name": of.get("name"), "arguments": arguments}


def _field(said: Any, name: str) -> Any:
    return cast("dict[str, Any]", said).get(name) if isinstance(said, dict) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _said(value: Any) -> Any:
    return None if value == "" else value


def _lower(value: Any) -> str | None:
    return value.lower() if isinstance(value, str) and value else None


_SUMS = (
    Row("gen_ai.aggregated_usage.input_tokens", (semconv.INPUT_TOKENS,)),
    Row("gen_ai.aggregated_usage.output_tokens", (semconv.OUTPUT_TOKENS,)),
)
"""A chain says again what the model's call in it has said."""

LANGSMITH = Dialect(
    name="langsmith",
    signs=frozenset(
        {_KIND, _NAME, "langsmith.trace.session_name", "langsmith.trace.id", "langsmith.span.id", "langsmith.is_root"}
    ),
    kinds={
        **keys_of(
            "name",
            "langsmith.span.kind langsmith.trace.name langsmith.trace.session_name langsmith.root.name",
            "gen_ai.serialized.name gen_ai.response.service_tier",
            *(
                f"{_METADATA}.{word}"
                for word in (
                    "langgraph_node", "langgraph_triggers", "langgraph_path", "lc_agent_name", "ls_integration",
                    "ls_model_type", "ls_method", "ls_run_depth", "ls_retriever_name", "ls_vector_store_provider",
                )
            ),
        ),
        **keys_of(
            "id",
            "langsmith.span.id langsmith.span.parent_id",
            "langsmith.span.dotted_order langsmith.reference_example_id gen_ai.response.system_fingerprint",
            f"{_METADATA}.langgraph_checkpoint_ns {_METADATA}.checkpoint_ns {_METADATA}.revision_id",
        ),
        **keys_of("free_id", "langsmith.trace.session_id langsmith.trace.id"),
        **keys_of("number", f"langsmith.is_root langsmith.request.streaming {_METADATA}.langgraph_step"),
        **keys_of(
            "content",
            f"{_METADATA} langsmith.span.tags langsmith.span.runtime langsmith.request.headers",
            "gen_ai.serialized.signature gen_ai.serialized.doc gen_ai.request.extra_query gen_ai.request.extra_body",
            "langsmith.usage_metadata gen_ai.usage.input_token_details gen_ai.usage.output_token_details",
        ),
    },
    work=_work,
    rows=(
        Row(own.SESSION_ID, tuple(f"{_METADATA}.{w}" for w in ("session_id", "thread_id", "conversation_id")), _said),
        Row(own.USER_ID, (f"{_METADATA}.user_id",), _said),
        Row(semconv.CALL_ID, (f"{_METADATA}.tool_call_id",), _said),
    ),
    rows_of={
        CHAT: (
            Row(semconv.PROVIDER, ("gen_ai.system", f"{_METADATA}.ls_provider"), _lower),
            Row(semconv.REQUEST_MODEL, (f"{_METADATA}.ls_model_name",)),
            Row("gen_ai.request.temperature", (f"{_METADATA}.ls_temperature",)),
            Row("gen_ai.request.max_tokens", (f"{_METADATA}.ls_max_tokens",)),
            Row("gen_ai.request.stream", ("langsmith.request.streaming",)),
        ),
        STEP: _SUMS,
        INVOKE_AGENT: _SUMS,
        EXECUTE_TOOL: (Row(semconv.TOOL_NAME, (_NAME,), _text),),
        RETRIEVAL: (Row(own.RETRIEVER_NAME, (f"{_METADATA}.ls_retriever_name", _NAME)),),
    },
    finish=_finish,
    gathered={f"{_METADATA}.": _METADATA},
)  # fmt: skip
