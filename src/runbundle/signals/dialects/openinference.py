"""OpenInference, the conventions of Arize: `openinference.span.kind`, `input.value`, `llm.*`.

Source: https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md and the spans of its
instrumentations.
"""

from runbundle.signals import own, semconv
from runbundle.signals.dialects.table import Dialect, Reading, Row
from runbundle.signals.kinds import keys_of
from runbundle.signals.names import CHAT, EXECUTE_TOOL, INVOKE_AGENT, RETRIEVAL, STEP

_KIND = "openinference.span.kind"
_OPERATIONS = {"AGENT": INVOKE_AGENT, "TOOL": EXECUTE_TOOL, "LLM": CHAT, "RETRIEVER": RETRIEVAL}
_STEPS = frozenset({"CHAIN", "PROMPT", "GUARDRAIL", "EVALUATOR", "DECISION", "RERANKER"})


def _work(reading: Reading) -> str:
    kind = reading.text(_KIND).upper()
    if kind in _OPERATIONS:
        reading.put(semconv.OPERATION, _OPERATIONS[kind])
    elif kind in _STEPS:
        reading.put(own.OP, STEP)
        reading.put(own.NAME, reading.name or None)
    return kind


OPENINFERENCE = Dialect(
    name="openinference",
    signs=frozenset({_KIND}),
    kinds={
        **keys_of("name", "openinference.span.kind input.mime_type output.mime_type"),
        **keys_of("content", "input.value output.value"),
    },
    work=_work,
    rows=(
        Row(own.SESSION_ID, ("session.id",)),
        Row(own.USER_ID, ("user.id",)),
        Row(semconv.RESPONSE_MODEL, ("llm.response.model_name", "llm.model_name")),
        Row(semconv.INPUT_TOKENS, ("llm.token_count.prompt",)),
        Row(semconv.OUTPUT_TOKENS, ("llm.token_count.completion",)),
    ),
    rows_of={
        "TOOL": (
            Row(semconv.TOOL_NAME, ("tool.name",)),
            Row(semconv.ARGUMENTS, ("input.value",)),
            Row(semconv.RESULT, ("output.value",)),
        ),
    },
)
