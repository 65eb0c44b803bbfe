"""The GenAI conventions of OpenTelemetry, as they are now and as they were up to version 1.36.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/ and the spans of the instrumentations that follow them.
"""

from typing import Any

from runbundle.signals import own, semconv
from runbundle.signals.dialects.documents import add_documents
from runbundle.signals.dialects.table import Dialect, Reading, Row
from runbundle.signals.kinds import keys_of
from runbundle.signals.names import STEP

_STEPS = {"invoke_workflow": "gen_ai.workflow.name", "execute_event_loop_cycle": ""}
"""Kinds of work that are steps, and the attribute that names each."""
_NO_TOOLS = frozenset({"(merged tools)"})
"""Names of spans that sum up calls which have spans of their own."""


def _work(reading: Reading) -> str:
    attributes = reading.attributes
    work = reading.text(semconv.OPERATION)
    if work in _STEPS or attributes.get(semconv.TOOL_NAME) in _NO_TOOLS:
        reading.put(own.OP, STEP)
        name = attributes.get(_STEPS.get(work, ""))
        reading.put(own.NAME, name if isinstance(name, str) else work)
        return STEP
    return work


def _provider(value: Any) -> str | None:
    return value.lower() if isinstance(value, str) else None


def _finish(reading: Reading) -> None:
    add_documents(reading, reading.attributes.get(semconv.DOCUMENTS))


GENAI = Dialect(
    name="",
    signs=frozenset(
        {
            semconv.OPERATION,
            "gen_ai.system",
            "gen_ai.usage.prompt_tokens",
            "gen_ai.usage.completion_tokens",
            "gen_ai.prompt.0.role",
            "gen_ai.prompt.0.content",
        }
    ),
    kinds=keys_of("number", "gen_ai.usage.total_tokens gen_ai.embeddings.dimension.count"),
    work=_work,
    rows=(
        Row(semconv.PROVIDER, ("gen_ai.system",), _provider),
        Row(semconv.INPUT_TOKENS, ("gen_ai.usage.prompt_tokens",)),
        Row(semconv.OUTPUT_TOKENS, ("gen_ai.usage.completion_tokens",)),
    ),
    finish=_finish,
)
