"""`start_run`, `start_tool` and the other context-manager forms of the decorators; each returns one scope."""

from collections.abc import Mapping
from typing import Any, cast

from opentelemetry.trace import SpanKind

from runbundle.otel.agent.attribute_values import (
    count_lost,
    integer_of,
    run_id_or_new,
    tenant_id_of,
    text_of,
    warn_rarely,
    with_value,
)
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
    """Return the scope of a run. Without `run_id` the run gets a random id.

        with runbundle.start_run("support", tenant_id="acme", user_id="u-7") as run:
            run.set_result(agent(question))

    A run is named by its tenant and its id together: the same id of two tenants names two runs. A run within a run
    inherits its tenant and session, unless it names its own. Ids of sessions, requests and users are free text, which
    the redaction policy keeps or digests.

    `attempt` is the number of this attempt at the work, from 1; with it a run id may be begun again. Without it two
    runs of one id are stated as a fault by their bundle and by `flush()`. `resumed_from` is the id of the checkpoint
    from which an interrupted run goes on, under the `run_id` it had: its bundle gets a revision with both parts.
    `case_id` names the case of a test set, and `repeat` the repetition: they pair a candidate with its baseline.
    `config` is a mapping, a dataclass or a pydantic model, recorded whole but for its secrets.

    Nothing is raised, whatever is given. An invalid run id is replaced by a new one, and the bundle names the claim. A
    run to be resumed without its former id is recorded as a new one. An invalid tenant id is replaced by a digest of
    it, so that its runs stay apart from those of other tenants. Each replacement is logged.
    """
    title = text_of(name, "run")
    attributes: dict[str, Any] = {own.OP: RUN, own.NAME: title}
    scope = RunScope(
        run_id_or_new(run_id, attributes), tenant_id=tenant_id_of(tenant_id), session_id=text_of(session_id)
    )
    attributes[own.RUN_ID] = scope.run_id
    if scope.tenant_id:
        attributes[own.TENANT_ID] = scope.tenant_id
    if resumed_from is not None and (run_id is None or own.CLAIMED_RUN_ID in attributes):
        warn_rarely("a run was to be resumed without the id that it had; it is recorded as a new one")
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
            count_lost(key.rpartition(".")[2])
    if config is not None:
        with_value(attributes, own.CONFIG, config)
    attributes[own.VERSIONS] = versions_text()
    return SpanScope(span_name(RUN, title), SpanKind.INTERNAL, attributes, output=own.RESULT, run=scope)


def start_agent(name: str, *, input: Any = None) -> SpanScope:  # noqa: A002 - the field's word for it
    """Return the scope of an agent's work: a span `invoke_agent {name}`.

        scope = runbundle.start_agent("researcher", input=question)
        with scope:
            scope.set_output(research(question))

    Leaving the block ends the span; an exception that leaves it is recorded and goes on.
    """
    name = text_of(name, "agent")
    attributes = {semconv.OPERATION: INVOKE_AGENT, semconv.AGENT_NAME: name}
    return SpanScope(
        span_name(INVOKE_AGENT, name),
        SpanKind.INTERNAL,
        _with(attributes, semconv.INPUT_MESSAGES, input),
        output=semconv.OUTPUT_MESSAGES,
    )


def start_step(name: str) -> SpanScope:
    """Return the scope of a named step: a span `step {name}`.

        with runbundle.start_step("plan"):
            plan()

    Leaving the block ends the span; an exception that leaves it is recorded and goes on.
    """
    name = text_of(name, "step")
    return SpanScope(span_name(STEP, name), SpanKind.INTERNAL, {own.OP: STEP, own.NAME: name})


def start_tool(name: str, arguments: Any = None, *, call_id: str | None = None, attempt: int = 1) -> ToolScope:
    """Return the scope of a tool call: a span `execute_tool {name}`.

        scope = runbundle.start_tool("find_order", {"order_id": 17}, call_id=call.id)
        with scope:
            scope.set_output(find_order(17))

    `call_id` is the model's id of the call; without one a random id is made. `attempt` counts from 1. Where the policy
    of the tool's contract refuses the call, entering the scope raises `PolicyBlocked`: the body does not run, and the
    span is recorded as blocked.
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
        count_lost("attempt")
    elif number != 1:
        attributes[own.ATTEMPT] = number
    attributes = _with(attributes, semconv.ARGUMENTS, arguments)
    return ToolScope(name, attributes, lambda: _by_name(arguments))


def _by_name(arguments: Any) -> Mapping[str, Any]:
    if issubclass(type(arguments), Mapping):  # what its class says it is may raise, or be untrue
        return cast("Mapping[str, Any]", arguments)
    return {} if arguments is None else {"0": arguments}


def start_model(model: str, messages: Any = None, *, provider: str = "", operation: str = CHAT) -> SpanScope:
    """Return the scope of a model call: a span `chat {model}`, or `{operation} {model}`.

        scope = runbundle.start_model("gpt-5", messages, provider="openai")
        with scope as run:
            answer = client.chat(messages)
            scope.set_output(answer.text)
            run.usage(input_tokens=answer.prompt_tokens, output_tokens=answer.completion_tokens)

    Leaving the block ends the span; an exception that leaves it is recorded and goes on.
    """
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
    """Return the scope of a retrieval: a span `retrieval {name}`.

        with runbundle.start_retriever("handbook", query) as run:
            run.add_evidence(search(query), query=query)

    Leaving the block ends the span; an exception that leaves it is recorded and goes on.
    """
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
