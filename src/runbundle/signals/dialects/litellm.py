"""LiteLLM's own telemetry, beside the names of OpenLLMetry that it has for the rest: `metadata.*`, `litellm.*`.

Source: litellm/integrations/opentelemetry.py and litellm/integrations/otel/ of LiteLLM 1.110, and spans of it,
https://github.com/BerriAI/litellm.
"""

from typing import Any

from runbundle.process.regex import later
from runbundle.signals import own, semconv
from runbundle.signals.dialects.forms.table import Dialect, Reading, Row
from runbundle.signals.kinds import keys_of
from runbundle.signals.names import CHAT, EXECUTE_TOOL, RETRIEVAL, STEP

_METADATA, _SERVICE, _GUARDRAIL = "litellm.metadata", "litellm.service.name", "litellm.guardrail.name"
_CALLS = {
    "completion": CHAT, "responses": CHAT, "anthropic_messages": CHAT, "generate_content": "generate_content",
    "text_completion": "text_completion", "embedding": "embeddings", "embeddings": "embeddings",
    "vector_store_search": RETRIEVAL, "call_mcp_tool": EXECUTE_TOOL,
}  # fmt: skip
"""Kinds of calls, in whichever attribute they are said; those of asynchronous calls begin with an `a`."""
_COUNTS = later(r"'(cached_tokens|reasoning_tokens|cache_creation_input_tokens)': (\d{1,15})\b")
"""What only the usage of the provider has, as Python writes it."""
_COUNTED = {
    "cached_tokens": semconv.CACHE_READ_TOKENS,
    "reasoning_tokens": semconv.REASONING_TOKENS,
    "cache_creation_input_tokens": semconv.CACHE_CREATION_TOKENS,
}
_USAGE_CHARS = 16_384


def _work(reading: Reading) -> str:
    for key in (semconv.OPERATION, "litellm.call_type", "llm.request.type"):
        said = reading.text(key)
        work = _CALLS.get(said) or _CALLS.get(said[1:] if said[:1] == "a" else "")
        if work is not None:
            reading.attributes[semconv.OPERATION] = work
            return work
    if reading.text(_GUARDRAIL) or reading.text("guardrail_name"):
        reading.put(own.OP, STEP)
        return STEP
    return reading.text(semconv.OPERATION)


def _finish(reading: Reading) -> None:
    usage = reading.text("metadata.usage_object")
    if len(usage) <= _USAGE_CHARS:
        for name, count in _COUNTS.findall(usage):
            reading.put(_COUNTED[name], int(count))


def _said(value: Any) -> Any:
    """Return what says something: most of what LiteLLM writes down is empty."""
    return value if value not in ("", "None") else None


def _reasons(value: Any) -> Any:
    """Return the only kind of error that there is, as text."""
    return value if isinstance(value, str) and value and value != "None" else None


LITELLM = Dialect(
    name="litellm",
    signs=frozenset(
        {
            "litellm.call_id",
            "litellm.provider.model",
            "litellm.call_type",
            "litellm.cache_hit",
            "hidden_params",
            "metadata.user_api_key_hash",
            "metadata.requester_metadata",
            "metadata.usage_object",
            _SERVICE,
            _GUARDRAIL,
            "guardrail_name",
            "litellm.request.route",
            "gen_ai.cost.total_cost",
        }
    ),
    kinds={
        **keys_of(
            "name",
            "litellm.provider.model litellm.call_type litellm.request.route litellm.request.purpose",
            "litellm.service.name litellm.service.call_type litellm.service.caller litellm.service.target",
            "litellm.guardrail.mode litellm.guardrail.status litellm.guardrail.provider litellm.guardrail.action",
            "litellm.guardrail.detection_method litellm.guardrail.policy_template litellm.mcp.server.name",
            "litellm.provider.error.code litellm.provider.error.llm_provider litellm.guardrail.name",
            "guardrail_name guardrail_mode guardrail_status guardrail_action",
        ),
        **keys_of("id", "litellm.call_id litellm.team.id litellm.guardrail.id gen_ai.request.id"),
        **keys_of(
            "number",
            "litellm.cache_hit litellm.request.streaming litellm.request.tools.declared litellm.saved_cache_cost",
            "litellm.preprocessing.duration_ms litellm.guardrail.confidence_score litellm.guardrail.risk_score",
            "litellm.guardrail.masked_entity_count litellm.guardrail.duration litellm.guardrail.cost_in_spend",
            "litellm.cost.total litellm.cost.input litellm.cost.output litellm.cost.cache_read litellm.cost.original",
            "litellm.cost.cache_creation litellm.cost.tool_usage litellm.cost.discount_amount litellm.cost.guardrail",
            "litellm.cost.discount_percent litellm.cost.margin_fixed_amount litellm.cost.margin_percent",
            "litellm.cost.margin_total_amount gen_ai.cost.input_cost gen_ai.cost.output_cost gen_ai.cost.total_cost",
            "gen_ai.cost.tool_usage_cost gen_ai.cost.original_cost gen_ai.cost.discount_percent",
            "gen_ai.cost.discount_amount gen_ai.cost.cache_read_cost gen_ai.cost.cache_creation_cost",
            "masked_entity_count guardrail_cost guardrail_cost_in_spend",
        ),
        **keys_of(
            "content",
            f"{_METADATA} litellm.hidden_params litellm.api_key.hash litellm.team.alias litellm.team.metadata",
            "litellm.guardrail.response litellm.guardrail.violation_categories litellm.guardrail.usage",
            "guardrail_response guardrail_violation_categories guardrail_usage litellm.redis.families",
        ),
    },
    work=_work,
    rows=(
        Row(own.USER_ID, ("llm.user", "litellm.end_user.id", "metadata.user_api_key_end_user_id"), _said),
        Row(own.SESSION_ID, ("metadata.session_id", "metadata.thread_id"), _said),
        Row("gen_ai.request.stream", ("litellm.request.streaming",)),
        Row("litellm.hidden_params", ("hidden_params",)),
        Row(semconv.EXCEPTION_MESSAGE, ("error.message",)),
        Row(semconv.EXCEPTION_STACKTRACE, ("error.stack_trace", "litellm.provider.error.stack_trace")),
        Row("litellm.provider.error.code", ("error.code",), _reasons),
        Row("litellm.provider.error.llm_provider", ("error.llm_provider",), _reasons),
    ),
    rows_of={STEP: (Row(own.NAME, (_GUARDRAIL, "guardrail_name")),)},
    finish=_finish,
    gathered={"metadata.": _METADATA, "litellm.metadata.": _METADATA},
)
"""`error.message` and `error.stack_trace` are what an exception's event says, under names that others have for less."""
