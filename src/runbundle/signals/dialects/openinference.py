"""OpenInference, the conventions of Arize: `openinference.span.kind`, `input.value`, `llm.*`.

Source: https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md and the spans of its
instrumentations. Rows stand here; `openinference_work` has the kind of work, and `openinference_spans` what else no row
can say.
"""

from typing import Any

from runbundle.signals import own, semconv
from runbundle.signals.dialects.forms.table import Dialect, Row
from runbundle.signals.dialects.openinference_spans import HEADS, finish
from runbundle.signals.dialects.openinference_work import EMBEDDINGS, KIND, work_of
from runbundle.signals.kinds import Kind, keys_of
from runbundle.signals.names import CHAT, EXECUTE_TOOL, INVOKE_AGENT, RETRIEVAL, STEP

_KINDS: dict[str, Kind] = {
    **keys_of(
        "name",
        "openinference.span.kind input.mime_type output.mime_type graph.node.id graph.node.name graph.node.parent_id",
        "agent.name agent.step_recovery llm.model_name llm.provider llm.system llm.finish_reason embedding.model_name",
        "reranker.model_name tool.name prompt.vendor llm.prompt_template.version flow.node.name flow.node.type",
        "tool.class tool.cache_function agno.agent agno.team agno.knowledge agno.step.type agno.step.agent_name",
        "agno.step.team_name agno.step.name agno.tools agno.workflow.step_types smolagents.tools_names crew_name",
        "task_name agent.tools tool.agent_role tool.task_name document.mime_type",
        "llm.request.model_name llm.response.model_name decision.model_name",
    ),
    **keys_of(
        "id",
        "tool.id prompt.id agno.run.id agno.agent.id agno.team.id agno.workflow.id crew_key crew_id task_key task_id",
        "agent_id agent_key flow_id",
    ),
    **keys_of(
        "number",
        "llm.token_count.prompt llm.token_count.completion llm.token_count.total llm.token_count.prompt_details.audio",
        "llm.token_count.prompt_details.cache_input llm.token_count.prompt_details.cache_read",
        "llm.token_count.prompt_details.cache_write llm.token_count.completion_details.audio",
        "llm.token_count.completion_details.reasoning llm.cost.prompt llm.cost.completion llm.cost.total",
        "llm.cost.prompt_details.input llm.cost.prompt_details.audio llm.cost.prompt_details.cache_input",
        "llm.cost.prompt_details.cache_read llm.cost.prompt_details.cache_write llm.cost.completion_details.output",
        "llm.cost.completion_details.audio llm.cost.completion_details.reasoning reranker.top_k",
        "smolagents.max_steps agno.parallel.step_count agno.workflow.steps_count tool.delegations tool.run_attempts",
        "tool.max_usage_count tool.current_usage_count tool.description_updated tool.result_as_answer span.cancelled",
    ),
    **keys_of(
        "content",
        "input.value output.value metadata tag.tags tool.description tool.parameters llm.invocation_parameters",
        "embedding.invocation_parameters embedding.embeddings llm.function_call llm.available_functions llm.tools",
        "llm.prompts llm.choices llm.prompt_template.template llm.prompt_template.variables prompt.url reranker.query",
        "llm.input_messages llm.output_messages retrieval.documents",
        "reranker.input_documents reranker.output_documents input.documents output.documents input.images",
        "output.images smolagents.task smolagents.additional_args smolagents.managed_agents agent.goal agent.backstory",
        "crew_agents crew_tasks crew_inputs task_description task_prompt task_expected_output flow_inputs",
        "formatted_description formatted_expected_output agno.workflow.description agno.workflow.steps",
    ),
}  # fmt: skip
"""Keys of the conventions, and of their instrumentations, that stay where they are."""


def _lower(value: Any) -> str | None:
    return value.lower() if isinstance(value, str) and value else None


def _reasons(value: Any) -> list[str] | None:
    return [value] if isinstance(value, str) and value else None


def _again(value: Any) -> int | None:
    return value if value.__class__ is int and value > 1 else None


_TOKENS = (
    Row(semconv.INPUT_TOKENS, ("llm.token_count.prompt", "decision.token_count.input")),
    Row(semconv.OUTPUT_TOKENS, ("llm.token_count.completion", "decision.token_count.output")),
    Row(
        "gen_ai.usage.cache_read.input_tokens",
        ("llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input"),
    ),
    Row("gen_ai.usage.cache_creation.input_tokens", ("llm.token_count.prompt_details.cache_write",)),
    Row("gen_ai.usage.reasoning.output_tokens", ("llm.token_count.completion_details.reasoning",)),
)
_SUMS = (
    Row("gen_ai.aggregated_usage.input_tokens", ("llm.token_count.prompt",)),
    Row("gen_ai.aggregated_usage.output_tokens", ("llm.token_count.completion",)),
)
"""What an agent or a step says of tokens is the sum of what its model calls say."""
_MODEL = (
    Row(semconv.RESPONSE_MODEL, ("llm.response.model_name", "decision.response.model_name", "llm.model_name")),
    Row(semconv.REQUEST_MODEL, ("llm.request.model_name", "decision.request.model_name")),
    Row(semconv.PROVIDER, ("llm.provider", "llm.system", "decision.provider", "decision.system"), _lower),
    Row(semconv.FINISH_REASONS, ("llm.finish_reason",), _reasons),
    Row(semconv.TOOL_DEFINITIONS, ("llm.tools",)),
    *_TOKENS,
)

OPENINFERENCE = Dialect(
    name="openinference",
    signs=frozenset({KIND}),
    kinds=_KINDS,
    work=work_of,
    rows=(
        Row(own.SESSION_ID, ("session.id",)),
        Row(own.USER_ID, ("user.id",)),
    ),
    rows_of={
        INVOKE_AGENT: (
            Row(semconv.AGENT_NAME, ("agent.name",)),
            Row("gen_ai.agent.id", ("agno.agent.id", "agno.team.id", "agent_id")),
            *_SUMS,
        ),
        STEP: _SUMS,
        EXECUTE_TOOL: (
            Row(semconv.TOOL_NAME, ("tool.name",)),
            Row("gen_ai.tool.description", ("tool.description",)),
            Row(semconv.CALL_ID, ("tool.id",)),
            Row(own.ATTEMPT, ("tool.run_attempts",), _again),
        ),
        CHAT: _MODEL,
        EMBEDDINGS: (Row(semconv.REQUEST_MODEL, ("embedding.model_name",)), *_MODEL),
        RETRIEVAL: (
            Row(semconv.QUERY_TEXT, ("reranker.query",)),
            Row(semconv.REQUEST_MODEL, ("reranker.model_name",)),
            Row("gen_ai.retrieval.top_k", ("reranker.top_k",)),
            *_TOKENS,
        ),
    },
    finish=finish,
    lists=HEADS,
)
