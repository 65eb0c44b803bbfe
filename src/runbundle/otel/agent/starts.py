"""`start_run`, `start_tool` and the other twins of the decorators: each gives the scope of one span."""

from collections.abc import Mapping
from typing import Any, cast

from opentelemetry.trace import SpanKind

from runbundle.otel.agent.given import integer_of, lost, mention, run_id_of, tenant_named, text_of, with_value
from runbundle.otel.agent.scopes import SpanScope, ToolScope
from runbundle.otel.belonging.claims import RunScope
from runbundle.otel.boundary.versions import versions_text
from runbundle.otel.ids import new_call_id
from runbundle.signals import own, semconv
from runbundle.signals.names import CHAT, EXECUTE_TOOL, INVOKE_AGENT, RETRIEVAL, RUN, STEP, span_name


def start_run(
    name: str = "run",
    *,
    run_id: str | None = None,
    request_id: str | None = None,
    tenant_id: str | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
    config: Any = None,
    resumed_from: str | None = None,
    attempt: int | None = None,
    case_id: str | None = None,
    repeat: int | None = None,
) -> SpanScope:
    """Begin a run. Without `run_id` a random one is given.

    A run is named by its tenant and its id: the same id of two tenants names two runs. A run within a run inherits
    its tenant and session, unless it names its own. Ids of sessions, requests and users are free text, which the
    redaction policy keeps or digests.

    `attempt` says which attempt at its work the run is, from 1: only so may a run id be begun twice. Without it two
    runs under one id are stated as a fault, by their bundle and by `flush()`. `resumed_from` is the id of the
    checkpoint from which a run that was cut off goes on, under the `run_id` that it had: its bundle becomes a
    revision that holds both, and says so. `case_id` names the case of a test set that the run works on and `repeat`
    which repetition it is: by these a candidate is paired with its baseline.

    `config` is a mapping, dataclass or pydantic model; it is recorded whole, without its secrets. Nothing is raised,
    whatever is given: a run id that cannot be one leaves the run an id of ours, and the bundle names the claim; a run
    that is to be resumed without the id that it had is a new one; a tenant id that cannot be one, whose runs must
    not come among those of others, is replaced by a digest of it.
    """
    title = text_of(name, "run")
    attributes: dict[str, Any] = {own.OP: RUN, own.NAME: title}
    scope = RunScope(run_id_of(run_id, attributes), tenant_id=tenant_named(tenant_id), session_id=text_of(session_id))
    attributes[own.RUN_ID] = scope.run_id
    if scope.tenant_id:
        attributes[own.TENANT_ID] = scope.tenant_id
    if resumed_from is not None and (run_id is None or own.CLAIMED_RUN_ID in attributes):
        mention("a run was to be resumed without the id that it had; it is recorded as a new one")
        resumed_from = None
    for key, text in (
        (own.REQUEST_ID, request_id),
        (own.SESSION_ID, session_id),
        (own.USER_ID, user_id),
        (own.CASE_ID, case_id),
        (own.RESUMED_FROM, resumed_from),
    ):
        if text is not None:
            attributes[key] = text_of(text)
    for key, value in ((own.RUN_ATTEMPT, attempt), (own.REPEAT, repeat)):
        number = value if type(value) is int else integer_of(value) if value is not None else None
        if number is not None:
            attributes[key] = number
        elif value is not None:
            lost(key.rpartition(".")[2])
    if config is not None:
        with_value(attributes, own.CONFIG, config)
    attributes[own.VERSIONS] = versions_text()
    return SpanScope(span_name(RUN, title), SpanKind.INTERNAL, attributes, output=own.RESULT, run=scope)


def start_agent(name: str, *, input: Any = None) -> SpanScope:  # noqa: A002 - the field's word for it
    """Begin the work of an agent: a span `invoke_agent {name}`."""
    name = text_of(name, "agent")
    attributes = {semconv.OPERATION: INVOKE_AGENT, semconv.AGENT_NAME: name}
    return SpanScope(
        span_name(INVOKE_AGENT, name),
        SpanKind.INTERNAL,
        _with(attributes, semconv.INPUT_MESSAGES, input),
        output=semconv.OUTPUT_MESSAGES,
    )


def start_step(name: str) -> SpanScope:
    """Begin a named step: a span `step {name}`."""
    name = text_of(name, "step")
    return SpanScope(span_name(STEP, name), SpanKind.INTERNAL, {own.OP: STEP, own.NAME: name})


def start_tool(name: str, arguments: Any = None, *, call_id: str | None = None, attempt: int = 1) -> ToolScope:
    """Begin a tool call: a span `execute_tool {name}`. `call_id` is the model's id of the call, if it gave one.

    Where the policy of the tool's contract refuses the call, entering raises `PolicyBlocked`: the body never runs,
    and the span is recorded as blocked.
    """
    name = text_of(name, "tool")
    attributes: dict[str, Any] = {
        semconv.OPERATION: EXECUTE_TOOL,
        semconv.TOOL_NAME: name,
        semconv.TOOL_TYPE: "function",
        semconv.CALL_ID: text_of(call_id) or new_call_id(),
    }
    number = attempt if type(attempt) is int else integer_of(attempt)
    if number is None:
        lost("attempt")
    elif number != 1:
        attributes[own.ATTEMPT] = number
    attributes = _with(attributes, semconv.ARGUMENTS, arguments)
    return ToolScope(name, attributes, lambda: _by_name(arguments))


def _by_name(arguments: Any) -> Mapping[str, Any]:
    if issubclass(type(arguments), Mapping):  # what its class says it is may raise, or be untrue
        return cast("Mapping[str, Any]", arguments)
    return {} if arguments is None else {"0": arguments}


def start_model(model: str, messages: Any = None, *, provider: str = "", operation: str = CHAT) -> SpanScope:
    """Begin a model call: a span `chat {model}`."""
    operation, model, provider = text_of(operation, CHAT), text_of(model, "model"), text_of(provider)
    attributes = {semconv.OPERATION: operation, semconv.REQUEST_MODEL: model}
    if provider:
        attributes[semconv.PROVIDER] = provider
    return SpanScope(
        span_name(operation, model),
        SpanKind.CLIENT,
        _with(attributes, semconv.INPUT_MESSAGES, messages),
        output=semconv.OUTPUT_MESSAGES,
    )


def start_retriever(name: str, query: Any = None) -> SpanScope:
    """Begin a retrieval: a span `retrieval {name}`."""
    name = text_of(name, "retriever")
    attributes = {
        semconv.OPERATION: RETRIEVAL,
        semconv.DATA_SOURCE: name,
        own.RETRIEVER_NAME: name,
    }
    return SpanScope(
        span_name(RETRIEVAL, name),
        SpanKind.CLIENT,
        _with(attributes, semconv.QUERY_TEXT, query),
        output=semconv.DOCUMENTS,
    )


def _with(attributes: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    return attributes if value is None else with_value(attributes, key, value)
