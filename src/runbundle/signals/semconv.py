"""The names from OpenTelemetry's semantic conventions, and from instrumentations, that more than one module uses.

What each means is theirs to say; `keys` has these and all others that we know, each with the kind of its value. The
GenAI names are written out here, since their Python constants are deprecated.
"""

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
MCP_REQUEST_ID = "jsonrpc.request.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
USAGE = "gen_ai.usage."
"""The beginning of the keys that count tokens."""
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
TOTAL_TOKENS = "gen_ai.usage.total_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_CREATION_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"
SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
ALL_MESSAGES = "pydantic_ai.all_messages"
PROMPT = "gen_ai.prompt"
COMPLETION = "gen_ai.completion"

CONVERSATION_ID = "gen_ai.conversation.id"
AGENT_NAME = "gen_ai.agent.name"
WORKFLOW_NAME = "gen_ai.workflow.name"
FINAL_RESULT = "final_result"
"""Pydantic AI's name for what an agent returned."""

TOOL_NAME = "gen_ai.tool.name"
TOOL_TYPE = "gen_ai.tool.type"
CALL_ID = "gen_ai.tool.call.id"
ARGUMENTS = "gen_ai.tool.call.arguments"
RESULT = "gen_ai.tool.call.result"

DATA_SOURCE = "gen_ai.data_source.id"
QUERY_TEXT = "gen_ai.retrieval.query.text"
DOCUMENTS = "gen_ai.retrieval.documents"

EVALUATION_NAME = "gen_ai.evaluation.name"
SCORE_VALUE = "gen_ai.evaluation.score.value"
SCORE_LABEL = "gen_ai.evaluation.score.label"

MCP_METHOD = "mcp.method.name"

ERROR_TYPE = "error.type"
EXCEPTION_TYPE = "exception.type"
EXCEPTION_MESSAGE = "exception.message"
EXCEPTION_STACKTRACE = "exception.stacktrace"

SDK_VERSION = "telemetry.sdk.version"

EXCEPTION = "exception"
"""Name of the span event that an exception is recorded as."""
EVALUATION_RESULT = "gen_ai.evaluation.result"
"""Name of the span event that a score is recorded as."""

RUN_ID_KEYS = ("run_id", "run.id", "gen_ai.agent.run_id", "langsmith.trace.id")
"""Keys under which frameworks write which run of theirs a span is part of."""
