"""One run of several processes or batches, whichever of them is known first to be an agent's."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.otel.bundle_sink import BundleSink
from runbundle.otel.exporters import BundleSpanExporter

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


# -- processes ---------------------------------------------------------------------------------------------------------

PART = """
import sys, runbundle
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
store, trace_id, span_id = sys.argv[1], int(sys.argv[2], 16), int(sys.argv[3], 16)
with runbundle.configure(store=store, key=b"a key for tests only", grace_s=0.1) as handle:
    above = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(1))
    context = trace.set_span_in_context(NonRecordingSpan(above), Context())
    with handle.tracer_provider.get_tracer("server").start_as_current_span("tools/call", context) as span:
        span.set_attributes({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look_up"})
"""


def serve(store: Path, span: trace.Span) -> None:
    """Have another process work beneath a span."""
    here = span.get_span_context()
    arguments = [str(store), f"{here.trace_id:032x}", f"{here.span_id:016x}"]
    subprocess.run([sys.executable, "-c", PART, *arguments], check=True, timeout=60)


@pytest.mark.parametrize("known_first", ["client", "server"])
def test_a_client_and_its_server_are_one_run(configured: Configured, tmp_path: Path, known_first: str) -> None:
    """Whichever is known first to be an agent's: one bundle with all spans, begun once, by the client."""
    handle = configured(grace_s=0.1)
    tracer = tracer_of(handle)
    attributes = {"gen_ai.operation.name": "invoke_agent"} if known_first == "client" else {}
    with tracer.start_as_current_span("invoke_agent" if attributes else "client", attributes=attributes) as root:
        serve(tmp_path / "store", root)
        tracer.start_span("chat m", attributes=CHAT).end()
    result = handle.flush()
    assert (result.collided, result.failed) == ({}, {})
    bundle = Bundle.open(handle.store, f"{root.get_span_context().trace_id:032x}")
    assert (bundle.index.counts.spans, bundle.index.counts.tool_calls) == (3, 1)
    completeness = bundle.index.completeness
    assert (completeness.roots, completeness.state, completeness.spans_expected) == (1, "complete", 3)
    assert verify(handle.store, bundle.key).verdict == "verified"
    assert joined(bundle) == (["trace"] if known_first == "client" else [])
    assert [path.name for path in (tmp_path / "store").iterdir() if not path.name.startswith(".")] == [bundle.key]


def test_a_part_that_comes_when_its_run_is_sealed_makes_a_revision(configured: Configured, tmp_path: Path) -> None:
    """It joins the run, and does not begin it again."""
    handle = configured(grace_s=0.1)
    with tracer_of(handle).start_as_current_span("chat m", attributes=CHAT) as root:
        pass
    assert handle.flush().sealed
    serve(tmp_path / "store", root)
    bundle = Bundle.open(handle.store, f"{root.get_span_context().trace_id:032x}")
    assert (bundle.index.revision, bundle.index.counts.spans, joined(bundle)) == (2, 2, ["trace"])


def test_a_forked_child_leaves_to_its_parent_what_waits_there(tmp_path: Path) -> None:
    """Each records what it has begun itself, and both are of one run."""
    program = """
    import os, runbundle
    with runbundle.configure(store="s", key=b"a key for tests only", grace_s=0.1) as handle:
        tracer = handle.tracer_provider.get_tracer("x")
        with tracer.start_as_current_span("request"):
            tracer.start_span("before").end()
            child = os.fork()
            if not child:
                tracer.start_span("chat m", attributes={"gen_ai.operation.name": "chat"}).end()
                handle.flush()
                os._exit(0)
            os.waitpid(child, 0)
            tracer.start_span("chat m", attributes={"gen_ai.operation.name": "chat"}).end()
        handle.flush()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path, check=True, timeout=60)
    (index,) = [json.loads(path.read_bytes()) for path in tmp_path.glob("s/*/run.json")]
    assert (index["counts"]["spans"], index["counts"]["model_calls"]) == (4, 2)
    assert (index["completeness"]["state"], index["completeness"]["spans_expected"]) == ("complete", 4)


# -- exporters ---------------------------------------------------------------------------------------------------------


def exported(store: Path, *batches: list[ReadableSpan]) -> tuple[BundleSink, list[dict[str, Any]]]:
    """Export batches of spans; return the sink and the indexes of the bundles."""
    exporter = BundleSpanExporter(str(store))
    sink = exporter._sink  # pyright: ignore[reportPrivateUsage]
    assert sink is not None
    for batch in batches:
        exporter.export(batch)
    exporter.shutdown()
    return sink, [json.loads(path.read_bytes()) for path in store.glob("*/run.json")]


def test_an_exporter_decides_by_any_span_of_a_trace_in_any_batch(tmp_path: Path) -> None:
    """What was exported before is kept for it; a local root that has ended takes nothing away."""
    memory, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("library")
    tracer.start_span("GET /", from_elsewhere(0xABE, 1)).end()
    with tracer.start_as_current_span("GET /", from_elsewhere(0xABE, 2)):
        tracer.start_span("SELECT").end()
        tracer.start_span("tools/call", attributes=TOOL).end()
    spans = list(memory.get_finished_spans())
    sink, indexes = exported(tmp_path / "store", *([span] for span in spans))
    assert [(i["run_id"], i["counts"]["spans"]) for i in indexes] == [(f"{0xABE:032x}", 4)]
    assert sink.outside.spans == 0
    assert indexes[0]["completeness"]["roots"] == 1


def test_an_exporter_forgets_by_number_and_counts_what_it_forgets(tmp_path: Path) -> None:
    """By scope; nothing is written."""
    provider = TracerProvider(shutdown_on_exit=False)
    memory = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    for _ in range(5000):
        provider.get_tracer("http").start_span("GET /").end()
    sink, indexes = exported(tmp_path / "store", list(memory.get_finished_spans()))
    assert (indexes, sink.outside.by_scope()) == ([], {"http": 5000 - 4096})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("first", ["provider", "handle"])
def test_what_configure_records_is_not_recorded_again_by_an_exporter(
    configured: Configured, tmp_path: Path, first: str
) -> None:
    """Of the same store and provider, whichever of them ends first."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(BundleSpanExporter(str(tmp_path / "store"))))
    handle = configured(tracer_provider=provider)
    with tracer_of(handle).start_as_current_span("request"):
        tracer_of(handle).start_span("chat m", attributes=CHAT).end()
    for end in (provider.shutdown, handle.shutdown) if first == "provider" else (handle.shutdown, provider.shutdown):
        end()
    (index,) = [json.loads(path.read_bytes()) for path in tmp_path.glob("store/*/run.json")]
    assert (index["counts"]["spans"], index["completeness"]["state"], index["revision"]) == (2, "complete", 1)
