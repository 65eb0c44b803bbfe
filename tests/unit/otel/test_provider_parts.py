"""Ids, sampling and limits of the providers that we build, and what is said of other people's."""

import os
import random
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider, sampling
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import TraceState

from runbundle.errors import ConfigError
from runbundle.otel.belonging.outside_runs import OutsideCounts
from runbundle.otel.boundary.limits import (
    Limits,
    limited_attributes,
    limited_span,
    span_limits_of_environment,
    state_cut,
)
from runbundle.otel.boundary.neighbours import innermost, value_limit_of
from runbundle.otel.ids import SystemIdGenerator, new_call_id, new_run_id
from runbundle.otel.notices import sampling_of
from runbundle.otel.providers import RecordEverything
from runbundle.redaction.markers import MARKER, marker
from runbundle.signals.own import CAPTURE
from tests.support.sdk import TAKES_MAPS

ALWAYS_RECORDED: list[tuple[Sampler, str]] = (
    [(sampling.AlwaysRecordSampler(TraceIdRatioBased(0.5)), "some")] if hasattr(sampling, "AlwaysRecordSampler") else []
)
"""Samplers of SDK 1.45 and later: not of 1.44, which google-adk wants."""


def drawn() -> list[Any]:
    """Draw one of each kind of id."""
    ids = SystemIdGenerator()
    return [ids.generate_trace_id(), ids.generate_span_id(), new_run_id(), new_call_id()]


def test_ids_do_not_follow_the_dice_of_the_application() -> None:
    """Whoever seeds `random` gets other ids all the same, of the size that they should have."""
    random.seed(42)
    first = drawn()
    random.seed(42)
    second = drawn()
    assert not set(first) & set(second)
    assert (len(first[2]), len(first[3])) == (32, len("call_") + 24)
    many = [(*drawn(),) for _ in range(5000)]
    assert len({value for ids in many for value in ids}) == 20_000
    assert max(trace_id for trace_id, *_ in many) >> 120
    assert max(span_id for _, span_id, *_ in many) >> 56


def test_a_forked_child_does_not_go_on_with_its_parents_ids() -> None:
    """The pool that both would draw from is emptied in the child."""
    drawn()
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, orjson.dumps([new_run_id() for _ in range(20)]))
        os._exit(0)
    os.wait()
    theirs = set(orjson.loads(os.read(read, 65_536)))
    assert len(theirs) == 20
    assert not theirs & {new_run_id() for _ in range(20)}


class Adding(Sampler):
    """Decides as it is told, adding an attribute and a state of its own."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        """Decide."""
        return SamplingResult(self._decision, {"added": 1}, TraceState([("ot", "th:8")]))

    def get_description(self) -> str:
        """Return a name."""
        return "Adding"


@pytest.mark.parametrize("decision", list(Decision))
def test_everything_is_recorded_and_the_flag_is_the_inner_samplers(decision: Decision) -> None:
    """So are the attributes and the state that it adds; what the span began with is kept whatever it says."""
    provider = TracerProvider(sampler=RecordEverything(Adding(decision)), shutdown_on_exit=False)
    span = provider.get_tracer("t").start_span("s", attributes={"began": 2})
    assert isinstance(span, ReadableSpan)
    assert span.get_span_context().trace_flags.sampled == (decision is Decision.RECORD_AND_SAMPLE)
    assert span.get_span_context().trace_state.to_header() == "ot=th:8"
    assert span.attributes is not None
    assert span.attributes["added"] == 1
    assert ("began" in span.attributes) == (decision is Decision.DROP)


class Proxy:
    """A provider of somebody else, which is none of the SDK by its class."""

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider


@pytest.mark.parametrize(
    ("sampler", "keeps"),
    [
        (ALWAYS_ON, "all"),
        (TraceIdRatioBased(1.0), "all"),
        (ParentBased(ALWAYS_ON), "parents"),
        (ParentBased(ALWAYS_ON, remote_parent_not_sampled=ALWAYS_ON, local_parent_not_sampled=ALWAYS_ON), "all"),
        (ParentBased(TraceIdRatioBased(0.1)), "some"),
        (ParentBased(ALWAYS_ON, remote_parent_sampled=TraceIdRatioBased(0.1)), "some"),
        (ParentBased(ALWAYS_OFF), "some"),
        (TraceIdRatioBased(0.5), "some"),
        (ALWAYS_OFF, "some"),
        *ALWAYS_RECORDED,
        (RecordEverything(ALWAYS_OFF), "all"),
        (Adding(Decision.DROP), "some"),
    ],
)
def test_a_public_sampler_says_what_it_keeps(sampler: Sampler, keeps: str) -> None:
    """From its description, also through a proxy; of one that nobody knows, not everything."""
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    assert sampling_of(provider)[0] == keeps
    assert sampling_of(Proxy(provider))[0] == keeps
    assert innermost(Proxy(provider)) is provider


def test_the_limit_of_a_foreign_provider_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was set; none where none was, or where a provider is not one of the SDK."""
    assert value_limit_of(TracerProvider(shutdown_on_exit=False)) is None
    assert value_limit_of(object()) is None
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "20")
    assert value_limit_of(Proxy(TracerProvider(shutdown_on_exit=False))) == 20


def test_limits_that_nobody_set_do_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's defaults are not the environment's; a limit that is no number is an error with a name."""
    assert span_limits_of_environment() is None
    monkeypatch.setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "10")
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "20")
    monkeypatch.setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", "")
    assert span_limits_of_environment() == Limits(10, 20, 10, None, None, None)
    monkeypatch.setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "many")
    with pytest.raises(ConfigError, match="OTEL_SPAN_LINK_COUNT_LIMIT"):
        span_limits_of_environment()


texts = st.lists(st.sampled_from(["abc", "d", marker("credential"), marker("content", size=12)]), max_size=6).map(
    "".join
)


@given(texts, st.integers(0, 80))
def test_a_limit_never_cuts_a_marker(text: str, chars: int) -> None:
    """What is forwarded ends before a marker, or with all of it; and what was cut is said to be."""
    kept = limited_attributes({"gen_ai.response.id": text}, 0, None, chars)
    value = kept["gen_ai.response.id"]
    assert isinstance(value, str)
    assert text.startswith(value)
    assert "[" not in MARKER.sub("", value)
    assert len(value) <= chars or MARKER.fullmatch(value)
    said = {"gen_ai.response.id": {"word": "cut"}} if value != text else None
    assert (orjson.loads(str(kept[CAPTURE])) if CAPTURE in kept else None) == said


def test_limits_cut_what_is_forwarded_and_count_it() -> None:
    """The newest events stay, and the attributes that say what a span is; receipts stay whole."""
    provider = TracerProvider(shutdown_on_exit=False)
    span = provider.get_tracer("t").start_span("s")
    assert isinstance(span, ReadableSpan)
    for number in range(6):
        span.set_attribute(f"k{number}", ["x" * 9, {"in": "y" * 9} if TAKES_MAPS else "y" * 9])
        span.add_event(f"e{number}", {"a": 1, "b": 2})
    span.set_attribute("gen_ai.operation.name", "chat")
    span.set_attribute("runbundle.redaction", "z" * 50)
    cut = limited_span(span, Limits(attributes=4, chars=5, part_attributes=1, events=2))
    assert cut.attributes is not None
    assert set(cut.attributes) >= {"gen_ai.operation.name", "runbundle.redaction", CAPTURE}
    assert cut.attributes["k0"] == ("xxxxx", {"in": "yyyyy"} if TAKES_MAPS else "yyyyy")
    assert cut.attributes["runbundle.redaction"] == "z" * 50
    assert (len(cut.attributes), cut.dropped_attributes) == (4, 5)
    assert ([event.name for event in cut.events], cut.dropped_events) == (["e4", "e5"], 4)
    assert [event.dropped_attributes for event in cut.events] == [1, 1]
    assert len(span.attributes or {}) == 8


def test_a_value_as_long_as_its_limit_is_stated_as_cut() -> None:
    """Content makes room for a marker, since half of it is not it; names stay; a key that nobody knows is not named."""
    attributes = {
        "gen_ai.tool.call.arguments": '{"email": ',
        "gen_ai.tool.name": "find_order",
        "someones.own": ["1234567890"],
        "gen_ai.request.model": "short",
    }
    state_cut(attributes, 10)
    assert orjson.loads(attributes[CAPTURE]) == {  # pyright: ignore[reportArgumentType]
        "gen_ai.tool.call.arguments": {"word": "cut"},
        "gen_ai.tool.name": {"word": "cut"},
    }
    assert attributes["gen_ai.tool.call.arguments"] == attributes["someones.own"] == marker("oversize")
    assert attributes["gen_ai.tool.name"] == "find_order"
    untouched: dict[str, Any] = {"k": "1234567890"}
    state_cut(untouched, None)
    assert untouched == {"k": "1234567890"}


def test_what_was_said_of_other_values_stays_said() -> None:
    """A cut value is added to it; what is not JSON is replaced."""
    attributes: dict[str, Any] = {
        CAPTURE: '{"gen_ai.output.messages": {"word": "abandoned"}}',
        "gen_ai.tool.name": "xx",
    }
    state_cut(attributes, 2)
    assert orjson.loads(attributes[CAPTURE]) == {
        "gen_ai.output.messages": {"word": "abandoned"},
        "gen_ai.tool.name": {"word": "cut"},
    }
    attributes = {CAPTURE: "[half", "gen_ai.tool.name": "xx"}
    state_cut(attributes, 2)
    assert orjson.loads(attributes[CAPTURE]) == {"gen_ai.tool.name": {"word": "cut"}}


def test_scopes_are_counted_within_bounds() -> None:
    """However many names there are; one that reads like a secret is none."""
    outside = OutsideCounts()
    count: list[Callable[[str], None]] = [outside.count_span, outside.count_log]
    for number in range(1000):
        count[number % 2](f"lib{number}")
    outside.count_span("ghp_" + "a1B2" * 9)
    outside.count_log("")
    counts = outside.by_scope()
    assert (len(counts), sum(counts.values()), outside.spans) == (257, 1002, 501)
    assert counts["other"] == 1002 - 256
