"""The attribute keys that this library knows, and what each may hold.

Four kinds: `name` (short, low-cardinality text; `names` says how short), `id` (an opaque identifier), `number` (numbers
and booleans), and `content` (free text: its key stays, its value becomes a marker). A key in none of the tables is
undeclared: neither it nor its value is kept. Names are from the OpenTelemetry registry; those of them that our code
uses are constants in `semconv`, and all of our own, with what each means, in `own`. A test holds them together.
"""

from runbundle.signals import own
from runbundle.signals.dialects.canonical import KINDS
from runbundle.signals.kinds import Kind
from runbundle.signals.kinds import keys_of as _table

SPAN_KEYS: dict[str, Kind] = {
    **_table(
        "name",
        "gen_ai.operation.name gen_ai.provider.name gen_ai.system gen_ai.request.model gen_ai.response.model",
        "gen_ai.response.finish_reasons gen_ai.output.type gen_ai.agent.name gen_ai.agent.version gen_ai.tool.name",
        "gen_ai.tool.type gen_ai.workflow.name gen_ai.data_source.id gen_ai.evaluation.name gen_ai.token.type",
        "gen_ai.evaluation.score.label gen_ai.request.encoding_formats gen_ai.request.reasoning.level",
        "error.type exception.type http.request.method http.route network.protocol.name network.protocol.version",
        "network.transport network.type server.address url.scheme rpc.system rpc.service rpc.method db.system",
        "db.system.name db.operation.name db.collection.name db.namespace messaging.system messaging.operation.name",
        "messaging.operation.type messaging.destination.name mcp.method.name mcp.protocol.version",
        "otel.scope.name otel.scope.version otel.status_code code.function.name http.flavor http.scheme thread.name",
        "model_name agent_name",
        # What the conventions called them before, and most instrumentations still do.
        "http.method http.host http.server_name net.peer.name net.host.name net.transport net.protocol.name",
        "net.protocol.version db.name db.operation db.sql.table messaging.destination messaging.operation",
        "code.function code.namespace asgi.event.type",
    ),
    **_table(
        "id",
        "gen_ai.response.id gen_ai.agent.id gen_ai.agent.call.id gen_ai.tool.call.id",
        "mcp.session.id jsonrpc.request.id gen_ai.request.previous_response.id",
    ),
    **_table(
        "number",
        "gen_ai.request.max_tokens gen_ai.request.temperature gen_ai.request.top_p gen_ai.request.top_k",
        "gen_ai.request.seed gen_ai.request.choice.count gen_ai.request.frequency_penalty gen_ai.request.stream",
        "gen_ai.request.presence_penalty gen_ai.usage.input_tokens gen_ai.usage.output_tokens",
        "gen_ai.usage.cache_read.input_tokens gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens gen_ai.usage.reasoning.output_tokens gen_ai.usage.prompt_tokens",
        "gen_ai.usage.completion_tokens gen_ai.response.time_to_first_chunk gen_ai.evaluation.score.value",
        "gen_ai.aggregated_usage.input_tokens gen_ai.aggregated_usage.output_tokens gen_ai.retrieval.top_k",
        "gen_ai.conversation.compacted http.response.status_code http.status_code http.request.resend_count",
        "http.request.body.size http.response.body.size rpc.grpc.status_code server.port code.line.number thread.id",
        "rpc.response.status_code net.peer.port net.host.port http.request_content_length",
        "http.response_content_length db.redis.database_index code.lineno",
    ),
    **_table(
        "content",
        "gen_ai.prompt gen_ai.completion gen_ai.tool.definitions gen_ai.tool.description gen_ai.agent.description",
        "gen_ai.retrieval.query.text gen_ai.retrieval.documents gen_ai.evaluation.explanation",
        "gen_ai.request.stop_sequences url.full url.path url.query http.url http.target db.statement db.query.text",
        "exception.message final_result model_request_parameters logfire.msg logfire.json_schema user_agent.original",
        "mcp.resource.uri code.file.path http.user_agent code.filepath",
    ),
    **_table(
        "messages",
        "gen_ai.input.messages gen_ai.output.messages gen_ai.system_instructions pydantic_ai.all_messages",
    ),
    "gen_ai.tool.call.arguments": "arguments",
    "gen_ai.tool.call.result": "result",
    # What older or other instrumentations call the same two payloads.
    "tool_arguments": "arguments",
    "tool_response": "result",
    "exception.stacktrace": "stack",
    "exception.escaped": "flag",
    "runbundle.config": "config",
    "runbundle.user.id": "user",
    "runbundle.request.id": "free_id",
    "runbundle.session.id": "free_id",
    "runbundle.case.id": "free_id",
    # Chosen by applications as those are.
    "gen_ai.conversation.id": "free_id",
    "session.id": "free_id",
    # Our own: names.
    **_table(
        "name",
        "runbundle.op runbundle.name runbundle.lane runbundle.result.kind runbundle.tool.side_effects",
        "runbundle.policy.decision runbundle.policy.rule runbundle.policy.tool runbundle.contract.version",
        "runbundle.event.name runbundle.retriever.name",
        "runbundle.redaction.mode runbundle.status runbundle.joined runbundle.source runbundle.dialect",
    ),
    **_table(
        "id",
        "runbundle.run.id runbundle.tenant.id runbundle.parent.run.id",
        "runbundle.parent.span.id runbundle.contract.sha256 runbundle.redaction.policy runbundle.redaction.key_id",
        "runbundle.document.id runbundle.resumed.from runbundle.child.run.id runbundle.tape",
        "runbundle.claimed.run.id",
    ),
    **_table(
        "number",
        "runbundle.ordinal runbundle.attempt runbundle.spans.started runbundle.document.rank",
        "runbundle.run.attempt runbundle.repeat runbundle.document.score runbundle.implicit",
        "runbundle.spans.dropped runbundle.spans.unfollowed",
    ),
    **_table(
        "content",
        "runbundle.result runbundle.policy.reason runbundle.query runbundle.document.content runbundle.document.uri",
        "runbundle.document.title",
    ),
    # Written by the redactor itself; each has a shape of its own that is checked before it is believed.
    **_table(
        "own",
        "runbundle.redaction runbundle.tool.arguments.digest runbundle.tool.arguments.bytes",
        "runbundle.tool.result.digest runbundle.tool.result.bytes runbundle.versions runbundle.coerced",
        "runbundle.effect runbundle.messages runbundle.capture runbundle.name.digest",
    ),
    **KINDS,
}
"""Keys of span, event, link and log attributes; those that only one dialect has stand in its table."""

RESOURCE_KEYS: dict[str, Kind] = {
    **_table(
        "name",
        "service.name service.version service.namespace deployment.environment.name telemetry.sdk.name",
        "telemetry.sdk.language telemetry.sdk.version telemetry.distro.name telemetry.distro.version",
        "process.runtime.name process.runtime.version os.type os.version host.name host.arch container.image.name",
        "k8s.cluster.name k8s.namespace.name k8s.node.name k8s.pod.name k8s.container.name k8s.deployment.name",
        "cloud.provider cloud.region cloud.availability_zone cloud.platform",
    ),
    **_table("id", "service.instance.id host.id container.id k8s.pod.uid"),
    **_table("number", "process.pid"),
}
"""Keys of resource attributes."""
NAMES_RUNS = frozenset({own.RUN_ID, own.TENANT_ID, own.PARENT_RUN_ID, own.CHILD_RUN_ID})
"""Keys whose values name runs. A known secret is not masked there: anybody can register one that equals such a name,
and under another name a record is another's, or nobody's. What looks like a credential by its format keeps the bundle
from the store."""
