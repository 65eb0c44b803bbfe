"""Without a boundary no content: what our own code puts on spans that others see, and what the bundle has of it."""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from pydantic import BaseModel

import runbundle
from runbundle.otel import active, composition
from runbundle.redaction.redactor import Redactor
from tests.conftest import KEY, sealed

Configured = Callable[..., runbundle.Handle]
PRIVATE = (
    "4111111111111111", "hunter2", "a private prompt", "the private answer", "sk-live-abcdefghijklmnop", "ada@example",
    "what was asked", "of a document", "why it was", "my own value", "the thing that failed", "Ada Lovelace",
)  # fmt: skip
KEEPS = {"name": "keeps", "data": {"rules": [{"selector": "/city", "action": "keep"}]}}


class Model(BaseModel):
    text: str


def work() -> None:
    """Put content through everything that an agent can say of its run."""

    @runbundle.tool
    def charge(card: str, password: str) -> dict[str, str]:
        return {"pan": card}

    @runbundle.tool(name="keeps")
    def keeps(city: str, note: str) -> str:
        return note

    @runbundle.model(name="m", provider="x")
    def chat(messages: Any) -> Any:
        return "the private answer"

    @runbundle.model(name="m")
    def streamed(messages: Any) -> Iterator[str]:
        yield "the private "
        yield "answer"

    @runbundle.agent(name="helper")
    def helper(question: str) -> str:
        return "the private answer"

    @runbundle.retriever(name="docs")
    def find(query: str) -> list[dict[str, Any]]:
        return [{"id": "d1", "content": "of a document", "score": 0.5, "title": "Ada Lovelace"}]

    @runbundle.tool
    def fails(of: str) -> None:
        raise ValueError(f"the thing that failed: {of}")

    config = {"api_key": "sk-live-abcdefghijklmnop", "model": Model(text="m-1")}
    with runbundle.start_run("r", run_id="one", tenant_id="t-1", user_id="ada@example.org", config=config,
                             session_id="+49170123456") as run:  # fmt: skip
        charge("4111111111111111", "hunter2")
        keeps("Oslo", "hunter2")
        chat([{"role": "user", "content": "a private prompt"}])
        list(streamed("a private prompt"))
        helper("a private prompt")
        find("what was asked")
        with pytest.raises(ValueError, match="failed"):
            fails("hunter2")
        with runbundle.start_model("m", "a private prompt") as model:
            model.usage(input_tokens=3, model="m-2")
        with runbundle.start_step("plan"):
            run.event("something", mine="my own value")
        run.policy_decision("blocked", reason="why it was")
        run.add_evidence([{"id": "d2", "content": "of a document"}], query="what was asked")
        run.score("quality", 0.5, label="good")
        run.set_result({"answer": "the private answer"})


def shown(exporter: InMemorySpanExporter) -> str:
    """Return all that an exporter of somebody else was handed."""
    return "\n".join(
        json.dumps([
            span.name, dict(span.attributes or {}), span.status.description,
            [[event.name, dict(event.attributes or {})] for event in span.events],
        ], default=str)
        for span in exporter.get_finished_spans()
    )  # fmt: skip


@contextmanager
def a_provider_of_theirs(**options: Any) -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    """Be an application that has set a global provider of its own, with an exporter."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "get_tracer", provider.get_tracer)
        yield provider, exporter


def nothing_is_configured(provider: TracerProvider) -> None:
    """Leave it at that."""


def it_was_shut_down(provider: TracerProvider) -> None:
    """Configure, and shut down."""
    runbundle.configure(store="s", key=KEY, contracts=[KEEPS], set_global=False).shutdown()


def raw_exporters_are_allowed(provider: TracerProvider) -> None:
    """Join the provider though it exports."""
    runbundle.configure(store="s", key=KEY, tracer_provider=provider, contracts=[KEEPS], raw_exporters="allow")


def the_key_is_weak(provider: TracerProvider) -> None:
    """Let the environment have what no redactor can be built of."""
    os.environ["RUNBUNDLE_REDACTION_KEY"] = "weak"


@pytest.mark.parametrize("given", [nothing_is_configured, it_was_shut_down, raw_exporters_are_allowed, the_key_is_weak])
def test_an_exporter_of_somebody_else_is_handed_no_content_of_ours(
    given: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, ids, numbers, digests and sizes; of arguments, prompts, results, errors, configuration nothing else."""
    with a_provider_of_theirs() as (provider, exporter):
        monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", "")
        given(provider)
        work()
    out = shown(exporter)
    assert len(exporter.get_finished_spans()) == 10
    assert [secret for secret in PRIVATE if secret in out] == []
    for kept in ("execute_tool charge", "chat m", "invoke_agent helper", "retrieval docs", "run r", "m-2", "quality"):
        assert kept in out
    assert "[REDACTED:undeclared" in out
    assert "test_at_source.py" in out  # the frames of the stack trace


def test_what_a_contract_keeps_is_kept_at_the_source_too() -> None:
    """By the redactor of the last configuration, or of the environment."""
    with a_provider_of_theirs() as (_, exporter):
        it_was_shut_down(trace.get_tracer_provider())  # pyright: ignore[reportArgumentType]
        work()
    assert "Oslo" in shown(exporter)


def canonical(handle: runbundle.Handle) -> list[Any]:
    """Return the events of the one bundle, with ids and times numbered in the order in which they come."""
    bundle = sealed(handle)
    text = bundle.store.get(f"{bundle.key}/events.jsonl").decode()
    names: dict[str, str] = {}
    text = re.sub(
        r'"(?:[0-9a-f]{32}|[0-9a-f]{16}|call_[0-9a-f]{24}|[0-9]{19})"',
        lambda m: names.setdefault(m[0], f'"#{len(names)}"'),
        text,
    )
    return [{**json.loads(line), "duration_ns": 0} for line in text.splitlines()]


def test_a_bundle_is_the_same_on_a_provider_of_theirs(configured: Configured, tmp_path: Path) -> None:
    """Though its spans show redacted values: contracts, digests, evidence, errors and receipts are as on ours."""
    events: list[list[Any]] = []
    options: dict[str, Any] = {"contracts": [KEEPS], "safe_keys": ["mine"]}
    for number, provider in enumerate((None, TracerProvider(shutdown_on_exit=False))):
        handle = configured(store=tmp_path / str(number), tracer_provider=provider, **options)
        work()
        events.append(canonical(handle))
        handle.shutdown()
    assert events[0] == events[1]


def test_what_limits_of_theirs_cut_is_whole_in_the_bundle(configured: Configured) -> None:
    """What is on the span is not where the bundle has it from."""
    limits = SpanLimits(max_span_attribute_length=20, max_attribute_length=20)
    provider = TracerProvider(span_limits=limits, shutdown_on_exit=False)
    rules = [{"selector": "", "action": "keep"}]
    handle = configured(tracer_provider=provider, contracts=[{"name": "t", "data": {"rules": rules}}])
    with runbundle.start_run("r"), runbundle.start_tool("t", {"text": "a word " * 20}):
        pass
    assert sealed(handle).tool_calls().calls[0].arguments.view == {"text": "a word " * 20}


def test_what_an_application_sets_itself_on_our_span_stands(configured: Configured) -> None:
    """Under a key of its own, and under one that we had set before."""
    handle = configured(tracer_provider=TracerProvider(shutdown_on_exit=False), safe_keys=["mine"])
    with runbundle.start_run("r"), runbundle.start_agent("a", input="a private prompt"):
        span = trace.get_current_span()
        span.set_attribute("mine", 7)
        span.set_attribute("gen_ai.agent.name", "b")
        span.add_event("gen_ai.theirs", {"mine": 8})
    bundle = sealed(handle)
    spans = [json.loads(line) for line in bundle.store.get(f"{bundle.key}/events.jsonl").splitlines()]
    agent = next(one for one in spans if one.get("attributes", {}).get("gen_ai.operation.name") == "invoke_agent")
    assert (agent["attributes"]["mine"], agent["attributes"]["gen_ai.agent.name"]) == (7, "b")
    assert [one["attributes"] for one in spans if one["name"] == "gen_ai.theirs"] == [{"mine": 8}]


def test_a_span_of_theirs_within_a_run_of_ours_gets_no_content(configured: Configured) -> None:
    """Evidence, events and scores go to the current span, which may be another provider's."""
    handle = configured(set_global=False)
    with (
        a_provider_of_theirs() as (provider, exporter),
        runbundle.start_run("r") as run,
        provider.get_tracer("web").start_as_current_span("GET"),
    ):
        run.add_evidence([{"id": "d", "content": "of a document"}], query="what was asked")
        run.score("quality", 1, label="good")
        run.usage(input_tokens=2)
    out = shown(exporter)
    assert "runbundle.evidence" in out
    assert [secret for secret in PRIVATE if secret in out] == []
    assert handle.flush()


def test_a_span_that_is_not_recorded_costs_no_redaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a redactor built, or a key made, where nobody records."""
    monkeypatch.setattr(Redactor, "redact_span", lambda *_, **__: pytest.fail("redacted for nobody"))
    monkeypatch.setattr(composition, "compose", lambda *_, **__: pytest.fail("built for nobody"))
    work()
    with a_provider_of_theirs(sampler=ALWAYS_OFF):
        work()


def test_on_a_provider_of_ours_nothing_is_redacted_twice(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The boundary does it, once a span."""
    handle = configured()
    monkeypatch.setattr(active, "redactor_at_source", lambda _: pytest.fail("redacted at the source"))
    work()
    assert handle.flush()
    assert active.get() is handle
