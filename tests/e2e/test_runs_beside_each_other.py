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
from runbundle.otel.exporters import BundleSpanExporter

TENANTS = ("north", "south", "west")
ONE_TRACE = 0xABC


def chat(tenant: str) -> dict[str, str]:
    """Return the attributes of a call of the model of a tenant."""
    return {"gen_ai.operation.name": "chat", "gen_ai.request.model": f"model-of-{tenant}"}


def models(store: Path) -> dict[tuple[str, str], list[str]]:
    """Return the models of each bundle, by its tenant and its run."""
    paths = [path for path in store.rglob("run.json") if "revisions" not in path.parts]
    indexes: list[dict[str, Any]] = [json.loads(path.read_bytes()) for path in paths]
    return {(i.get("tenant_id") or "", i["run_id"]): i["versions"]["models"] for i in indexes}


def from_elsewhere(span_id: int) -> Context:
    """Return the context of a request; all have one trace."""
    above = SpanContext(ONE_TRACE, span_id, is_remote=True, trace_flags=TraceFlags(1))
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


def test_requests_of_several_tenants_with_one_trace_id_share_no_span(tmp_path: Path) -> None:
    """Whoever sends requests chooses the id of the trace; no run has a name, but spans name tenants."""
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(BatchSpanProcessor(BundleSpanExporter(str(tmp_path / "store"))))
    tracer = made.get_tracer("library")
    for number, tenant in enumerate(TENANTS, 1):
        work = {"gen_ai.operation.name": "invoke_agent", "runbundle.tenant.id": tenant}
        with (
            tracer.start_as_current_span("POST", context=from_elsewhere(number)),
            tracer.start_as_current_span("agent", attributes=work),
            tracer.start_as_current_span("chat", attributes=chat(tenant)),
        ):
            pass
    made.shutdown()
    run = f"{ONE_TRACE:032x}"
    assert models(tmp_path / "store") == {(t, run): [f"model-of-{t}"] for t in TENANTS}


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
