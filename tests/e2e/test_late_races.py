"""Runs that are found late, where other requests, other threads and early ends meet them."""

from collections.abc import Callable

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import runbundle
from runbundle.bundle.reader import Bundle
from tests.conftest import sealed

Configured = Callable[..., runbundle.Handle]
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}


def tracer_of(handle: runbundle.Handle) -> trace.Tracer:
    """Return a tracer of somebody else's library."""
    return handle.tracer_provider.get_tracer("library")


def from_elsewhere(trace_id: int, span_id: int = 0xB) -> Context:
    """Return the context of a request that another process sent."""
    above = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(1))
    return trace.set_span_in_context(NonRecordingSpan(above), Context())


def beneath(span: trace.Span) -> Context:
    """Return a context in which a span is the current one, and nothing else is known."""
    return trace.set_span_in_context(span, Context())


# -- who joins by a trace ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claims", ["the trace", "a live span", "the trace, in a log record"])
def test_a_trace_from_elsewhere_leads_into_no_tenants_run(configured: Configured, claims: str) -> None:
    """Anybody can send a trace id, or the id of a span; a tenant's run is joined by a signed token alone."""
    handle = configured()
    tracer = tracer_of(handle)
    request = tracer.start_span("POST /a", from_elsewhere(0xA))
    token = otel_context.attach(beneath(request))
    with runbundle.start_run("agent", tenant_id="acme", run_id="r"):
        own = trace.get_current_span().get_span_context().span_id
        other = from_elsewhere(0xA, own if claims == "a live span" else 0xC)
        if "log" in claims:
            handle.logger_provider.get_logger("app").emit(body="of somebody else", context=other)
        else:
            stranger = tracer.start_span("POST /b", other)
            tracer.start_span("chat m", beneath(stranger), attributes=CHAT).end()
            stranger.end()
    otel_context.detach(token)
    request.end()
    keys = handle.flush().sealed
    counts = Bundle.open(handle.store, "acme/r").index.counts
    assert (counts.spans, counts.logs) == (1, 0)
    assert keys == (["acme/r"] if "log" in claims else ["acme/r", f"{0xA:032x}"])


# -- a local root that ends early --------------------------------------------------------------------------------------


def test_a_run_whose_first_span_has_ended_is_open_as_long_as_another_of_its_spans(configured: Configured) -> None:
    """Then nothing of it is left, and nobody joins it by its trace."""
    handle = configured()
    tracer, table = tracer_of(handle), handle.boundary.membership
    for begins_at_end in (False, True):
        root = tracer.start_span("POST /a", Context())
        task = tracer.start_span("background task", beneath(root))
        root.end()
        chat = tracer.start_span("chat m", beneath(task), attributes=None if begins_at_end else CHAT)
        chat.set_attributes(CHAT)
        chat.end()
        trace_id = root.get_span_context().trace_id
        scope = table.scope_of(from_elsewhere(trace_id))
        assert scope is not None
        assert scope.run_id == f"{trace_id:032x}"
        run = scope.lanes[table]
        assert run.held == 1
        task.end()
        assert table.scope_of(from_elsewhere(trace_id)) is None
        assert run.held == 0
        completeness = sealed(handle).index.completeness
        assert (completeness.state, completeness.spans_expected, completeness.spans_seen) == ("complete", 3, 3)


def test_a_run_whose_spans_have_all_ended_is_not_open(configured: Configured) -> None:
    """As work for an agent of another process, which waits when nothing of it is open any more."""
    handle = configured()
    tracer, table = tracer_of(handle), handle.boundary.membership
    tracer.start_span("served", from_elsewhere(0xA), attributes={"mcp.method.name": "tools/list"}).end()
    tracer.start_span("chat m", from_elsewhere(0xA, 2), attributes=CHAT).end()
    assert table.scope_of(from_elsewhere(0xA)) is None
    assert sealed(handle).index.counts.spans == 2
