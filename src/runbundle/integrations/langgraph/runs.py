"""Runs of LangGraph: each invocation of a graph is a run. The user adds nothing but the checkpointer.

LangChain calls a callback when a graph or one of its nodes begins and ends, and the saver passes on the last checkpoint
of the thread. An invocation with new input begins a run. An invocation that continues from a checkpoint (its input is
`None` or a `Command`) continues the run that made the checkpoint, so its records join the same bundle. Nodes are steps.
A run whose graph has stopped to ask a person is `waiting`. An invocation within a run of the application is a part of
that run.
"""

import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.context import register_configure_hook
from opentelemetry import context as otel_context
from opentelemetry.context import Context

from runbundle.format.identity import valid_run_id
from runbundle.otel import active
from runbundle.otel.agent.run_context import current_scope
from runbundle.otel.agent.run_handle import current_run
from runbundle.otel.agent.scopes import SpanScope
from runbundle.otel.agent.starts import start_run, start_step
from runbundle.runstate.credentials import register_secrets


@dataclass(eq=False)
class _Invocation:
    """One call of a graph."""

    name: str
    thread_id: str
    goes_on: bool
    asked_run_id: str
    outer: Context
    scope: SpanScope | None = None
    waits: bool = False


@dataclass
class _Known:
    """The graphs and nodes that run in this process, by the ids that LangChain gives them."""

    graphs: dict[uuid.UUID, _Invocation] = field(default_factory=dict[uuid.UUID, _Invocation])
    nodes: dict[uuid.UUID, tuple[SpanScope, Context]] = field(
        default_factory=dict[uuid.UUID, tuple[SpanScope, Context]]
    )


_known = _Known()
_begun: ContextVar[_Invocation | None] = ContextVar("runbundle-graph", default=None)


def checkpoint_loaded(thread_id: str, namespace: str, checkpoint_id: str, run_id: str) -> None:
    """Begin the run of the graph invoked in this context, now that the last checkpoint of its thread is known.

    `checkpoint_id` and `run_id` belong to that checkpoint, and are empty if there is none. Does nothing outside an
    invocation, if its run has begun, or for the namespace of a sub-graph.
    """
    invocation = _begun.get()
    if invocation is not None and invocation.scope is None and not namespace and invocation.thread_id == thread_id:
        _begin(invocation, checkpoint_id, run_id)


def _begin(invocation: _Invocation, checkpoint_id: str, run_id: str) -> None:
    resumed = invocation.goes_on and valid_run_id(run_id) and valid_run_id(checkpoint_id)
    scope = start_run(
        invocation.name,
        run_id=run_id if resumed else invocation.asked_run_id or None,
        session_id=invocation.thread_id,
        resumed_from=checkpoint_id if resumed else None,
    )
    invocation.scope = scope.start()
    otel_context.attach(scope.context)


class _Callbacks(BaseCallbackHandler):
    """Follows graphs and nodes. Runs in the caller's context, so that what it attaches is there for the node."""

    run_inline = True

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,  # noqa: ARG002
        inputs: Any,
        *,
        run_id: uuid.UUID,
        parent_run_id: uuid.UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        said = metadata or {}
        if said.get("ls_integration") != "langgraph" or active.get() is None:
            return  # nothing is recorded, so there is no run that a checkpoint could name
        node, name = said.get("langgraph_node"), rest.get("name")
        if node is None or node == name:
            register_secrets(inputs)  # before a node can quote them; the state may be stored later than that
        if parent_run_id is None and node is None:
            if current_scope() is None and said.get("thread_id") is not None:
                self._graph(inputs, run_id, said, str(name or "graph"))
        elif node is not None and node == name:
            invocation = _begun.get()
            if invocation is not None and invocation.scope is None and parent_run_id in _known.graphs:
                _begin(invocation, "", "")  # a checkpointer that is not ours does not call `checkpoint_loaded`
            if current_scope() is not None:
                self._node(str(node), run_id, _known.graphs.get(parent_run_id) if parent_run_id else None)

    def _graph(self, inputs: Any, run_id: uuid.UUID, said: dict[str, Any], name: str) -> None:
        asked = str(said.get("run_id") or "")
        invocation = _known.graphs[run_id] = _Invocation(
            name,
            str(said["thread_id"]),
            inputs is None or type(inputs).__name__ == "Command",
            asked if valid_run_id(asked) else "",
            otel_context.get_current(),
        )
        _begun.set(invocation)

    @staticmethod
    def _node(name: str, run_id: uuid.UUID, graph: _Invocation | None) -> None:
        before = otel_context.get_current()
        if graph is not None and graph.scope is not None:
            # The current context may be that of the step before, which ended in a task of its own.
            otel_context.attach(graph.scope.context)
        scope = start_step(name).start()
        _known.nodes[run_id] = scope, before
        otel_context.attach(scope.context)

    def on_chain_end(self, outputs: Any, *, run_id: uuid.UUID, **rest: Any) -> None:  # noqa: ARG002
        self._ended(run_id, outputs, None)

    def on_chain_error(self, error: BaseException, *, run_id: uuid.UUID, **rest: Any) -> None:  # noqa: ARG002
        if type(error).__name__ == "GraphInterrupt":
            invocation = _begun.get()
            if invocation is not None:
                invocation.waits = True
            self._ended(run_id, None, None, waits=True)
        else:
            self._ended(run_id, None, error)

    def _ended(self, run_id: uuid.UUID, outputs: Any, error: BaseException | None, *, waits: bool = False) -> None:
        node = _known.nodes.pop(run_id, None)
        if node is not None:
            scope, before = node
            scope.finish(error, status="waiting" if waits else "")
            otel_context.attach(before)
        invocation = _known.graphs.pop(run_id, None)
        if invocation is None:
            return
        if _begun.get() is invocation:
            _begun.set(None)
        if invocation.scope is not None:
            if invocation.waits:
                invocation.scope.note("waits for input")
            elif error is None:
                invocation.scope.set_output(outputs)
            invocation.scope.finish(error, status="waiting" if invocation.waits and error is None else "")
            if current_run().run_id == invocation.scope.handle.run_id:  # not if it ends in another task
                otel_context.attach(invocation.outer)


# Any handler in a variable of this kind is added to every run that LangChain configures.
_handler: ContextVar[_Callbacks | None] = ContextVar("runbundle-callbacks", default=_Callbacks())  # noqa: B039
register_configure_hook(_handler, inheritable=True)
