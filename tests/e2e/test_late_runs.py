"""A run is found when it can be known: whatever starts first, and however late a span says what it is."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.otel.belonging import undecided
from runbundle.otel.exporters import BundleSpanExporter
from tests.conftest import sealed

Configured = Callable[..., runbundle.Handle]
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look_up"}


def tracer_of(handle: runbundle.Handle) -> trace.Tracer:
    """Return a tracer of somebody else's library."""
    return handle.tracer_provider.get_tracer("library")


def from_elsewhere(trace_id: int, span_id: int = 0xB) -> Context:
    """Return the context of a request that another process sent."""
    above = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(1))
    return trace.set_span_in_context(NonRecordingSpan(above), Context())


def names(bundle: Bundle) -> list[str]:
    """Return the operations of the spans in order of their starts."""
    return [str(e["op"]) for e in bundle.events() if e["type"] == "span.started"]


def joined(bundle: Bundle) -> list[str]:
    """Return how spans came to a run."""
    return [e["joined"] for e in bundle.events() if "joined" in e]


def test_a_span_that_says_at_its_end_what_it_is_makes_a_run(configured: Configured) -> None:
    """With all that came before it and comes after it, and nothing is missing."""
    handle = configured()
    tracer = tracer_of(handle)
    with tracer.start_as_current_span("request") as root:
        with tracer.start_as_current_span("before"):
            handle.logger_provider.get_logger("app").emit(body="early")
        with tracer.start_as_current_span("llm") as span:
            span.set_attributes(CHAT)
        with tracer.start_as_current_span("after"):
            pass
    bundle = sealed(handle)
    assert bundle.key == format(root.get_span_context().trace_id, "032x")
    assert names(bundle) == ["other", "other", "model", "other"]
    assert bundle.index.counts.logs == 1
    completeness = bundle.index.completeness
    assert (completeness.state, completeness.spans_expected, completeness.spans_seen) == ("complete", 4, 4)
    assert verify(bundle.store, bundle.key).verdict == "verified"
    assert handle.flush().outside == 0


def test_a_request_above_an_agents_loop_is_one_run(configured: Configured) -> None:
    """Not one for each model call; each request has its own."""
    handle = configured()
    tracer = tracer_of(handle)
    for _ in range(2):
        with tracer.start_as_current_span("POST /chat"):
            for _ in range(3):
                with tracer.start_as_current_span("chat m", attributes=CHAT):
                    pass
    bundles = [Bundle.open(handle.store, key) for key in handle.flush().sealed]
    assert [bundle.index.counts.model_calls for bundle in bundles] == [3, 3]
    assert {bundle.index.revision for bundle in bundles} == {1}


def test_without_agent_work_nothing_is_written(configured: Configured, tmp_path: Path) -> None:
    """Not one file; every span and log is counted by its scope, when its unit is over."""
    handle = configured()
    tracer, logger = tracer_of(handle), handle.logger_provider.get_logger("app")
    for _ in range(50):
        with tracer.start_as_current_span("GET /"):
            logger.emit(body="x")
            with tracer.start_as_current_span("SELECT"):
                pass
    result = handle.flush()
    assert (result.sealed, result.outside, result.outside_scopes) == ([], 100, {"library": 100, "app": 50})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("work", ["create_agent", "embeddings"])
def test_work_on_agents_begins_no_run(configured: Configured, work: str) -> None:
    """It is in a run where there is one."""
    handle = configured()
    tracer = tracer_of(handle)
    tracer.start_span(f"{work} a", attributes={"gen_ai.operation.name": work}).end()
    result = handle.flush()
    assert (result.sealed, result.outside) == ([], 1)
    with tracer.start_as_current_span("request"):
        tracer.start_span(f"{work} a", attributes={"gen_ai.operation.name": work}).end()
        tracer.start_span("chat m", attributes=CHAT).end()
    assert sealed(handle).index.counts.spans == 3


def test_a_child_that_outlives_its_local_root_decides(configured: Configured) -> None:
    """The unit is undecided for as long as a span of it is open."""
    handle = configured()
    tracer = tracer_of(handle)
    root = tracer.start_span("job")
    child = tracer.start_span("later", trace.set_span_in_context(root))
    root.end()
    assert handle.flush().outside == 0
    child.set_attributes(CHAT)
    child.end()
    bundle = sealed(handle)
    assert (names(bundle), bundle.index.completeness.state) == (["other", "model"], "complete")


def test_others_get_their_spans_at_once_and_as_they_always_were(configured: Configured) -> None:
    """Whatever is held here; those of agents are redacted."""
    handle = configured()
    memory = InMemorySpanExporter()
    handle.boundary.add_span_processor(SimpleSpanProcessor(memory))
    tracer = tracer_of(handle)
    with tracer.start_as_current_span("request"):
        tracer.start_span("SELECT", attributes={"db.query.text": "select 1"}).end()
        (span,) = memory.get_finished_spans()
        assert dict(span.attributes or {}) == {"db.query.text": "select 1"}
        work = {**CHAT, "gen_ai.input.messages": "secret words"}
        tracer.start_span("chat m", attributes=work).end()
        assert "secret words" not in str(dict(memory.get_finished_spans()[1].attributes or {}))
    assert len(memory.get_finished_spans()) == 3
    assert sealed(handle).index.counts.spans == 3


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_what_is_held_is_bounded_and_a_run_says_what_it_lost(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In number; the oldest unit's are dropped, and counted as outside if nothing comes of it."""
    monkeypatch.setattr(undecided, "HELD", 10)
    handle = configured()
    tracer = tracer_of(handle)
    for becomes_run in (True, False):
        with tracer.start_as_current_span("request"):
            for _ in range(11):
                tracer.start_span("SELECT").end()
            if becomes_run:
                tracer.start_span("chat m", attributes=CHAT).end()
    result = handle.flush()
    assert (result.dropped, result.outside) == ({"held": 11}, 12)
    completeness = Bundle.open(handle.store, result.sealed[0]).index.completeness
    assert (completeness.state, completeness.spans_expected, completeness.spans_seen) == ("lossy", 13, 2)


def test_what_is_held_is_bounded_in_bytes_and_age(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the lengths of texts, in events too; and by the time since the first of them."""
    monkeypatch.setattr(undecided, "HELD_BYTES", 10_000)
    handle = configured()
    tracer = tracer_of(handle)
    with tracer.start_as_current_span("request"):
        for attributes in ({"a": "x" * 20_000}, {"a": ["x" * 20_000]}):
            tracer.start_span("big", attributes=attributes).end()
        span = tracer.start_span("big event")
        span.add_event("e", {"a": "x" * 20_000})
        span.end()
        monkeypatch.setattr(undecided, "HELD_S", -1.0)
        monkeypatch.setattr(undecided, "LOOK_EVERY_S", -1.0)
        tracer.start_span("small").end()
        tracer.start_span("another request", Context()).end()
        tracer.start_span("chat m", attributes=CHAT).end()
    assert handle.flush().dropped == {"held": 4}


def test_two_thousand_open_requests_neither_slow_nor_fail(configured: Configured) -> None:
    """Each is decided for itself."""
    handle = configured()
    tracer = tracer_of(handle)
    requests = [tracer.start_span("request", Context()) for _ in range(2000)]
    for number, request in enumerate(requests):
        inside = trace.set_span_in_context(request, Context())
        tracer.start_span("SELECT", inside).end()
        if number % 100 == 0:
            tracer.start_span("chat m", inside, attributes=CHAT).end()
    for request in requests:
        request.end()
    result = handle.flush()
    assert (len(result.sealed), result.outside, result.dropped) == (20, 3960, {})


def test_threads_that_end_spans_of_one_unit_lose_none(configured: Configured) -> None:
    """Whichever of them makes it a run."""
    handle = configured()
    tracer = tracer_of(handle)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(30):
            root = tracer.start_span("request", Context())
            inside = trace.set_span_in_context(root, Context())

            def work(work: int, inside: Context = inside, number: int = number) -> None:
                for step in range(10):
                    agent = work == number % 4 and step == number % 10
                    tracer.start_span("work", inside, attributes=CHAT if agent and number % 2 else {}).end()
                    if agent and not number % 2:
                        late = tracer.start_span("late", inside)
                        late.set_attributes(CHAT)
                        late.end()

            threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            root.end()
    finally:
        sys.setswitchinterval(before)
    result = handle.flush()
    assert (len(result.sealed), result.outside, result.pending, result.dropped) == (30, 0, 0, {})
    for key in result.sealed:
        completeness = Bundle.open(handle.store, key).index.completeness
        assert completeness.state == "complete"
        assert completeness.spans_seen in (41, 42)


# -- which run ---------------------------------------------------------------------------------------------------------


def test_local_roots_of_one_trace_from_elsewhere_are_one_run(configured: Configured) -> None:
    """The first begins it, the others join it; also what comes when it is sealed."""
    handle = configured(grace_s=0.1)
    tracer = tracer_of(handle)
    for number in range(3):
        tracer.start_span("tools/call", from_elsewhere(0xABC, number + 1), attributes=TOOL).end()
        if number == 1:
            handle.flush()
    handle.flush()
    bundle = Bundle.open(handle.store, f"{0xABC:032x}")
    assert (bundle.index.counts.tool_calls, joined(bundle)) == (3, ["trace", "trace"])
    assert verify(handle.store, bundle.key).verdict == "verified"


def test_undecided_local_roots_of_one_trace_are_decided_together(configured: Configured) -> None:
    """Where the parent is in another process, the trace is the unit."""
    handle = configured()
    tracer = tracer_of(handle)
    first = tracer.start_span("GET /a", from_elsewhere(0xABD, 1))
    second = tracer.start_span("tools/call", from_elsewhere(0xABD, 2))
    first.end()
    second.set_attributes(TOOL)
    second.end()
    bundle = sealed(handle)
    assert (bundle.key, bundle.index.counts.spans, joined(bundle)) == (f"{0xABD:032x}", 2, ["trace"])


def test_a_span_whose_parent_is_not_known_here_joins_the_run_of_its_trace(configured: Configured) -> None:
    """While one is open; its parent has ended, or was never recorded."""
    handle = configured()
    tracer = tracer_of(handle)
    with tracer.start_as_current_span("invoke_agent a", attributes={"gen_ai.operation.name": "invoke_agent"}) as root:
        unknown = SpanContext(root.get_span_context().trace_id, 0xF, is_remote=False, trace_flags=TraceFlags(1))
        tracer.start_span("chat m", trace.set_span_in_context(NonRecordingSpan(unknown)), attributes=CHAT).end()
    bundle = sealed(handle)
    assert (bundle.index.counts.spans, joined(bundle)) == (2, ["trace"])
    assert bundle.index.completeness.dropped == {"parents": 1}


def test_an_id_that_spans_carry_names_the_run(configured: Configured) -> None:
    """The local root's before another's; a value that can be no id, or is a credential, is passed over."""
    handle = configured(run_id_keys=["job"])
    tracer = tracer_of(handle)
    with (
        tracer.start_as_current_span("a", attributes={"job": "../x"}),
        tracer.start_as_current_span("b", attributes={"job": "job-7"}),
    ):
        tracer.start_span("chat m", attributes={**CHAT, "job": "job-8"}).end()
    tracer.start_span("chat m", attributes={**CHAT, "job": "sk-proj-0123456789abcdefghij"}).end()
    keys = handle.flush().sealed
    assert keys[0] == "job-7"
    assert len(keys[1]) == 32


def test_local_roots_that_carry_one_id_are_one_run(configured: Configured) -> None:
    """The later ones join it. A run that was begun by name is named by nobody else."""
    handle = configured()
    tracer = tracer_of(handle)
    for _ in range(3):
        tracer.start_span("chat m", attributes={**CHAT, "run_id": "r-1"}).end()
    with runbundle.start_run("r", run_id="mine"):
        tracer.start_span("chat m", attributes={**CHAT, "run_id": "r-1"}).end()
    assert sorted(set(handle.flush().sealed)) == ["mine", "r-1"]
    bundle = Bundle.open(handle.store, "r-1")
    assert (bundle.index.counts.model_calls, joined(bundle)) == (3, ["id", "id"])
    assert (bundle.index.completeness.state, bundle.index.completeness.roots) == ("complete", 1)


def test_local_roots_of_one_conversation_are_one_run_where_that_is_asked_for(configured: Configured) -> None:
    """By default each is its own."""
    for group_by, runs in (("trace", 4), ("conversation", 1)):
        handle = configured(group_by=group_by, store=f"store-{group_by}")
        tracer = tracer_of(handle)
        for attributes in (CHAT, TOOL, CHAT, TOOL):
            said = {**attributes, "gen_ai.conversation.id": "conv-7"}
            tracer.start_span("step", Context(), attributes=said).end()
        keys = set(handle.flush().sealed)
        assert len(keys) == runs
        assert ("conv-7" in keys) == (runs == 1)
        handle.shutdown()


def test_a_conversation_that_may_name_a_person_names_no_run(configured: Configured, tmp_path: Path) -> None:
    """A telephone number, an address, a credential: a keyed digest stands for it, the same for the same one."""
    handle = configured(group_by="conversation")
    tracer = tracer_of(handle)
    odd = ["4915112345678", "ada@example.org", "sk-proj-0123456789abcdefghij", "a/b"]
    for _ in range(2):
        for said in odd:
            tracer.start_span("step", Context(), attributes={**CHAT, "gen_ai.conversation.id": said}).end()
    result = handle.flush()
    assert result
    keys = set(result.sealed)
    assert len(keys) == len(odd)
    assert all(key.startswith("conversation-") for key in keys)
    assert all(said not in str(path) for path in tmp_path.rglob("*") for said in ("4915112345678", "ada@", "sk-proj"))


@pytest.mark.parametrize("option", ["RUNBUNDLE_GROUP_BY", "RUNBUNDLE_RUN_ID_KEYS"])
def test_the_environment_says_it_for_both_ways_in(
    configured: Configured, option: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`configure()` and the exporter."""
    monkeypatch.setenv("RUNBUNDLE_GROUP_BY", "conversation" if option == "RUNBUNDLE_GROUP_BY" else "")
    monkeypatch.setenv(
        "RUNBUNDLE_RUN_ID_KEYS", "" if option == "RUNBUNDLE_GROUP_BY" else "other, gen_ai.conversation.id"
    )
    handle = configured()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(BundleSpanExporter(str(tmp_path / "other"))))
    for tracer in (tracer_of(handle), provider.get_tracer("x")):
        for _ in range(2):
            said = {**CHAT, "gen_ai.conversation.id": "conv-7"}
            tracer.start_span("step", Context(), attributes=said).end()
    provider.shutdown()
    assert set(handle.flush().sealed) == {"conv-7"}
    assert [path.parent.name for path in (tmp_path / "other").glob("*/run.json")] == ["conv-7"]


LIST = {"mcp.method.name": "tools/list"}


def asked(tracer: trace.Tracer, trace_id: int, span_id: int, attributes: dict[str, str]) -> None:
    """Serve a request of another process: a local root."""
    tracer.start_span("served", context=from_elsewhere(trace_id, span_id), attributes=attributes).end()


def test_what_a_server_of_tools_is_asked_first_is_of_the_run(configured: Configured) -> None:
    """It begins none, but what is done later in its trace does; requests of other kinds do not wait for that."""
    handle = configured()
    tracer = tracer_of(handle)
    asked(tracer, 7, 1, LIST)
    asked(tracer, 8, 1, {"http.request.method": "GET"})
    asked(tracer, 7, 2, LIST)
    asked(tracer, 7, 3, TOOL)
    bundle = sealed(handle)
    assert (bundle.key, names(bundle)) == (format(7, "032x"), ["step", "step", "tool"])
    assert handle.flush().outside == 1


def test_a_server_that_is_only_asked_what_it_has_keeps_little(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest are counted beyond a number of traces, and all after some time."""
    monkeypatch.setattr(undecided, "QUIET", 3)
    handle = configured()
    tracer = tracer_of(handle)
    for trace_id in range(1, 6):
        asked(tracer, trace_id, 1, LIST)
    assert handle.flush().outside == 2
    monkeypatch.setattr(undecided, "HELD_S", 0.0)
    monkeypatch.setattr(undecided, "LOOK_EVERY_S", 0.0)
    asked(tracer, 9, 1, {})
    result = handle.flush()
    assert (result.sealed, result.outside) == ([], 6)
