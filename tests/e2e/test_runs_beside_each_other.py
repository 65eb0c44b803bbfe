"""Several runs in one trace, where exporters alone see the spans: each span is in the run of what stands above it."""

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import runbundle
from runbundle.format.identity import RunKey
from runbundle.journal.spool import spooled_runs
from runbundle.otel.exporters import BundleSpanExporter

TENANTS = ("north", "south", "west")
ONE_TRACE = 0xABC
FURTHER = (0xABC1, 0xABC2)
"""Traces in which runs are begun by name: the process remembers these."""


def chat(tenant: str) -> dict[str, str]:
    """Return the attributes of a call of the model of a tenant."""
    return {"gen_ai.operation.name": "chat", "gen_ai.request.model": f"model-of-{tenant}"}


def models(store: Path) -> dict[tuple[str, str], list[str]]:
    """Return the models of each bundle, by its tenant and its run."""
    paths = [path for path in store.rglob("run.json") if "revisions" not in path.parts]
    indexes: list[dict[str, Any]] = [json.loads(path.read_bytes()) for path in paths]
    return {(i.get("tenant_id") or "", i["run_id"]): i["versions"]["models"] for i in indexes}


def from_elsewhere(span_id: int, trace_id: int = ONE_TRACE) -> Context:
    """Return the context of a request; all of a test have one trace."""
    above = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(1))
    return trace.set_span_in_context(NonRecordingSpan(above), Context())


@pytest.fixture(params=[SimpleSpanProcessor, BatchSpanProcessor])
def provider(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    """Return a provider, made global for this test, of which an exporter alone writes bundles."""
    made = TracerProvider(shutdown_on_exit=False)
    processor: SpanProcessor = request.param(BundleSpanExporter(str(tmp_path / "store")))
    made.add_span_processor(processor)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", made)
    return made


def test_runs_of_several_tenants_in_one_trace_share_no_span(provider: TracerProvider, tmp_path: Path) -> None:
    """A job runs an agent for each of its customers; libraries name no run on their spans."""
    tracer = provider.get_tracer("library")
    with tracer.start_as_current_span("job"):
        for tenant in TENANTS:
            with (
                runbundle.start_run("agent", tenant_id=tenant, run_id=f"run-{tenant}"),
                tracer.start_as_current_span("step"),
                tracer.start_as_current_span("chat", attributes=chat(tenant)),
            ):
                pass
    provider.shutdown()
    assert models(tmp_path / "store") == {(t, f"run-{t}"): [f"model-of-{t}"] for t in TENANTS}


def test_requests_of_several_tenants_with_one_trace_id_share_no_span(provider: TracerProvider, tmp_path: Path) -> None:
    """Whoever sends requests chooses the id of the trace; no run has a name, but spans name tenants."""
    tracer = provider.get_tracer("library")
    tracer.start_span("start", attributes={"runbundle.tenant.id": "north"}).end()  # so that tenants are expected
    for number, tenant in enumerate(TENANTS, 1):
        work = {"gen_ai.operation.name": "invoke_agent", "runbundle.tenant.id": tenant}
        with (
            tracer.start_as_current_span("POST", context=from_elsewhere(number)),
            tracer.start_as_current_span("agent", attributes=work),
            tracer.start_as_current_span("chat", attributes=chat(tenant)),
        ):
            pass
    provider.shutdown()
    run = f"{ONE_TRACE:032x}"
    assert models(tmp_path / "store") == {(t, run): [f"model-of-{t}"] for t in TENANTS}


def test_requests_at_once_of_several_tenants_with_one_trace_id_share_no_span(
    provider: TracerProvider, tmp_path: Path
) -> None:
    """What ends early waits for what stands above it, whichever request says first whose it is."""
    tracer = provider.get_tracer("library")
    tracer.start_span("start", attributes={"runbundle.tenant.id": "north"}).end()
    spans: list[list[trace.Span]] = []
    for number, tenant in enumerate(TENANTS, 1):
        work = {"gen_ai.operation.name": "invoke_agent", "runbundle.tenant.id": tenant}
        request = tracer.start_span("POST", context=from_elsewhere(number))
        agent = tracer.start_span("agent", trace.set_span_in_context(request), attributes=work)
        calls = [
            tracer.start_span("chat", trace.set_span_in_context(above), attributes=chat(tenant))
            for above in (request, agent)
        ]
        spans.append([*calls, agent, request])
    for of_all in zip(*spans, strict=True):
        for span in of_all:
            span.end()
    provider.shutdown()
    found = models(tmp_path / "store")
    assert {run[0]: named for run, named in found.items() if run[0]} == {t: [f"model-of-{t}"] for t in TENANTS}


def test_what_ends_in_a_later_request_before_its_run_begins_is_in_no_tenants_bundle(
    provider: TracerProvider, tmp_path: Path
) -> None:
    """It is in a run of nobody's, or counted; what stands above a tenant's run in its own request is in that run."""
    tracer = provider.get_tracer("library")
    for number, tenant in enumerate(TENANTS, 1):
        with tracer.start_as_current_span("POST", context=from_elsewhere(number, FURTHER[0])):
            if tenant != TENANTS[0]:
                with tracer.start_as_current_span("classify"):
                    tracer.start_span("chat", attributes=chat(f"nobody, before {tenant}")).end()
            provider.force_flush()
            with runbundle.start_run("agent", tenant_id=tenant, run_id=f"run-{tenant}"):
                tracer.start_span("chat", attributes=chat(tenant)).end()
    with tracer.start_as_current_span("POST", context=from_elsewhere(9, FURTHER[0])):
        tracer.start_span("chat", attributes=chat("nobody")).end()
    provider.shutdown()
    found = models(tmp_path / "store")
    assert {run: named for run, named in found.items() if run[0]} == {
        (t, f"run-{t}"): [f"model-of-{t}"] for t in TENANTS
    }
    assert len(found["", f"{FURTHER[0]:032x}"]) == 3


def test_a_request_without_a_tenant_in_the_trace_of_a_tenants_run_is_in_none(
    provider: TracerProvider, tmp_path: Path
) -> None:
    """Though it is the only other request, and whether its calls are an agent's or not."""
    tracer = provider.get_tracer("library")
    for number in (1, 2):
        with tracer.start_as_current_span("POST", context=from_elsewhere(number, FURTHER[1])):
            if number == 1:
                with runbundle.start_run("agent", tenant_id="north", run_id="r"), tracer.start_as_current_span("step"):
                    tracer.start_span("chat", attributes=chat("north")).end()
            else:
                tracer.start_span("chat", attributes=chat("nobody")).end()
        provider.force_flush()
    provider.shutdown()
    run = f"{FURTHER[1]:032x}"
    assert models(tmp_path / "store") == {("north", "r"): ["model-of-north"], ("", run): ["model-of-nobody"]}


def test_what_waits_to_know_whose_it_is_is_not_lost(tmp_path: Path) -> None:
    """At the close it is in the only run of its trace, or in one of nobody's; and without tenants nothing waits.

    The jobs above never end, so the runs wait in the spool for `runbundle recover`.
    """
    made = TracerProvider(shutdown_on_exit=False)
    exporter = BundleSpanExporter(str(tmp_path / "store"))
    made.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = made.get_tracer("library")
    work = {"gen_ai.operation.name": "invoke_agent", "runbundle.tenant.id": "north"}
    traces = [tracer.start_span("job", Context()) for _ in range(3)]

    def beneath(span: trace.Span, attributes: dict[str, str]) -> trace.Span:
        return tracer.start_span("x", trace.set_span_in_context(span), attributes=attributes)

    beneath(beneath(traces[0], {}), chat("whoever")).end()
    sink = exporter._sink  # pyright: ignore[reportPrivateUsage]
    assert sink is not None
    assert len(list(sink.recorder.spool.rglob("*.jsonl"))) == 1
    beneath(traces[1], work).end()
    for job in traces[1:]:
        beneath(beneath(job, {}), chat("whoever")).end()
    made.shutdown()
    runs = [f"{job.get_span_context().trace_id:032x}" for job in traces]
    assert set(spooled_runs(sink.recorder.spool)) == {
        RunKey("", runs[0]),
        RunKey("north", runs[1]),
        RunKey("", runs[2]),
    }


def test_what_no_run_stands_above_is_in_no_tenants_bundle(provider: TracerProvider, tmp_path: Path) -> None:
    """It may be anybody's: agent work among it is a run of its own, and the rest is in none."""
    tracer = provider.get_tracer("library")
    with tracer.start_as_current_span("job") as job:
        for tenant in TENANTS:
            with runbundle.start_run("agent", tenant_id=tenant, run_id=f"run-{tenant}"):
                pass
        with tracer.start_as_current_span("summary"), tracer.start_as_current_span("chat", attributes=chat("nobody")):
            pass
    provider.shutdown()
    nobodys = {("", format(job.get_span_context().trace_id, "032x")): ["model-of-nobody"]}
    assert models(tmp_path / "store") == {(t, f"run-{t}"): [] for t in TENANTS} | nobodys


def test_what_waits_for_a_span_that_never_ends_is_recorded_at_the_close(
    provider: TracerProvider, tmp_path: Path
) -> None:
    """Nothing is lost with it, and no tenant gets it."""
    tracer = provider.get_tracer("library")
    job = tracer.start_span("job")
    with trace.use_span(job):
        for tenant in TENANTS:
            with runbundle.start_run("agent", tenant_id=tenant, run_id=f"run-{tenant}"):
                pass
        with tracer.start_as_current_span("chat", attributes=chat("nobody")):
            pass
    provider.shutdown()
    assert models(tmp_path / "store")["", format(job.get_span_context().trace_id, "032x")] == ["model-of-nobody"]


def test_runs_within_one_another_keep_what_stands_above_them(provider: TracerProvider, tmp_path: Path) -> None:
    """A run within a run of the same tenant has its own spans, and the outer one the others."""
    tracer = provider.get_tracer("library")
    with (
        tracer.start_as_current_span("POST"),
        runbundle.start_run("outer", tenant_id="north", run_id="outer"),
        tracer.start_as_current_span("chat", attributes=chat("outer")),
        runbundle.start_run("inner", run_id="inner"),
        tracer.start_as_current_span("chat", attributes=chat("inner")),
    ):
        pass
    provider.shutdown()
    found = models(tmp_path / "store")
    assert found == {("north", "outer"): ["model-of-outer"], ("north", "inner"): ["model-of-inner"]}
