"""The GenAI conventions of OpenTelemetry, as they are now and as they were up to version 1.36.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/ and the spans of the instrumentations that follow them.
"""

from collections.abc import Mapping
from typing import Any

from runbundle.signals import own, semconv
from runbundle.signals.dialects.forms.documents import add_documents
from runbundle.signals.dialects.forms.message_events import read_events
from runbundle.signals.dialects.forms.table import Dialect, Reading, Row
from runbundle.signals.kinds import keys_of
from runbundle.signals.names import CHAT, EXECUTE_TOOL, INVOKE_AGENT, RETRIEVAL, STEP

_WORKFLOW = "invoke_workflow"
_NAMED = frozenset(
    {CHAT, "generate_content", "text_completion", "embeddings", INVOKE_AGENT, EXECUTE_TOOL, RETRIEVAL, "create_agent"}
)
"""Kinds of work that are the first word of a span's name."""
_EARLIER_NAMES = {
    "chat.completions": CHAT,
    "chat.streaming_completions": CHAT,
    "completion": "text_completion",
    "text.completions": "text_completion",
    "text.streaming_completions": "text_completion",
    "embedding": "embeddings",
}
_TRANSLATED = frozenset({*_EARLIER_NAMES, _WORKFLOW})
_NO_CALL_ID = "<not specified>"
_NO_ERROR_TYPE = "_OTHER"
"""The conventions' word for an error of which nothing is known; other dialects say nothing then."""
_SHOWS_A_MODEL = (semconv.RESPONSE_ID, semconv.RESPONSE_MODEL, semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS)


def _work(reading: Reading) -> str:
    attributes = reading.attributes
    work = reading.text(semconv.OPERATION)
    if work in _EARLIER_NAMES:
        attributes[semconv.OPERATION] = work = _EARLIER_NAMES[work]
    elif work == _WORKFLOW:
        reading.put(own.OP, STEP)
        reading.put(own.NAME, reading.text(semconv.WORKFLOW_NAME) or work)
    elif not work and semconv.OPERATION not in attributes and own.OP not in attributes:
        work = _before_operations_were_named(reading)
    return work


def _before_operations_were_named(reading: Reading) -> str:
    """Set and return the operation of a span up to version 1.26, whose name or model tells it; "" for another span."""
    attributes = reading.attributes
    if semconv.REQUEST_MODEL not in attributes or (
        "gen_ai.system" not in attributes and semconv.PROVIDER not in attributes
    ):
        return ""
    work = reading.name.partition(" ")[0]
    if work not in _NAMED:
        if not any(key in attributes for key in _SHOWS_A_MODEL) and _USAGE_BEFORE.isdisjoint(attributes):
            return ""
        work = CHAT
    attributes[semconv.OPERATION] = work
    return work


def _lower(value: Any) -> str | None:
    return value.lower() if isinstance(value, str) else None


def as_list(value: Any) -> list[Any] | None:
    """Return the list that one text is alone in, as reasons to finish are written."""
    return [value] if isinstance(value, str) else None


def _finish(reading: Reading) -> None:
    attributes = reading.attributes
    if attributes.get(semconv.ERROR_TYPE) == _NO_ERROR_TYPE:
        del attributes[semconv.ERROR_TYPE]
    if attributes.get(semconv.CALL_ID) == _NO_CALL_ID:
        del attributes[semconv.CALL_ID]
    if reading.events:
        read_events(reading)
    if semconv.DOCUMENTS in attributes:
        add_documents(reading, attributes[semconv.DOCUMENTS])


def _leaves(attributes: Mapping[str, Any]) -> bool:
    work = attributes.get(semconv.OPERATION)
    return (
        isinstance(work, str)
        and work not in _TRANSLATED
        and semconv.DOCUMENTS not in attributes
        and attributes.get(semconv.ERROR_TYPE) != _NO_ERROR_TYPE
        and attributes.get(semconv.CALL_ID) != _NO_CALL_ID
    )


RENAMED = (
    Row(semconv.PROVIDER, ("gen_ai.system",), _lower),
    Row(semconv.INPUT_TOKENS, ("gen_ai.usage.prompt_tokens", "gen_ai.response.prompt_tokens")),
    Row(semconv.OUTPUT_TOKENS, ("gen_ai.usage.completion_tokens", "gen_ai.response.completion_tokens")),
    Row(
        "gen_ai.usage.cache_read.input_tokens",
        (
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.details.cache_read_tokens",
            "gen_ai.usage.details.cache_read_input_tokens",
            "gen_ai.usage.details.cached_tokens",
            "gen_ai.usage.input_tokens.cached",
        ),
    ),
    Row(
        "gen_ai.usage.cache_creation.input_tokens",
        (
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
            "gen_ai.usage.cache_write_input_tokens",
            "gen_ai.usage.details.cache_write_tokens",
            "gen_ai.usage.details.cache_creation_input_tokens",
        ),
    ),
    Row(
        "gen_ai.usage.reasoning.output_tokens",
        (
            "gen_ai.usage.reasoning_tokens",
            "gen_ai.usage.details.reasoning_tokens",
            "gen_ai.usage.details.thoughts_tokens",
            "gen_ai.usage.output_tokens.reasoning",
        ),
    ),
    Row(semconv.FINISH_REASONS, ("gen_ai.response.finish_reason",), as_list),
    Row("gen_ai.response.time_to_first_chunk", ("gen_ai.client.operation.time_to_first_chunk",)),
    Row("gen_ai.request.stream", ("gen_ai.is_streaming", "gen_ai.request.is_stream")),
    Row("gen_ai.request.seed", ("gen_ai.openai.request.seed",)),
    Row("gen_ai.output.type", ("gen_ai.openai.request.response_format",)),
    Row("openai.request.service_tier", ("gen_ai.openai.request.service_tier",)),
    Row("openai.response.service_tier", ("gen_ai.openai.response.service_tier",)),
    Row("openai.response.system_fingerprint", ("gen_ai.openai.response.system_fingerprint",)),
    Row("gen_ai.conversation.id", ("gen_ai.thread.id",)),
    Row(semconv.ARGUMENTS, ("gen_ai.tool.arguments", "gen_ai.tool.input")),
    Row(semconv.RESULT, ("gen_ai.tool.result", "gen_ai.tool.output")),
    Row(semconv.INPUT_MESSAGES, ("gen_ai.request.messages",)),
    Row(semconv.QUERY_TEXT, ("gen_ai.retrieval.query",)),
)
"""Attributes that had other names before, or have them with some; on spans and log records alike."""
_OF_OTHERS = (
    Row(own.SESSION_ID, ("session.id",)),
    Row(own.USER_ID, ("user.id", "enduser.id", "enduser.pseudo.id")),
)
"""Of attributes that any span may have: read on spans of agent work alone."""
_USAGE_BEFORE = frozenset(source for row in RENAMED for source in row.sources if source.startswith(semconv.USAGE))

GENAI = Dialect(
    name="",
    signs=frozenset({semconv.OPERATION, *(source for row in RENAMED for source in row.sources)}),
    kinds={
        **keys_of(
            "number",
            "gen_ai.usage.total_tokens gen_ai.embeddings.dimension.count gen_ai.server.time_to_first_token",
            "gen_ai.server.request.duration gen_ai.usage.details.audio_tokens gen_ai.usage.details.input_audio_tokens",
            "gen_ai.usage.details.output_audio_tokens gen_ai.usage.details.accepted_prediction_tokens",
            "gen_ai.usage.details.rejected_prediction_tokens gen_ai.aggregated_usage.total_tokens",
            "gen_ai.aggregated_usage.cache_read.input_tokens gen_ai.aggregated_usage.cache_creation.input_tokens",
            "gen_ai.aggregated_usage.cache_write.input_tokens gen_ai.aggregated_usage.reasoning.output_tokens",
            "gen_ai.aggregated_usage.details.reasoning_tokens gen_ai.aggregated_usage.details.cache_read_tokens",
            "gen_ai.aggregated_usage.details.cache_write_tokens gen_ai.choice.index",
        ),
        **keys_of(
            "name",
            "openai.api.type openai.request.service_tier openai.response.service_tier gen_ai.prompt.name",
            "gen_ai.prompt.version gen_ai.tool.status gen_ai.thread.run.status gen_ai.message.status az.namespace",
            "event.name gen_ai.memory.store.name",
        ),
        **keys_of(
            "id",
            "openai.response.system_fingerprint gen_ai.thread.run.id gen_ai.message.id gen_ai.memory.store.id",
            "gen_ai.memory.record.id",
        ),
        **keys_of(
            "content",
            "gen_ai.event.content gen_ai.tool.json_schema gen_ai.agent.tools gen_ai.request.available_tools",
            "gen_ai.response.text gen_ai.response.tool_calls gen_ai.memory.query.text gen_ai.memory.records",
            "tool.result",
        ),
    },
    work=_work,
    rows=(*RENAMED, *_OF_OTHERS),
    finish=_finish,
    leaves=_leaves,
)
