"""Logfire, and Pydantic AI, which writes for it: versions 1 and 2 of its format had names of their own.

Source: https://ai.pydantic.dev/logfire/ and `pydantic_ai/_instrumentation.py`. A template of a log's message is
content: an application may have put its data into it. `pydantic_ai.tool.retry.attempt` counts from 1, and stands on a
call that is made again; on the last one there is none.
"""

from collections.abc import Mapping
from typing import Any, cast

from runbundle.signals import own, semconv
from runbundle.signals.dialects.forms.message_events import ROLES, put_messages
from runbundle.signals.dialects.forms.table import Dialect, Reading, Row
from runbundle.signals.kinds import keys_of
from runbundle.signals.names import CHAT, EXECUTE_TOOL, INVOKE_AGENT
from runbundle.signals.reading import json_of


def _work(reading: Reading) -> str:
    """Return the operation; before spans of agents and tools named theirs, two names together tell it."""
    attributes = reading.attributes
    if own.OP not in attributes and semconv.OPERATION not in attributes:
        if semconv.TOOL_NAME in attributes and ("tool_arguments" in attributes or reading.name == "running tool"):
            reading.put(semconv.OPERATION, EXECUTE_TOOL)
        elif "agent_name" in attributes and "model_name" in attributes:
            reading.put(semconv.OPERATION, INVOKE_AGENT)
    return reading.text(semconv.OPERATION)


def _finish(reading: Reading) -> None:
    """Read the messages of a model's call in version 1: a list of events, as JSON."""
    if reading.op != CHAT or "events" not in reading.attributes:
        return
    events = json_of(reading.attributes["events"])
    single: list[tuple[str, Mapping[str, Any]]] = []
    for event in cast("list[Any]", events) if isinstance(events, list) else ():
        said = cast("dict[str, Any]", event) if isinstance(event, dict) else {}
        name = said.get("event.name")
        if name not in ROLES:
            return
        single.append((name, said))
    put_messages(reading, single)
    if single and semconv.INPUT_MESSAGES in reading.attributes:
        reading.take("events")


LOGFIRE = Dialect(
    name="",
    signs=frozenset(
        {
            "agent_name",
            "model_name",
            "tool_arguments",
            "tool_response",
            "model_request_parameters",
            "pydantic_ai.tool.retry.attempt",
        }
    ),
    kinds={
        **keys_of(
            "name",
            "logfire.span_type pydantic_ai.tool.retry.cause pydantic_ai.output.retry.cause",
            "pydantic_ai.tool.failure_stage pydantic_ai.tool.deferral.name pydantic_ai.cache.collapse_reason",
            "pydantic_ai.workspace.provider",
        ),
        **keys_of("id", "logfire.pending_parent_id pydantic_ai.workspace.id"),
        **keys_of(
            "number",
            "logfire.level_num logfire.sample_rate logfire.disable_console_log pydantic_ai.tool.retry.attempt",
            "pydantic_ai.tool.retry.max_retries pydantic_ai.output.retry.attempt pydantic_ai.output.retry.max_retries",
            "pydantic_ai.cache.hit_ratio pydantic_ai.cache.established_tokens pydantic_ai.cache.missed_tokens",
            "pydantic_ai.cache.not_enabled pydantic_ai.cache.collapsed pydantic_ai.new_message_index",
            "pydantic_ai.variable_instructions pydantic_ai.realtime",
        ),
        **keys_of(
            "content",
            "logfire.msg_template logfire.metrics logfire.tags logfire.null_args logfire.scrubbed",
            "logfire.exception.fingerprint pydantic_ai.tool.deferral.metadata",
        ),
        **keys_of("messages", "all_messages_events"),
    },
    work=_work,
    rows_of={
        INVOKE_AGENT: (
            Row(semconv.AGENT_NAME, ("agent_name",)),
            Row(semconv.REQUEST_MODEL, ("model_name",)),
            Row(semconv.ALL_MESSAGES, ("all_messages_events",)),
        ),
        EXECUTE_TOOL: (
            Row(semconv.ARGUMENTS, ("tool_arguments",)),
            Row(semconv.RESULT, ("tool_response",)),
            Row(own.ATTEMPT, ("pydantic_ai.tool.retry.attempt",)),
        ),
    },
    finish=_finish,
)
