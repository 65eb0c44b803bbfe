"""Values that somebody else's provider has cut: none is said to be whole, and none has a digest."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import runbundle
from runbundle.otel.exporters import BundleSpanExporter
from runbundle.redaction.markers import marker
from runbundle.signals.dialects.canonical import STATED, canonical
from runbundle.signals.dialects.forms.cuts import CUT, TEXT
from runbundle.signals.keys import SPAN_KEYS

LIMIT = 60
LONG = "The common beginning of a text that is rather long, and then its own end: A"
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}
CHAT = {"openinference.span.kind": "LLM", "llm.model_name": "m"}
ASKED = "llm.input_messages.0.message"
CALL = "llm.output_messages.0.message.tool_calls.0.tool_call.function"
CASES: dict[str, Mapping[str, Any]] = {
    "flattened": {**CHAT, f"{ASKED}.role": "user", f"{ASKED}.content": LONG},
    "call in a message": {**CHAT, f"{CALL}.name": "look", f"{CALL}.arguments": json.dumps({"q": LONG})},
    "one of several": {
        **CHAT,
        f"{ASKED}.content": "short",
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.content": LONG,
    },
    "older": {
        "llm.request.type": "chat",
        "gen_ai.system": "openai",
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": LONG,
    },
    "enveloped": {"traceloop.span.kind": "tool", "traceloop.entity.name": "look", "traceloop.entity.input": LONG},
    "answer": {"traceloop.span.kind": "agent", "traceloop.entity.name": "a", "traceloop.entity.output": LONG},
    "plain": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look", "gen_ai.tool.call.arguments": LONG},
    "document": {
        "openinference.span.kind": "RETRIEVER",
        "retrieval.documents.0.document.id": "d1",
        "retrieval.documents.0.document.content": LONG,
    },
}


def record(provider: TracerProvider, attributes: Mapping[str, Any], events: Mapping[str, str] | None = None) -> None:
    """Have an agent do one thing."""
    tracer = provider.get_tracer("library")
    with (
        tracer.start_as_current_span("invoke_agent", attributes=AGENT),
        tracer.start_as_current_span("work", attributes=attributes) as span,
    ):
        for name, content in (events or {}).items():
            span.add_event(name, {"content": content})


def captures(store: Path) -> dict[str, int]:
    """Return how many values were captured how, in the only bundle."""
    (index,) = [json.loads(path.read_bytes()) for path in store.rglob("run.json")]
    return index["completeness"]["capture"]


@pytest.mark.parametrize("case", CASES)
def test_a_provider_that_cuts_makes_no_value_whole(case: str, tmp_path: Path) -> None:
    """Wherever a dialect puts the value: in a list, a document, a payload or beneath one key of many."""
    provider = TracerProvider(span_limits=SpanLimits(max_span_attribute_length=LIMIT), shutdown_on_exit=False)
    store = tmp_path / "store"
    handle = runbundle.configure(store=store, set_global=False, grace_s=0.0, tracer_provider=provider)
    record(provider, CASES[case])
    handle.shutdown()
    assert captures(store).keys() == {"cut"}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "variable", ["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", ""]
)
def test_an_exporter_alone_states_what_was_cut(
    case: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the environment or by the provider's own limits."""
    if variable:
        monkeypatch.setenv(variable, str(LIMIT))
    limits = None if variable else SpanLimits(max_span_attribute_length=LIMIT)
    provider = TracerProvider(span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(BundleSpanExporter(str(tmp_path / "store"))))
    record(provider, CASES[case])
    provider.shutdown()
    assert captures(tmp_path / "store").keys() == {"cut"}


def test_messages_on_events_are_cut_where_their_provider_cuts_events(tmp_path: Path) -> None:
    """Such a message is a part of the list that its span gets."""
    provider = TracerProvider(span_limits=SpanLimits(max_attribute_length=LIMIT), shutdown_on_exit=False)
    handle = runbundle.configure(store=tmp_path / "store", set_global=False, grace_s=0.0, tracer_provider=provider)
    work = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    record(provider, work, {"gen_ai.user.message": LONG, "gen_ai.choice": LONG})
    handle.shutdown()
    assert captures(tmp_path / "store").keys() == {"cut"}


def test_a_list_beside_a_cut_one_stays_whole(tmp_path: Path) -> None:
    """Only what had the cut value in it is cut."""
    provider = TracerProvider(span_limits=SpanLimits(max_span_attribute_length=LIMIT), shutdown_on_exit=False)
    handle = runbundle.configure(store=tmp_path / "store", set_global=False, grace_s=0.0, tracer_provider=provider)
    record(provider, {**CASES["flattened"], "llm.output_messages.0.message.content": "short"})
    handle.shutdown()
    assert captures(tmp_path / "store") == {"cut": 1, "whole": 1}


def test_what_says_that_values_were_cut_is_gone_in_our_terms() -> None:
    """Whoever wrote it; and nothing is said of a key that may not be named."""
    span: Any = {
        "name": "s", "scope": {"name": "x"}, "end_ns": 1, "parent_span_id": "", "remote_parent": False,
        "attributes": {CUT: TEXT, "somebody.s": TEXT}, "events": [{"name": "e", "time_ns": 1, "attributes": {CUT: 1}}],
    }  # fmt: skip
    read = canonical(span)
    assert (read["attributes"], read["events"][0]["attributes"]) == ({"somebody.s": TEXT}, {})
    assert CUT in span["attributes"]
    assert marker("oversize") == TEXT
    assert SPAN_KEYS.keys() >= STATED
