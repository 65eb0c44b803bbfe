"""`start_run`, `start_tool` and the other twins of the decorators: each gives the scope of one span."""

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
from runbundle.otel.belonging.claims import RUN_ID_KEY, RunScope
from runbundle.otel.boundary.versions import versions_text
from runbundle.otel.ids import new_call_id
from runbundle.redaction.permitted.values import CLAIMED


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
    attributes: dict[str, Any] = {"runbundle.op": "run", "runbundle.name": title}
    scope = RunScope(
        run_id_or_new(run_id, attributes), tenant_id=tenant_id_of(tenant_id), session_id=text_of(session_id)
    )
    attributes[RUN_ID_KEY] = scope.run_id
    if scope.tenant_id:
        attributes["runbundle.tenant.id"] = scope.tenant_id
    if resumed_from is not None and (run_id is None or CLAIMED in attributes):
        warn_rarely("a run was to be resumed without the id that it had; it is recorded as a new one")
        resumed_from = None
    texts = ("request", request_id), ("session", session_id), ("user", user_id), ("case", case_id)
    for key, value in (*((f"{field}.id", text) for field, text in texts), ("resumed.from", resumed_from)):
        if value is not None:
            attributes[f"runbundle.{key}"] = text_of(value)
    for key, value in (("run.attempt", attempt), ("repeat", repeat)):
        number = value if type(value) is int else integer_of(value) if value is not None else None
        if number is not None:
            attributes[f"runbundle.{key}"] = number
        elif value is not None:
            count_lost(key.rpartition(".")[2])
    if config is not None:
        with_value(attributes, "runbundle.config", config)
    attributes["runbundle.versions"] = versions_text()
    return SpanScope(f"run {title}", SpanKind.INTERNAL, attributes, output="runbundle.result", run=scope)


def start_agent(name: str, *, input: Any = None) -> SpanScope:  # noqa: A002 - the field's word for it
    """Begin the work of an agent: a span `invoke_agent {name}`."""
    name = text_of(name, "agent")
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
    return SpanScope(
        f"invoke_agent {name}",
        SpanKind.INTERNAL,
        _with(attributes, "gen_ai.input.messages", input),
        output="gen_ai.output.messages",
    )


def start_step(name: str) -> SpanScope:
    """Begin a named step: a span `step {name}`."""
    name = text_of(name, "step")
    return SpanScope(f"step {name}", SpanKind.INTERNAL, {"runbundle.op": "step", "runbundle.name": name})


def start_tool(name: str, arguments: Any = None, *, call_id: str | None = None, attempt: int = 1) -> ToolScope:
    """Begin a tool call: a span `execute_tool {name}`. `call_id` is the model's id of the call, if it gave one.

    Where the policy of the tool's contract refuses the call, entering raises `PolicyBlocked`: the body never runs,
    and the span is recorded as blocked.
    """
    name = text_of(name, "tool")
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": text_of(call_id) or new_call_id(),
    }
    number = attempt if type(attempt) is int else integer_of(attempt)
    if number is None:
        count_lost("attempt")
    elif number != 1:
        attributes["runbundle.attempt"] = number
    attributes = _with(attributes, "gen_ai.tool.call.arguments", arguments)
    return ToolScope(name, attributes, lambda: _by_name(arguments))


def _by_name(arguments: Any) -> Mapping[str, Any]:
    if issubclass(type(arguments), Mapping):  # what its class says it is may raise, or be untrue
        return cast("Mapping[str, Any]", arguments)
    return {} if arguments is None else {"0": arguments}


def start_model(model: str, messages: Any = None, *, provider: str = "", operation: str = "chat") -> SpanScope:
    """Begin a model call: a span `chat {model}`."""
    operation, model, provider = text_of(operation, "chat"), text_of(model, "model"), text_of(provider)
    attributes = {"gen_ai.operation.name": operation, "gen_ai.request.model": model}
    if provider:
        attributes["gen_ai.provider.name"] = provider
    return SpanScope(
        f"{operation} {model}",
        SpanKind.CLIENT,
        _with(attributes, "gen_ai.input.messages", messages),
        output="gen_ai.output.messages",
    )


def start_retriever(name: str, query: Any = None) -> SpanScope:
    """Begin a retrieval: a span `retrieval {name}`."""
    name = text_of(name, "retriever")
    attributes = {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.data_source.id": name,
        "runbundle.retriever.name": name,
    }
    return SpanScope(
        f"retrieval {name}",
        SpanKind.CLIENT,
        _with(attributes, "gen_ai.retrieval.query.text", query),
        output="gen_ai.retrieval.documents",
    )


def _with(attributes: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    return attributes if value is None else with_value(attributes, key, value)
