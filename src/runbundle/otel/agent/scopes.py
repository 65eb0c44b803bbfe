"""Scopes: the context managers behind `start_run()`, `start_tool()` and the decorators."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal, Self

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind

from runbundle.contracts import approval
from runbundle.errors import PolicyBlocked
from runbundle.otel import active
from runbundle.otel.agent import at_source
from runbundle.otel.agent.admission import decision_attributes, decision_needed
from runbundle.otel.agent.attribute_values import (
    kind_of,
    put,
)
from runbundle.otel.agent.current import ScopeMark, context_with_span, detach, leave_scope
from runbundle.otel.agent.failures import is_cancellation, is_failure, record_failure
from runbundle.otel.agent.run_context import context_in_run, count_unrecorded, current_scope
from runbundle.otel.agent.run_handle import RunHandle
from runbundle.otel.belonging.claims import RunScope, remember_trace
from runbundle.signals import own, semconv
from runbundle.signals.names import EXECUTE_TOOL, span_name


class SpanScope:
    """One span, from entering to leaving a `with` or `async with` block; the decorators use it too.

        scope = runbundle.start_tool("search", {"query": query})
        with scope:
            scope.set_output(search(query))

    `attached()` makes the span current for a part of its life only, which generators need. A `with` block inside a
    generator of your own cannot do that: between two items its span is the current one for the consumer too, until the
    generator is closed. A decorated generator does not have this flaw.
    """

    def __init__(
        self, name: str, kind: SpanKind, attributes: dict[str, Any], *, output: str = "", run: RunScope | None = None
    ) -> None:
        self._name, self._kind, self._attributes, self._run = name, kind, attributes, run
        self.output = output
        """The attribute that holds the return value of the work; "" if none does."""
        self.span: Span = trace.INVALID_SPAN
        """The span; an invalid one until `start()`."""
        self.context = Context()
        """The context in which the span is current; empty until `start()`."""
        self._outer = self.context
        self._mark: ScopeMark | None = None
        self._token: Any = None
        self.handle = RunHandle(run)

    def start(self) -> Self:
        """Start the span without making it current."""
        context, links = otel_context.get_current(), []
        self._outer = context
        if active.get() is None:
            self._name_run(current_scope(context) if self._run is None else self._run)
        if self._run is not None:
            links = self._link_to_parent(self._run, context)
            context = context_in_run(self._run, context)
        self.span = at_source.start_span(self._name, context, self._kind, self._attributes, links)
        self.context, self._mark = context_with_span(self.span, context)
        if not self.span.is_recording():
            self.context = count_unrecorded(self._outer, self.context, is_run=self._run is not None)
        if self._run is not None:
            self._run.root = self.span  # pyright: ignore[reportAttributeAccessIssue]
            if active.get() is None:
                remember_trace(self.span.get_span_context().trace_id, self._run)
        else:
            self.handle = RunHandle(current_scope(context))
        return self

    def _name_run(self, run: RunScope | None) -> None:
        """Say whose the span is: no boundary will."""
        if run is not None:
            self._attributes[own.RUN_ID] = run.run_id
            if run.tenant_id:
                self._attributes[own.TENANT_ID] = run.tenant_id

    def _link_to_parent(self, run: RunScope, context: Context) -> list[Link]:
        """Tell the run around this one that it has a child, and take over whose it is."""
        parent, span = current_scope(context), trace.get_current_span(context)
        if parent is None:
            return []
        if parent.tenant_id and not run.tenant_id:
            run.tenant_id = self._attributes[own.TENANT_ID] = parent.tenant_id
        if parent.session_id and not run.session_id:
            run.session_id = self._attributes[own.SESSION_ID] = parent.session_id
        name = self._attributes.get(own.NAME, "")
        at_source.add_event(span, own.CHILD, {own.CHILD_RUN_ID: run.run_id, own.NAME: name})
        self._attributes[own.PARENT_RUN_ID] = parent.run_id
        here = span.get_span_context()
        self._attributes[own.PARENT_SPAN_ID] = format(here.span_id, "016x")
        return [Link(here)]

    def __enter__(self) -> RunHandle:
        self.start()
        self._token = otel_context.attach(self.context)
        try:
            self.admit()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self.handle

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        self.step_out()
        self.finish(error)

    async def __aenter__(self) -> RunHandle:
        self.start()
        self._token = otel_context.attach(self.context)
        try:
            await self.admit_async()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self.handle

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace_back)

    def step_out(self) -> None:
        """Stop the span from being current, if it was entered. This does not end it."""
        if self._mark is not None:
            leave_scope(self._token, self.context, self._mark, self._outer)

    def admit(self) -> None:
        """Raise `PolicyBlocked` if the work may not be done. Only tool calls can be refused; here it does nothing."""

    async def admit_async(self) -> None:
        """Do as `admit` does, in a coroutine that can wait for the decision."""
        self.admit()

    @contextmanager
    def attached(self) -> Generator[None]:
        """Make the span current within the block."""
        token = otel_context.attach(self.context)
        try:
            yield
        finally:
            detach(token)

    def set_output(self, value: Any) -> None:
        """Record the return value of the work, under the attribute that this kind of work has for it."""
        if self.output and self.span.is_recording():
            put(self.span, self.output, value)
            if self.output == own.RESULT:
                at_source.set_attributes(self.span, {own.RESULT_KIND: kind_of(value)})

    def note(self, name: str) -> None:
        """Record an event named `name` on this span, whichever span is current."""
        at_source.add_event(self.span, own.EVENT, {own.EVENT_NAME: name})

    def finish(self, error: BaseException | None = None, *, status: Literal["", "abandoned", "waiting"] = "") -> None:
        """End the span, with the error if there is one.

        `status` is `abandoned` for work that was dropped before its end, and `waiting` for work that a person must go
        on with; neither is an error. `GeneratorExit` means `abandoned`. `sys.exit(0)` is a good end.
        """
        span = self.span
        said: str = status
        if isinstance(error, GeneratorExit):
            said = "abandoned"
        elif error is not None and is_failure(error):
            if isinstance(error, PolicyBlocked) and not self._passes_on(error):
                said = "blocked"
            elif is_cancellation(error):
                said = "cancelled"
            record_failure(span, error)
        if said:
            at_source.set_attributes(span, {own.STATUS: said})
        span.end()

    def _passes_on(self, error: PolicyBlocked) -> bool:  # noqa: ARG002 - used by tool calls
        """Tell whether the error is about another tool's call, and this work was not blocked itself."""
        return False


class ToolScope(SpanScope):
    """The span of a tool call; entering it raises `PolicyBlocked` if the tool's policy refuses the call."""

    def __init__(self, name: str, attributes: dict[str, Any], arguments: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__(span_name(EXECUTE_TOOL, name), SpanKind.INTERNAL, attributes, output=semconv.RESULT)
        self._tool, self._arguments = name, arguments
        self._refused = False

    def with_decider_arguments(self, arguments: Callable[[], Mapping[str, Any]]) -> Self:
        """Set the function that gives the arguments a decider sees; it is called only if a decider is asked."""
        self._arguments = arguments
        return self

    def _question(self) -> tuple[approval.Decider, approval.ToolCall] | None:
        call_id = self._attributes[semconv.CALL_ID]
        return decision_needed(self._tool, self._arguments, call_id=call_id, run_id=self.handle.run_id)

    def admit(self) -> None:
        """Ask the decider, if the tool's policy says so; raise `PolicyBlocked` unless it lets the call run.

        The decision is recorded as an event. A decider that raises denies.
        """
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
        at_source.add_event(self.span, own.DECISION, decision_attributes(call, decision))
        refusal = approval.refusal(call, decision)
        if refusal is not None:
            self._refused = True
            raise refusal

    def _passes_on(self, error: PolicyBlocked) -> bool:
        # A refused call has no body, so that a refusal it did not meet itself is that of a call within it.
        return not self._refused and approval.is_refusal(error)
