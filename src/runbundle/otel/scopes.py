"""Scopes: the context-manager twins of the decorators."""

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from random import getrandbits
from types import TracebackType
from typing import Any, Self, cast

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from pydantic import ValidationError

from runbundle.errors import PolicyBlocked
from runbundle.models.bundle import CaptureWord
from runbundle.otel import active, approval
from runbundle.otel.given import (
    integer_of,
    kind_of,
    lost,
    mention,
    put,
    run_id_of,
    tenant_of,
    text_of,
    with_value,
)
from runbundle.otel.handle import RunHandle
from runbundle.otel.handle import current_run as current_run  # beside its twins, for who imports them together
from runbundle.otel.membership import RUN_ID_KEY, RunScope, current_scope, with_scope
from runbundle.otel.versions import versions_text
from runbundle.redaction.captured import CAPTURE
from runbundle.redaction.shapes import CLAIMED


class SpanScope:
    """One span, from entering to leaving a `with` block; also drives the decorators.

    `attached()` makes the span current for a part of its life only, which is what generators need.
    """

    def __init__(
        self, name: str, kind: SpanKind, attributes: dict[str, Any], *, output: str = "", run: RunScope | None = None
    ) -> None:
        self._name, self._kind, self._attributes, self._output, self._run = name, kind, attributes, output, run
        self._span: Span = trace.INVALID_SPAN
        self.context = Context()
        """With the span as the current one, once it has been started."""
        self._token: Any = None
        self.handle = RunHandle(run)

    def start(self) -> Self:
        """Start the span without making it current."""
        context, links = otel_context.get_current(), []
        if self._run is not None:
            links = self._link_to_parent(context)
            context = with_scope(self._run, context)
        self._span = active.tracer().start_span(self._name, context, self._kind, self._attributes, links)
        self.context = trace.set_span_in_context(self._span, context)
        if self._run is not None:
            self._run.root = self._span  # pyright: ignore[reportAttributeAccessIssue]
        else:
            self.handle = RunHandle(current_scope(context))
        return self

    def _link_to_parent(self, context: Context) -> list[Link]:
        parent, span = current_scope(context), trace.get_current_span(context)
        if parent is None:
            return []
        self._attributes["runbundle.parent.run.id"] = parent.run_id
        own = span.get_span_context()
        self._attributes["runbundle.parent.span.id"] = format(own.span_id, "016x")
        return [Link(own)]

    def __enter__(self) -> RunHandle:
        self.start()
        self._token = otel_context.attach(self.context)
        try:
            self.admit()
        except BaseException as error:
            self._leave(error)
            raise
        return self.handle

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        otel_context.detach(self._token)
        self.finish(error)

    async def __aenter__(self) -> RunHandle:
        self.start()
        self._token = otel_context.attach(self.context)
        try:
            await self.admit_async()
        except BaseException as error:
            self._leave(error)
            raise
        return self.handle

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        self._leave(error)

    def admit(self) -> None:
        """Raise `PolicyBlocked` if the work may not be done. Only a tool call can be refused."""

    async def admit_async(self) -> None:
        """Do as `admit` does, for a caller that can wait for the decision."""
        self.admit()

    @contextmanager
    def attached(self) -> Generator[None]:
        """Make the span current within the block."""
        token = otel_context.attach(self.context)
        try:
            yield
        finally:
            otel_context.detach(token)

    def set_output(self, value: Any, word: CaptureWord = "whole") -> None:
        """Record what the work returned, under the attribute that its kind has for it; at best with this word."""
        if self._output and self._span.is_recording():
            alone = self._run is None and CAPTURE not in self._attributes
            if put(self._span, self._output, value, word, alone=alone):
                self._attributes[CAPTURE] = ""
            if self._output == "runbundle.result":
                self._span.set_attribute("runbundle.result.kind", kind_of(value))

    def note(self, name: str) -> None:
        """Record an event of this span, whichever is the current one."""
        self._span.add_event("runbundle.event", {"runbundle.event.name": name})

    def finish(self, error: BaseException | None = None) -> None:
        """End the span, with the error if there is one."""
        span = self._span
        if error is not None and not isinstance(error, GeneratorExit):
            span.set_attribute("error.type", type(error).__qualname__)
            if isinstance(error, PolicyBlocked) and not self._passes_on(error):
                span.set_attribute("runbundle.status", "blocked")
            elif isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
                span.set_attribute("runbundle.status", "cancelled")
            try:
                span.record_exception(error, _without_inputs(error))
            except Exception:  # noqa: BLE001 - an exception whose __str__ raises must not hide itself
                span.add_event("exception", {"exception.type": type(error).__qualname__})
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def _passes_on(self, error: PolicyBlocked) -> bool:  # noqa: ARG002 - used by tool calls
        """Tell whether the error is about another tool's call, and this work was not blocked itself."""
        return False


class ToolScope(SpanScope):
    """The span of a tool call, which is entered only if the tool's policy admits the call."""

    def __init__(self, name: str, attributes: dict[str, Any], arguments: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__(f"execute_tool {name}", SpanKind.INTERNAL, attributes, output="gen_ai.tool.call.result")
        self._tool, self._arguments = name, arguments
        self._refused = False

    def deciding_on(self, arguments: Callable[[], Mapping[str, Any]]) -> Self:
        """Set what a decider sees; called only if one is asked."""
        self._arguments = arguments
        return self

    def _question(self) -> tuple[approval.Decider, approval.ToolCall] | None:
        call_id = self._attributes["gen_ai.tool.call.id"]
        return approval.question(self._tool, self._arguments, call_id=call_id, run_id=self.handle.run_id)

    def admit(self) -> None:
        """Ask the decider if the tool's policy says so; raise `PolicyBlocked` unless it lets the call run."""
        asked = self._question()
        if asked is not None:
            decider, call = asked
            self._settle(call, approval.ask(decider, call))

    async def admit_async(self) -> None:
        """Do as `admit` does; the decider may be async."""
        asked = self._question()
        if asked is not None:
            decider, call = asked
            self._settle(call, await approval.ask_async(decider, call))

    def _settle(self, call: approval.ToolCall, decision: approval.Decision) -> None:
        self._span.add_event("runbundle.policy.decision", approval.attributes_of(call, decision))
        refusal = approval.refusal(call, decision)
        if refusal is not None:
            self._refused = True
            raise refusal

    def _passes_on(self, error: PolicyBlocked) -> bool:
        # A refused call has no body, so that a refusal it did not meet itself is that of a call within it.
        return not self._refused and approval.is_refusal(error)


def _without_inputs(error: BaseException) -> dict[str, str] | None:
    """Return the message of a validation error without the values that failed, which pydantic quotes in it."""
    if not isinstance(error, ValidationError):
        return None
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    places = (f"{'.'.join(str(step) for step in problem['loc'])}: {problem['type']}" for problem in problems)
    return {"exception.message": f"validation of {error.title} failed: {', '.join(places)}"}


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
) -> SpanScope:
    """Begin a run. Without `run_id` a random one is given.

    `resumed_from` is the id of the checkpoint from which a run that was cut off goes on, under the `run_id` that it
    had: its bundle becomes a revision that holds both, and says so.

    `config` is a mapping, dataclass or pydantic model; it is recorded whole, without its secrets. Raises nothing,
    whatever it is given: a run id that cannot be one leaves the run an id of ours, and the bundle names the claim; a
    tenant id that cannot be one, whose runs must not come among those of others, is replaced by a digest of it.
    """
    title = text_of(name, "run")
    attributes: dict[str, Any] = {"runbundle.op": "run", "runbundle.name": title}
    for field, value in (("request", request_id), ("session", session_id), ("user", user_id)):
        if value is not None:
            attributes[f"runbundle.{field}.id"] = text_of(value)
    if tenant_id is not None:
        attributes["runbundle.tenant.id"] = tenant_of(tenant_id)
    scope = RunScope(run_id_of(run_id, attributes))
    attributes[RUN_ID_KEY] = scope.run_id
    if resumed_from is not None:
        if run_id is None or CLAIMED in attributes:
            mention("a run was to be resumed without the id that it had; it is recorded as a new one")
        else:
            attributes["runbundle.resumed.from"] = text_of(resumed_from)
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


def new_call_id() -> str:
    """Return an id for a tool call that nobody has named, drawn as span ids are: it is no secret."""
    return f"call_{getrandbits(96):024x}"  # uuid4() lets go of the interpreter lock: 20 µs and more among threads


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
        lost("attempt")
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
