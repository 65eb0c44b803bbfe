"""Live spans: which run they are in, where they stand, and what is known of them until they end."""

import asyncio
import threading
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, TracerProvider

from runbundle.otel.belonging import lanes
from runbundle.otel.belonging.claims import RunScope
from runbundle.otel.belonging.lanes import Control, Lane, fork_moment, short_digest
from runbundle.otel.belonging.membership import Member, Membership
from runbundle.otel.belonging.originals import Originals, context_with_originals, originals_in
from runbundle.otel.belonging.span_identity import copied_attributes, operation_and_label
from runbundle.otel.belonging.spawning import (
    Origin,
    RunLanes,
    TaskFactory,
    call_in_lane,
    running_loop,
    unwatch_tasks,
    watch_tasks,
)

TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("t")


def span(name: str, above: trace.Span | None = None, **attributes: Any) -> Any:
    """Start a span beneath another."""
    context = trace.set_span_in_context(above, Context()) if above is not None else Context()
    return TRACER.start_span(name, context, attributes={k.replace("__", "."): v for k, v in attributes.items()})


def entered(table: Membership, one: Span, above: trace.Span | None = None) -> Member:
    """Enter a span that must be in a run."""
    member = table.enter(one, trace.set_span_in_context(above, Context()) if above is not None else Context())
    assert member is not None
    return member


def test_a_span_is_in_the_run_of_its_parent_until_it_ends() -> None:
    """Its lane and number say where; an effect has a key only where its task is known."""
    table = Membership()
    root = span("run a", runbundle__op="run", runbundle__run__id="r1", runbundle__name="a")
    tool = span("execute_tool f", root, gen_ai__operation__name="execute_tool", gen_ai__tool__name="f")
    first, second = entered(table, root), entered(table, tool, root)
    assert (first.key.run_id, first.is_run, first.label) == ("r1", True, "run:a")
    assert (second.key, second.lane, second.ordinal, second.root) == (first.key, "run:a", 0, first)
    assert second.effect_key() == "main:0"
    assert first.effect_key() is None
    assert table.member_of(tool) is second
    assert table.scope_of(trace.set_span_in_context(tool, Context())) is first.scope
    assert table.leave(tool) is second
    assert table.member_of(tool) is None


def test_agent_work_outside_any_run_is_a_run_and_other_work_is_counted() -> None:
    """The count is by the library that made the span."""
    table = Membership()
    assert entered(table, span("invoke_agent a", gen_ai__operation__name="invoke_agent")).implicit
    assert table.enter(span("GET /"), Context()) is None
    assert table.outside.by_scope() == {"t": 1}


def test_a_parents_spans_are_known_in_a_forked_child_but_not_its_own() -> None:
    """They are the parent process's to end."""
    table = Membership()
    member = entered(table, span("run a", runbundle__op="run", runbundle__run__id="r1"))
    table.outside.count_span("x")
    table.after_fork_in_child()
    assert member.inherited
    assert table.outside.spans == 0


def test_a_run_from_elsewhere_is_held_until_it_is_released() -> None:
    """Meanwhile the current thread is its own, and a sender can be named within a span of it."""
    table = Membership()
    root = span("run a", runbundle__op="run", runbundle__run__id="r1")
    member = entered(table, root)
    sender = table.sender(trace.set_span_in_context(root, Context()))
    assert sender is not None
    assert sender.run_id == "r1"
    assert sender.lane.startswith("run/remote#0") or "remote#0" in sender.lane
    assert table.sender(Context()) is None
    scope = RunScope("r2", joined="signed", control="main/remote#0")
    held = table.hold(scope)
    assert isinstance(held, RunLanes)
    control = held.control()
    assert control is not None
    assert control.path == "main/remote#0"
    table.release(held)
    assert held.held == 0
    assert member.run.held == 1


def test_a_name_that_may_not_be_kept_is_no_part_of_a_label() -> None:
    """The operation alone stands for it."""
    assert operation_and_label({"runbundle.op": "step", "runbundle.name": "plan"}) == ("step", "step:plan")
    sentence = "they told us of a debt"
    for name in ("a/b", sentence, "n" * 65):
        assert operation_and_label({"runbundle.op": "step", "runbundle.name": name}) == ("step", "step")
    one = span("s", a=1)
    copied_attributes(one)["a"] = 2
    assert one.attributes == {"a": 1}


def test_originals_come_back_unless_somebody_has_set_another_value() -> None:
    """Of attributes, of the name and of events."""
    originals = Originals("secret name", {"k": ["raw"], "mine": "raw"})
    originals.shown_name, originals.shown = "name", {"k": ("x",), "mine": "x"}
    originals.events.append(("e", 5, "secret e", {"raw": 1}))
    event = {"name": "e", "time_ns": 5, "attributes": {}, "dropped": 0}
    record: Any = {"name": "name", "attributes": {"k": ("x",), "mine": "set anew"}, "events": [event], "dropped": {}}
    originals.restore(record)
    assert record["attributes"] == {"k": ("raw",), "mine": "set anew"}
    assert (record["name"], event["name"], event["attributes"]) == ("secret name", "secret e", {"raw": 1})
    assert repr(originals) == "<Originals>"
    assert originals_in(context_with_originals(originals, Context())) is originals
    assert originals_in(Context()) is None


def test_each_thread_counts_in_its_own_lane() -> None:
    """A thread that nobody gave a lane has none."""
    run = RunLanes()
    run.begins_at("main")
    own, found = run.control(), list[Any]()
    assert own is not None
    assert (own.path, run.place("run:a") is run.place("run:a")) == ("main", True)
    assert isinstance(run.origin, Origin)
    spawned = own.spawn("work")
    thread = threading.Thread(target=call_in_lane, args=(spawned, lambda: found.append(run.control())))
    thread.start()
    thread.join()
    other = threading.Thread(target=lambda: found.append(run.control()))
    other.start()
    other.join()
    assert found == [spawned, None]
    assert call_in_lane(spawned, run.control) is spawned
    assert run.control() is own


def test_tasks_have_lanes_while_a_run_is_watched() -> None:
    """Afterwards the loop has what it had."""

    async def work(run: RunLanes) -> str:
        control = run.control()
        return control.path if control is not None else ""

    async def main() -> None:
        loop, run, key = running_loop(), RunLanes(), object()
        assert loop is not None
        run.begins_at("main")
        assert run.origin is not None
        control = run.control()
        assert control is not None
        factory = watch_tasks(loop, key, run.origin, control.spawn)
        assert isinstance(factory, TaskFactory)
        assert watch_tasks(loop, key, run.origin, control.spawn) is None
        task = asyncio.create_task(work(run))
        given = factory.control_of(task)
        assert given is not None
        assert await task == given.path
        unwatch_tasks(key, factory)
        assert loop.get_task_factory() is None

    asyncio.run(main())


def test_a_forked_child_counts_in_a_lane_of_its_own() -> None:
    """Two children of one parent have two, and the parent goes on in its own."""
    lane, before = Lane("run:a"), fork_moment()
    assert (lane.next_ordinal(), lane.next_rank("x"), lane.next_path("x")) == (0, 0, "run:a/x#1")
    forks, now = list(lanes._forks), lanes._now.moment  # pyright: ignore[reportPrivateUsage]
    try:
        lanes.before_fork()
        assert lane.path == "run:a"  # of the parent
        lanes.after_fork_in_child()
        assert fork_moment()[0] == before[0] + 1
        assert lane.path == "run:a/fork#0"
        assert lane.next_rank("x") == 0
    finally:
        lanes._forks[:], lanes._now.moment = forks, now  # pyright: ignore[reportPrivateUsage]
    assert len(short_digest("x")) == 15
    assert Control("main", None).spawn("f").path == "main/f#0"


def test_a_loops_only_task_goes_on_as_the_thread_that_waits_for_it() -> None:
    """Beside other tasks nobody could know that it does."""
    run = RunLanes()
    run.begins_at("main")

    async def alone(beside: bool) -> Control | None:
        loop, origin = running_loop(), run.origin
        assert loop is not None
        assert origin is not None
        other = asyncio.create_task(asyncio.sleep(0)) if beside else None
        factory = TaskFactory(loop, lambda _: None)
        origin.adopt(loop)
        found = run.control()
        factory.remove()
        if other is not None:
            await other
        return found

    assert asyncio.run(alone(False)) is run.control()
    assert asyncio.run(alone(True)) is None
