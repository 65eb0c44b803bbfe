"""Scopes: which run the work within one is in, what admits it, and what is said where it is not recorded."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import runbundle
from runbundle.errors import PolicyBlocked
from runbundle.otel.agent.attribute_values import count_lost
from runbundle.otel.agent.run_context import context_in_run, count_unrecorded, current_scope
from runbundle.otel.agent.scopes import ToolScope
from runbundle.otel.agent.streams.returned import hand_on
from runbundle.otel.agent.streams.stream import CallRecording, Stream
from runbundle.otel.belonging.claims import RunScope
from runbundle.signals import own


def test_what_could_not_be_recorded_is_counted_by_what_it_was(
    configured: Callable[..., runbundle.Handle], caplog: pytest.LogCaptureFixture
) -> None:
    """Outside a configuration there is nobody to count it."""
    count_lost("thing of this test")
    assert not caplog.records
    handle = configured()
    count_lost("thing of this test")
    assert handle.flush().dropped == {"given_thing of this test": 1}


def test_a_run_takes_the_place_of_what_a_request_claimed(configured: Callable[..., runbundle.Handle]) -> None:
    """The token in the baggage is its own, and a plain claim is gone."""
    configured()
    request = baggage.set_baggage(own.RUN_ID, "theirs", baggage.set_baggage(own.RUN_TOKEN, "v1.x.y", Context()))
    scope = RunScope("ours")
    context = context_in_run(scope, request)
    assert current_scope(context) is scope
    assert current_scope(request) is None
    assert baggage.get_baggage(own.RUN_ID, context) is None
    assert baggage.get_baggage(own.RUN_TOKEN, context) not in ("v1.x.y", None)


def test_a_run_that_is_not_recorded_is_counted_once_and_not_by_its_parts(
    configured: Callable[..., runbundle.Handle],
) -> None:
    """A part of a recorded one is counted as a span."""
    handle = configured(tracer_provider=TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    within = count_unrecorded(Context(), Context(), is_run=True)
    assert count_unrecorded(within, within, is_run=False) is within
    assert handle.membership.outside.unsampled == 1
    assert not handle.membership.outside.count_unsampled_run()
    recorded = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s")
    count_unrecorded(trace.set_span_in_context(recorded, Context()), Context(), is_run=False)
    assert handle.flush().dropped["unsampled_span"] == 1


def test_a_refused_call_has_no_body_whichever_way_it_is_entered(configured: Callable[..., runbundle.Handle]) -> None:
    """A decider sees the arguments that it is meant to see; one that may be awaited is."""
    seen: list[Any] = []

    async def decider(call: runbundle.ToolCall) -> bool:
        seen.append(dict(call.arguments))
        return False

    configured(contracts=[{"name": "pay", "policy": "require_approval"}], decider=decider)
    scope = runbundle.start_tool("pay", {"sum": 3})
    assert isinstance(scope, ToolScope)
    scope = scope.with_decider_arguments(lambda: {"sum": 3, "to": "ann"}).start()
    with pytest.raises(PolicyBlocked):
        asyncio.run(scope.admit_async())
    assert seen == [{"sum": 3, "to": "ann"}]
    scope.finish()
    free = runbundle.start_tool("look").start()
    free.admit()
    free.finish()


def test_a_scope_that_was_stepped_out_of_goes_on_without_being_current(
    configured: Callable[..., runbundle.Handle],
) -> None:
    """Its output can still be set."""
    configured()
    scope = runbundle.start_tool("look")
    scope.__enter__()
    assert trace.get_current_span() is scope.span
    scope.step_out()
    assert trace.get_current_span() is not scope.span
    assert scope.span.is_recording()
    scope.set_output({"a": 1})
    assert "gen_ai.tool.call.result" in scope.span.attributes  # type: ignore[attr-defined] - the SDK's span
    scope.finish()
    assert not scope.span.is_recording()


def test_a_value_is_recorded_left_alone_or_followed_by_what_it_is(configured: Callable[..., runbundle.Handle]) -> None:
    """The span goes on only with a stream, and ends with it; one that was handed on ends nothing."""
    configured()
    returned: list[Any] = []
    recording = CallRecording(lambda _, value: returned.append(value), "text")

    def scope() -> ToolScope:
        return runbundle.start_tool("look").start()

    values = [[1], iter([1])]
    assert [hand_on(value, scope(), recording) for value in values] == [(value, False) for value in values]
    assert returned == [[1]]
    followed = scope()
    stream, goes_on = hand_on((part for part in "ab"), followed, recording)
    assert goes_on
    assert followed.span.is_recording()
    assert list(stream) == ["a", "b"]
    assert not followed.span.is_recording()
    other = scope()
    gone = Stream(other, recording)
    gone.handed_on()
    gone.dropped()
    assert other.span.is_recording()
    other.finish()
