"""Runs that are found late, where other requests, other threads and early ends meet them."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.journal.lines import parse_line
from runbundle.otel.belonging import undecided
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


def ids(span: trace.Span) -> tuple[int, int]:
    """Return the ids of the trace and of the span."""
    here = span.get_span_context()
    return here.trace_id, here.span_id


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


def test_a_child_of_a_span_that_has_ended_is_in_the_tenants_run_of_that_span(configured: Configured) -> None:
    """As long as that run is open. One beneath a span of no run, or of another process, is in none."""
    handle = configured()
    tracer = tracer_of(handle)
    job = tracer.start_span("job", Context())
    tracer.start_span("step of no run", beneath(job)).end()
    parents: list[trace.Span] = [tracer.start_span("step of no run", beneath(job))]
    parents[0].end()
    for tenant in ("north", "south"):
        with trace.use_span(job), runbundle.start_run("agent", tenant_id=tenant, run_id="r"):
            parents.append(tracer.start_span("step"))
            parents[-1].end()
            for parent in parents:
                tracer.start_span("late", beneath(parent)).end()
            tracer.start_span("late", from_elsewhere(*ids(parents[-1]))).end()
    for parent in parents:
        tracer.start_span("too late", beneath(parent)).end()
    job.end()
    handle.flush()
    counts = [Bundle.open(handle.store, f"{tenant}/r").index.counts.spans for tenant in ("north", "south")]
    assert counts == [3, 3]


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


# -- threads that meet at one unit -------------------------------------------------------------------------------------


class Seen(undecided.Waiting):
    """A waiting span at which another thread comes by when somebody first looks whether it is inherited."""

    comes: Callable[[], object] | None = None

    @property
    def inherited(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride] - as a hook only
        """Return True once, so that the next one is looked at, too."""
        comes, self.comes = self.comes, None
        return comes is not None and comes() is None


def unit_of(handle: runbundle.Handle, span: trace.Span) -> undecided.Unit:
    """Return the unit of a waiting span."""
    here = span.get_span_context()
    waiting = handle.boundary.membership._undecided.find(here.trace_id, here.span_id)  # pyright: ignore[reportPrivateUsage]
    assert waiting is not None
    return waiting.unit


def test_a_span_that_starts_while_its_unit_is_decided_costs_none(configured: Configured) -> None:
    """Both are of the run."""
    handle = configured()
    tracer = tracer_of(handle)
    root = tracer.start_span("POST", Context())
    waiting = unit_of(handle, root).live[root.get_span_context().span_id]
    others = [tracer.start_span("open", beneath(root))]
    waiting.__class__ = Seen
    assert isinstance(waiting, Seen)
    waiting.comes = lambda: others.append(tracer.start_span("another thread's", beneath(root)))
    tracer.start_span("chat m", beneath(root), attributes=CHAT).end()
    for span in (*others, root):
        span.end()
    assert len(others) == 2
    result = handle.flush()
    completeness = Bundle.open(handle.store, result.sealed[0]).index.completeness
    assert (completeness.spans_seen, completeness.spans_expected, result.dropped) == (4, 4, {})


class Meeting(dict[int, Any]):
    """The open spans of a unit; just before one is taken out, another thread comes by."""

    def __init__(self, spans: dict[int, Any], comes: Callable[[], object]) -> None:
        super().__init__(spans)
        self._comes = [comes]

    def pop(self, *args: Any) -> Any:
        """Return the span."""
        if self._comes:
            self._comes.pop()()
        return super().pop(*args)


def test_a_span_that_starts_while_the_last_one_ends_loses_none(configured: Configured) -> None:
    """The one that has ended waits with it."""
    handle = configured()
    tracer = tracer_of(handle)
    first, others = tracer.start_span("A", from_elsewhere(0xA)), list[trace.Span]()
    unit = unit_of(handle, first)
    unit.live = Meeting(unit.live, lambda: others.append(tracer.start_span("B", from_elsewhere(0xA))))
    first.end()
    tracer.start_span("chat m", beneath(others[0]), attributes=CHAT).end()
    others[0].end()
    completeness = sealed(handle).index.completeness
    assert (completeness.spans_seen, completeness.spans_expected) == (3, 3)


def test_a_span_that_ends_while_its_unit_is_decided_is_recorded(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also just after what the unit holds was taken, and before its open spans are looked at."""
    handle = configured()
    tracer, table = tracer_of(handle), handle.boundary.membership._undecided  # pyright: ignore[reportPrivateUsage]
    root = tracer.start_span("POST", Context())
    ending = tracer.start_span("ends", beneath(root))
    unit, close = unit_of(handle, root), table.close
    thread = threading.Thread(target=ending.end)

    def closes(one: undecided.Unit) -> Any:
        taken = close(one)
        thread.start()
        while ending.get_span_context().span_id in unit.live:
            time.sleep(0.001)
        return taken

    monkeypatch.setattr(table, "close", closes)
    tracer.start_span("chat m", beneath(root), attributes=CHAT).end()
    thread.join()
    root.end()
    completeness = sealed(handle).index.completeness
    assert (completeness.spans_seen, completeness.spans_expected, completeness.state) == (3, 3, "complete")


def in_a_thread(does: Callable[[], object]) -> bool:
    """Do something in another thread; tell whether it came to its end within ten seconds."""
    thread = threading.Thread(target=does, daemon=True)
    thread.start()
    thread.join(10)
    return not thread.is_alive()


def test_nobody_waits_while_another_thread_records_what_a_unit_held(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For none of its starts but the first, and for none of its ends; not in other requests, nor beneath it."""
    handle = configured()
    tracer, recorder = tracer_of(handle), handle.recorder
    root = tracer.start_span("POST", Context())
    for _ in range(20):
        tracer.start_span("SELECT", beneath(root)).end()
    done: dict[str, list[bool]] = {"started": [], "ended": []}

    def comes_by() -> None:
        for above in (Context(), beneath(root)):
            tracer.start_span("another thread's", above).end()

    def passes_on(name: str) -> Callable[..., None]:
        given = getattr(recorder, name)

        def passed(*args: Any, **named: Any) -> None:
            given(*args, **named)
            if threading.current_thread() is threading.main_thread():
                done[name].append(not (name == "ended" or done[name]) or in_a_thread(comes_by))

        return passed

    for name in done:
        monkeypatch.setattr(recorder, name, passes_on(name))
    tracer.start_span("chat m", beneath(root), attributes=CHAT).end()
    root.end()
    assert [len(done["started"]), len(done["ended"])] == [22, 22]
    assert all(done["started"] + done["ended"])
    monkeypatch.undo()
    completeness = sealed(handle).index.completeness
    assert (completeness.state, completeness.spans_seen) == (
        "complete",
        22 + 21 + 21,
    )  # not beneath a root that is over


@pytest.mark.parametrize("at", ["started", "ended"])
def test_a_span_that_ends_while_its_unit_is_recorded_comes_after_what_had_ended(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """The root too, with which the run ends: it is sealed when all is there."""
    handle = configured(grace_s=0.0)
    tracer, recorder = tracer_of(handle), handle.recorder
    root = tracer.start_span("POST", Context())
    task = tracer.start_span("task", beneath(root))
    held = [tracer.start_span("SELECT", beneath(root)) for _ in range(3)]
    for span in held:
        span.end()
    given, ended = getattr(recorder, at), recorder.ended
    order: list[str] = []
    meanwhile = [task.end, root.end]

    def passed(*args: Any, **named: Any) -> None:
        given(*args, **named)
        if meanwhile and (at == "ended" or not named["is_run"]):
            assert in_a_thread(meanwhile.pop(0))

    def noted(record: Any, *, is_root: bool) -> None:
        order.append((parse_line(record.line) or {})["span_id"])
        (passed if at == "ended" else ended)(record, is_root=is_root)

    monkeypatch.setattr(recorder, at, passed)
    monkeypatch.setattr(recorder, "ended", noted)
    chat = tracer.start_span("chat m", beneath(root), attributes=CHAT)
    chat.end()
    assert order == [f"{span.get_span_context().span_id:016x}" for span in (*held, task, root, chat)]
    monkeypatch.undo()
    result = handle.flush()
    completeness = Bundle.open(handle.store, result.sealed[0]).index.completeness
    assert (result.dropped, completeness.state, completeness.spans_seen) == ({}, "complete", 6)


# -- spans that are lost -----------------------------------------------------------------------------------------------


def test_a_span_that_is_lost_at_its_start_is_a_loss_of_its_run(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that is known already, or found later."""
    handle = configured()
    tracer, table = tracer_of(handle), handle.boundary.membership
    enter = table.enter

    def fails(span: Any, *args: Any) -> Any:
        if span.name == "fails":
            raise RuntimeError
        return enter(span, *args)

    monkeypatch.setattr(table, "enter", fails)
    for before in (True, False):
        root = tracer.start_span("POST", Context())
        order = ["chat m", "fails"] if before else ["fails", "chat m"]
        for name in order:
            tracer.start_span(name, beneath(root), attributes=CHAT if name != "fails" else None).end()
        root.end()
        completeness = sealed(handle).index.completeness
        assert (completeness.state, sum(completeness.dropped.values())) == ("lossy", 1)
    root = tracer.start_span("POST", Context())
    tracer.start_span("fails", beneath(root)).end()
    root.end()
    result = handle.flush()
    assert (result.outside, result.dropped) == (2, {"boundary_start": 2})  # of no run it is no loss of one


# -- names -------------------------------------------------------------------------------------------------------------


def test_the_span_that_begins_a_run_may_name_it_beneath_a_request(configured: Configured) -> None:
    """At its start as at its end; what is above it comes first, as everywhere."""
    handle = configured(group_by="conversation")
    tracer = tracer_of(handle)
    for at_start in (True, False):
        for key, above in (("gen_ai.conversation.id", None), ("run_id", None), ("run_id", "above")):
            said = {**CHAT, key: f"{key}-{at_start}"}
            root = tracer.start_span("POST", Context(), attributes={key: f"{above}-{at_start}"} if above else None)
            chat = tracer.start_span("chat m", beneath(root), attributes=said if at_start else None)
            chat.set_attributes(said)
            chat.end()
            root.end()
    names = ("gen_ai.conversation.id", "run_id", "above")
    assert sorted(handle.flush().sealed) == sorted(f"{name}-{start}" for name in names for start in (True, False))


def test_a_run_that_joins_by_name_beneath_a_request_is_the_one_of_its_unit(configured: Configured) -> None:
    """Not a second one."""
    handle = configured()
    tracer = tracer_of(handle)
    for _ in range(2):
        root = tracer.start_span("POST", from_elsewhere(0xA))
        tracer.start_span("SELECT", beneath(root)).end()
        tracer.start_span("chat m", beneath(root), attributes={**CHAT, "run_id": "job-1"}).end()
        root.end()
    assert set(handle.flush().sealed) == {"job-1"}
    assert Bundle.open(handle.store, "job-1").index.counts.spans == 6
