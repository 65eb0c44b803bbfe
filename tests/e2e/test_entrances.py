"""Every way in: the environment's exporters, the wrappers, and `configure()`, which all redact by the same things."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.otel.exporters import BundleLogExporter, BundleSpanExporter
from runbundle.store import LocalStore
from tests.conftest import sealed

SECRET = "plum-walrus-kettle-41"
KEEPS = {"name": "note", "data": {"rules": [{"selector": "/text", "action": "keep"}]}}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "note"}
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}


def bundles_in(folder: Path) -> list[Bundle]:
    """Return all bundles of a local store."""
    store = LocalStore(str(folder))
    return [Bundle.open(store, path.parent.name) for path in sorted(folder.glob("*/run.json"))]


def texts_of(bundle: Bundle) -> str:
    """Return what is in its events."""
    return json.dumps([json.loads(line) for line in bundle.store.get(f"{bundle.key}/events.jsonl").splitlines()])


def by_configure(store: Path, memory: InMemorySpanExporter) -> tuple[Any, Callable[[], Any]]:
    """Come in by a provider of ours; return it, and what ends it."""
    handle = runbundle.configure(store=store)
    handle.tracer_provider.add_span_processor(SimpleSpanProcessor(memory))
    return handle.tracer_provider, handle.shutdown


def by_joining(store: Path, memory: InMemorySpanExporter) -> tuple[Any, Callable[[], Any]]:
    """Come in by an application's provider."""
    provider = TracerProvider(shutdown_on_exit=False)
    handle = runbundle.configure(store=store, tracer_provider=provider)
    handle.boundary.add_span_processor(SimpleSpanProcessor(memory))
    return provider, handle.shutdown


def by_exporter(store: Path, memory: InMemorySpanExporter) -> tuple[Any, Callable[[], Any]]:
    """Come in by an exporter that is wrapped."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(runbundle.RedactingSpanExporter(memory)))
    return provider, provider.shutdown


def by_processor(store: Path, memory: InMemorySpanExporter) -> tuple[Any, Callable[[], Any]]:
    """Come in by a processor that is wrapped."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(runbundle.RedactingSpanProcessor(SimpleSpanProcessor(memory)))
    return provider, provider.shutdown


def by_environment(store: Path, memory: InMemorySpanExporter) -> tuple[Any, Callable[[], Any]]:
    """Come in by what `OTEL_TRACES_EXPORTER=runbundle` makes."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(BundleSpanExporter(str(store))))
    return provider, provider.shutdown


@pytest.mark.parametrize("enter", [by_configure, by_joining, by_exporter, by_processor, by_environment])
def test_a_known_secret_is_masked_whichever_way_a_span_comes_in(
    enter: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is known by its name in the environment, and stands in a field that a contract keeps."""
    monkeypatch.setenv("SHOP_API_KEY", SECRET)
    (tmp_path / "contracts.json").write_text(json.dumps([KEEPS]))
    monkeypatch.setenv("RUNBUNDLE_CONTRACTS", "contracts.json")
    memory = InMemorySpanExporter()
    provider, end = enter(tmp_path / "store", memory)
    arguments = json.dumps({"text": f"use {SECRET} please"})
    tracer = provider.get_tracer("x")
    tracer.start_span("execute_tool note", attributes={**TOOL, "gen_ai.tool.call.arguments": arguments}).end()
    end()
    out = [str(dict(span.attributes or {})) for span in memory.get_finished_spans()]
    out += [texts_of(bundle) for bundle in bundles_in(tmp_path / "store")]
    assert out
    for text in out:
        assert SECRET not in text
        assert "use [REDACTED:credential] please" in text


def test_the_same_value_has_the_same_digest_whichever_way_it_comes_in(tmp_path: Path) -> None:
    """Each entrance has the store's key."""
    found: set[str] = set()
    os.environ["RUNBUNDLE_STORE"] = str(tmp_path / "store")
    try:
        for enter in (by_configure, by_joining, by_exporter, by_processor):
            memory = InMemorySpanExporter()
            provider, end = enter(tmp_path / "store", memory)
            provider.get_tracer("x").start_span("execute_tool note", attributes={**TOOL, "gen_ai.prompt": "hi"}).end()
            end()
            found.add(str(memory.get_finished_spans()[0].attributes["gen_ai.prompt"]))  # pyright: ignore[reportOptionalSubscript]
    finally:
        del os.environ["RUNBUNDLE_STORE"]
    assert len(found) == 1
    assert ":h2:" in found.pop()


@pytest.mark.parametrize("wrap", [
    lambda inner: SimpleSpanProcessor(runbundle.RedactingSpanExporter(inner)),
    lambda inner: runbundle.RedactingSpanProcessor(SimpleSpanProcessor(inner)),
], ids=["exporter", "processor"])  # fmt: skip
def test_a_wrapper_goes_by_the_contracts_and_the_key_of_the_configuration(
    wrap: Callable[..., Any], configured: Callable[..., runbundle.Handle]
) -> None:
    """Though it was made before it: what is sent is what the bundle has."""
    memory, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(wrap(memory))
    handle = configured(tracer_provider=provider, contracts=[KEEPS])
    with runbundle.start_run("r"), runbundle.start_tool("note", {"text": "kept", "to": "ada@example.org"}):
        pass
    call = sealed(handle).tool_calls().calls[0]
    sent = dict(memory.get_finished_spans()[0].attributes or {})
    assert json.loads(str(sent["gen_ai.tool.call.arguments"])) == call.arguments.view
    assert sent["runbundle.tool.arguments.digest"] == call.arguments.digest


# -- the environment's exporters ---------------------------------------------------------------------------------------


def test_every_entry_point_loads_and_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment can name is there, is made without arguments, and takes a batch."""
    monkeypatch.setenv("RUNBUNDLE_STORE", str(tmp_path / "store"))
    ours = [
        point
        for group in ("opentelemetry_traces_exporter", "opentelemetry_logs_exporter")
        for point in entry_points(group=group)
        if point.value.startswith("runbundle.")
    ]
    assert {point.group for point in ours} == {"opentelemetry_traces_exporter", "opentelemetry_logs_exporter"}
    for point in ours:
        if point.name != "runbundle":  # runbundle_otlp: tests/e2e/test_zero_code.py has it send
            continue
        exporter = point.load()()
        assert exporter.export([]) in (SpanExportResult.SUCCESS, LogRecordExportResult.SUCCESS)
        assert exporter.force_flush()
        exporter.shutdown()
        exporter.shutdown()
        assert exporter.export([]) in (SpanExportResult.FAILURE, LogRecordExportResult.FAILURE)


def test_an_application_configured_by_the_environment_alone_writes_one_bundle(tmp_path: Path) -> None:
    """Of spans and logs of one trace, by the SDK's own configuration, without a word of code of ours."""
    body = """
    from opentelemetry.sdk._configuration import _OTelSDKConfigurator
    _OTelSDKConfigurator().configure()
    import runbundle
    from opentelemetry import trace
    from opentelemetry._logs import get_logger
    tracer, logger = trace.get_tracer("framework"), get_logger("app")
    with tracer.start_as_current_span("invoke_agent a", attributes={"gen_ai.operation.name": "invoke_agent"}):
        logger.emit(body="what ada@example.org said", event_name="gen_ai.choice")
        with tracer.start_as_current_span("GET", attributes={"http.request.method": "GET"}):
            pass
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(body)], cwd=tmp_path, capture_output=True, text=True, check=True,
        timeout=60,
        env={**os.environ, "OTEL_TRACES_EXPORTER": "runbundle", "OTEL_LOGS_EXPORTER": "runbundle",
             "OTEL_METRICS_EXPORTER": "none", "RUNBUNDLE_STORE": "s"},
    )  # fmt: skip
    assert "rror" not in done.stderr
    (bundle,) = bundles_in(tmp_path / "s")
    assert bundle.index.counts.spans == 2
    assert bundle.index.counts.logs == 1
    assert "ada@" not in texts_of(bundle)
    assert (bundle.index.completeness.late, bundle.index.revision) == (0, 1)


@pytest.mark.parametrize("first", ["logs", "spans"])
def test_spans_and_logs_of_one_trace_are_one_bundle_whichever_is_exported_first(first: str, tmp_path: Path) -> None:
    """A log that comes before its trace is known is held; one that comes after its seal is added."""
    store = str(tmp_path / "store")
    spans, logs = BatchSpanProcessor(BundleSpanExporter(store)), BatchLogRecordProcessor(BundleLogExporter(store))
    tracers, loggers = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(spans)
    loggers.add_log_record_processor(logs)
    with tracers.get_tracer("t").start_as_current_span("invoke_agent a", attributes=AGENT):
        loggers.get_logger("app").emit(body="hello", severity_number=SeverityNumber.INFO)
        with tracers.get_tracer("t").start_as_current_span("GET"):
            pass
    loggers.get_logger("app").emit(body="outside any trace")
    with tracers.get_tracer("t").start_as_current_span("no agent's work"):
        loggers.get_logger("app").emit(body="in no run")
    for provider in (loggers, tracers) if first == "logs" else (tracers, loggers):
        provider.force_flush()
    tracers.shutdown()
    loggers.shutdown()
    (bundle,) = bundles_in(tmp_path / "store")
    assert (bundle.index.counts.spans, bundle.index.counts.logs) == (2, 1)


def test_decorated_code_and_what_is_around_it_are_one_run_by_the_environment_too(tmp_path: Path) -> None:
    """Children are exported before the run's own span, which names it; what is not ours goes by its trace."""
    program = """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    import runbundle
    from runbundle.otel.exporters import BundleSpanExporter
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(BundleSpanExporter("s")))
    trace.set_tracer_provider(provider)
    with runbundle.start_run("r", run_id="mine", tenant_id="t-1"), runbundle.start_tool("note", {"text": "x"}):
        with trace.get_tracer("framework").start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
            with runbundle.start_run("inner", run_id="inner"):
                pass
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path, check=True, timeout=60)
    found = {path.parent.name: json.loads(path.read_bytes()) for path in tmp_path.glob("s/**/run.json")}
    assert {name: index["counts"]["spans"] for name, index in found.items()} == {"mine": 3, "inner": 1}


def test_exporters_of_one_store_share_what_they_write_with(tmp_path: Path) -> None:
    """And the last to end seals."""
    store = str(tmp_path / "store")
    spans, logs, other = BundleSpanExporter(store), BundleLogExporter(store), BundleSpanExporter(str(tmp_path / "b"))
    assert spans._sink is logs._sink is not other._sink
    spans.shutdown()
    assert logs.force_flush()
    logs.shutdown()
    again = BundleLogExporter(store)
    assert again.force_flush()
    again.shutdown()
    other.shutdown()


def test_a_log_exporter_alone_writes_nothing(tmp_path: Path) -> None:
    """It does not know what is a run; and nothing it was given is kept in memory without bound."""
    loggers = LoggerProvider(shutdown_on_exit=False)
    exporter = BundleLogExporter(str(tmp_path / "store"))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    sink: Any = exporter._sink
    for number in range(1, 10_000):
        context = trace.set_span_in_context(
            trace.NonRecordingSpan(trace.SpanContext(number % 5000 + 1, 1, is_remote=False))
        )
        loggers.get_logger("app").emit(body="x", context=context)
    assert sum(len(trace.held) for trace in sink._traces.values()) == sink._held <= 8192
    loggers.shutdown()
    assert bundles_in(tmp_path / "store") == []
