"""The current run of a context: held as a value for this process, as a signed token in the baggage for others."""

from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context

from runbundle.otel import active
from runbundle.otel.belonging.claims import RUN, RunScope
from runbundle.otel.belonging.joining import Sender, token_of
from runbundle.signals import own

_UNSAMPLED = otel_context.create_key("runbundle-unsampled")


def context_in_run(scope: RunScope, context: Context) -> Context:
    """Return a copy of `context` inside the run: as a value for this process, as a baggage token for others.

    Claims that came with a request are removed, so that they are not handed on as if this run belonged to them. Without
    an active configuration there is no token.
    """
    context = otel_context.set_value(RUN, scope, context)
    handle = active.get()
    if handle is not None:
        token = token_of(handle.membership.claims.keys, Sender(scope.tenant_id, scope.run_id))
        context = baggage.set_baggage(own.RUN_TOKEN, token, context)
    # What came with a request must not be handed on as if this run were a part of it.
    for stale in (own.RUN_ID,) if handle is not None else (own.RUN_ID, own.RUN_TOKEN):
        if baggage.get_baggage(stale, context) is not None:
            context = baggage.remove_baggage(stale, context)
    return context


def current_scope(context: Context | None = None) -> RunScope | None:
    """Return the run of a context, by default of the current one; None outside a run.

    The run was begun in this process, or is proved by a token in the baggage.
    """
    scope = otel_context.get_value(RUN, context)
    if isinstance(scope, RunScope):
        return scope
    handle = active.get()
    return handle.membership.claims.judge(context).scope if handle is not None else None


def count_unrecorded(outer: Context, inner: Context, *, is_run: bool) -> Context:
    """Count work that the application's own sampler keeps from being recorded; return the context to do it in.

    `outer` is the context that the span was begun in, `inner` the one the work runs in. `inner` is returned, marked so
    that a run is counted once and not again by each call in it.
    """
    handle = active.get()
    if handle is None:
        return inner
    if not is_run:
        if otel_context.get_value(_UNSAMPLED, outer):
            return inner
        if trace.get_current_span(outer).is_recording():
            handle.recorder.count_dropped("unsampled_span")  # a part of something that is recorded
            return inner
        if current_scope(outer) is not None:
            return inner
    handle.count_unsampled()
    return otel_context.set_value(_UNSAMPLED, True, inner)
