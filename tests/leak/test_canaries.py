"""A canary in every channel of a span and a log, searched for in every byte that any sink wrote."""

import base64
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry import baggage
from opentelemetry import context as otel_context
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import runbundle
from runbundle.otel import active
from runbundle.otel.agent import at_source
from runbundle.otel.inspection.canaries import (
    CHANNELS,
    CONTRACT,
    GUEST_CHANNELS,
    OWN_CHANNELS,
    RESOURCE,
    SPAN_CHANNELS,
    canary,
    found_in,
    known_secrets,
    plant_guests,
    plant_logs,
    plant_spans,
)
from runbundle.otel.inspection.leak_check import check_application, check_defaults
from runbundle.otel.inspection.planting import plant_own
from tests.conftest import Sink, all_bytes
from tests.support.sdk import TAKES_MAPS


def emit(provider: TracerProvider) -> None:
    """Plant a canary in every channel of spans, within a run."""
    with runbundle.start_run("leak"):
        plant_spans(provider)


CONTRACTS = [CONTRACT]


def test_the_search_finds_what_a_bare_sdk_leaks(configured: Callable[..., runbundle.Handle]) -> None:
    """The control: behind a plain provider every channel that OTLP carries is found."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create(RESOURCE))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    emit(provider)
    data = encode_spans(exporter.get_finished_spans()).SerializeToString()
    # The SDK's OTLP encoder drops the trace state of links.
    assert set(SPAN_CHANNELS) - set(found_in(data)) == {"link trace state", *(() if TAKES_MAPS else ("nested map",))}


def test_no_channel_reaches_store_otlp_http_or_logs(
    configured: Callable[..., runbundle.Handle], sink: Sink, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not one canary in the store, the spool, the OTLP/HTTP bytes or our log records."""
    caplog.set_level(logging.DEBUG, "runbundle")
    handle = configured(otlp=sink.url, resource=RESOURCE, contracts=CONTRACTS)
    emit(handle.tracer_provider)
    spooled = all_bytes(tmp_path)
    assert handle.flush().sealed
    sent = b"".join(body for _, body in sink.bodies)
    assert b"execute_tool" in sent
    assert b"fine" in sent
    written = all_bytes(tmp_path)
    assert b"execute_tool" in written
    assert found_in(spooled) == []
    assert found_in(written) == []
    assert found_in(sent) == []
    assert found_in(caplog.text.encode()) == []


def test_no_channel_reaches_otlp_grpc(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same over gRPC, to a real server."""
    from concurrent.futures import ThreadPoolExecutor

    received: list[bytes] = []

    class Service(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
            received.append(request.SerializeToString())
            return trace_service_pb2.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    try:
        handle = configured(otlp=f"http://127.0.0.1:{port}", resource=RESOURCE, contracts=CONTRACTS)
        emit(handle.tracer_provider)
        handle.flush()
        handle.shutdown()
    finally:
        server.stop(0).wait()
    assert b"execute_tool" in b"".join(received)
    assert found_in(b"".join(received)) == []


def test_a_wrapped_exporter_on_a_foreign_provider_sees_nothing_raw() -> None:
    """RedactingSpanExporter and RedactingSpanProcessor protect what they wrap on a provider that is not ours."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    first, second = InMemorySpanExporter(), InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create(RESOURCE))
    provider.add_span_processor(SimpleSpanProcessor(runbundle.RedactingSpanExporter(first)))
    provider.add_span_processor(runbundle.RedactingSpanProcessor(SimpleSpanProcessor(second)))
    emit(provider)
    for exporter in (first, second):
        spans = exporter.get_finished_spans()
        assert len(spans) == 2
        assert found_in(encode_spans(spans).SerializeToString()) == []


def test_no_channel_of_a_log_record_leaks(
    configured: Callable[..., runbundle.Handle], sink: Sink, tmp_path: Path
) -> None:
    """Body, attributes, event name, severity text and exception of a log record are withheld in every sink."""
    handle = configured(otlp=sink.url)
    with runbundle.start_run("logs"):
        plant_logs(handle.logger_provider)
    assert handle.flush().sealed
    sent = b"".join(body for path, body in sink.bodies if path.endswith("logs"))
    assert sent
    assert found_in(sent) == []
    assert found_in(all_bytes(tmp_path)) == []
    assert b'"type":"log"' in all_bytes(tmp_path)


def test_baggage_carries_whose_run_it_is_and_nothing_else(configured: Callable[..., runbundle.Handle]) -> None:
    """What goes out in headers is the trace context, ids and names: nothing of the application's own baggage."""
    configured()
    options: Any = {"tenant_id": "t-1", "user_id": canary("url"), "config": {"k": canary("sql")}}
    with runbundle.start_run("out", run_id="run-7", **options), runbundle.start_tool(canary("sql")):
        attached = otel_context.attach(baggage.set_baggage("user.email", canary("url")))
        headers = runbundle.carrier()
        otel_context.detach(attached)
    assert set(headers) == {"traceparent", "baggage"}
    name, _, token = headers["baggage"].partition("=")
    body = token.split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert name == "runbundle.run"
    assert said == {"t": "t-1", "r": "run-7", "l": "run:out/tool#0/remote#0", "e": "main/remote#0"}


def test_the_search_finds_what_a_bare_sdk_leaks_of_others_and_of_ours() -> None:
    """The control: without us every canary of a guest comes out, and every one that decorators would be given."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    plant_guests(provider)
    data = encode_spans(exporter.get_finished_spans()).SerializeToString()
    of_spans = {channel for channel in GUEST_CHANNELS if " log " not in channel}
    unseen = {"their trace state", *(() if TAKES_MAPS else ("their nested map",))}  # of links: the encoder drops it
    assert of_spans - set(found_in(data)) == unseen
    with pytest.MonkeyPatch.context() as patch:
        for asked in ("_owns", "_owned"):
            patch.setattr(at_source, asked, lambda _: True)
        with active.lend_tracer(provider.get_tracer("t")):
            plant_own()
    data = encode_spans(exporter.get_finished_spans()).SerializeToString()
    assert set(OWN_CHANNELS) - set(found_in(data)) == {"own secret argument"}  # captured without it already


def test_a_known_secret_of_a_guest_reaches_no_sink(configured: Callable[..., runbundle.Handle], sink: Sink) -> None:
    """Nor the bundle; what is beside it reaches the sinks."""
    runbundle.register_secret(*known_secrets())
    handle = configured(otlp=sink.url)
    with runbundle.start_run("r"):
        plant_guests(handle.tracer_provider, handle.logger_provider)
    assert handle.flush().sealed
    sent = b"".join(body for _, body in sink.bodies)
    assert b"a note with [REDACTED:credential]" in sent
    assert found_in(sent) == []
    assert found_in(all_bytes(Path(handle.store.url.removeprefix("file://")))) == []


def test_redact_check_reports_every_sink_clean() -> None:
    """By every entrance: something came out of each, and no canary."""
    reports = {report.sink: report for report in check_defaults()}
    assert set(reports) == {
        "bundle and spool", "OTLP/HTTP", "OTLP/gRPC", "console exporter", "log messages of this library",
        "exporter on a provider that was joined", "processor behind the boundary there",
        "bundle of a provider that was joined", "RedactingSpanExporter", "RedactingSpanProcessor",
        "bundles by the environment", "exporter of a program that did not configure",
    }  # fmt: skip
    for report in reports.values():
        assert report.reached
        assert report.leaked == ()
        theirs = report.sink.startswith("exporter")  # an exporter of theirs is handed the spans of others raw
        assert report.channels >= len(OWN_CHANNELS if theirs else SPAN_CHANNELS)


def test_redact_check_of_an_application_tells_raw_from_redacted(configured: Callable[..., runbundle.Handle]) -> None:
    """Exporters registered before or added beside leak, one behind the boundary does not; none is sent to."""
    before, beside, behind = InMemorySpanExporter(), InMemorySpanExporter(), InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(before))
    handle = configured(tracer_provider=provider, raw_exporters="allow")
    provider.add_span_processor(SimpleSpanProcessor(beside))
    handle.boundary.add_span_processor(SimpleSpanProcessor(behind))
    leaked = [len(report.leaked) for report in check_application(handle)]
    assert leaked[0] > 20
    assert leaked[1] > 20
    assert leaked[2:] == [0, 0, 0]
    assert [*before.get_finished_spans(), *beside.get_finished_spans(), *behind.get_finished_spans()] == []
    with runbundle.start_run("after"):
        pass
    assert len(handle.flush().sealed) == 1
    assert behind.get_finished_spans()


def test_redact_check_sends_nothing_and_loses_nothing(
    configured: Callable[..., runbundle.Handle], sink: Sink, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Spans and logs that waited are sent first; of the check nothing is, nor kept in store, spool or vault."""
    monkeypatch.setenv("RUNBUNDLE_DEBUG_CONTENT", "1")
    monkeypatch.setenv("RUNBUNDLE_VAULT_KEY", "a key for tests only")
    handle = configured(otlp=sink.url, content_mode="debug")
    with runbundle.start_run("before", run_id="before"):
        handle.logger_provider.get_logger("app").emit(body="x")
    reports = {report.sink: report for report in check_application(handle)}
    assert all(report.reached and not report.leaked for report in reports.values())
    assert {name.split(": ")[-1] for name in reports if name.startswith("exporter")} == {
        "OTLPSpanExporter", "OTLPLogExporter"
    }  # fmt: skip
    handle.shutdown()
    sent = b"".join(body for _, body in sink.bodies)
    assert {path for path, _ in sink.bodies} == {"/v1/traces", "/v1/logs"}
    assert b"before" in sent
    assert b"leak-check" not in sent
    assert b"leak-check" not in all_bytes(tmp_path)
    assert [p.name for p in (tmp_path / "store" / ".vault").iterdir()] == ["before"]


def test_redact_check_on_the_command_line(tmp_path: Path) -> None:
    """A table and exit code 0 for what is clean; 1 and the channels for what leaks; 2 for what cannot be loaded."""
    (tmp_path / "appl.py").write_text(
        "import runbundle\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor\n"
        "def raw():\n"
        "    provider = TracerProvider()\n"
        "    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))\n"
        "    runbundle.configure(tracer_provider=provider, raw_exporters='allow')\n"
        "def nothing(): pass\n"
    )

    def check(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "runbundle", "redact", "check", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    clean = check()
    assert clean.returncode == 0, clean.stdout + clean.stderr
    assert "OTLP/gRPC" in clean.stdout
    assert f"{len(CHANNELS)} of {len(CHANNELS)} channels  clean" in clean.stdout
    leaks = check("--app", "appl:raw", "--format", "json")
    assert leaks.returncode == 1
    assert "sql" in json.loads(leaks.stdout)["sinks"][0]["leaked"]
    assert check("--app", "appl:nothing").returncode == 2
    assert check("--app", "nonsense").returncode == 2


def test_the_name_of_a_span_that_never_ends_is_kept_only_if_that_of_one_that_ends_is(
    configured: Callable[..., runbundle.Handle], tmp_path: Path
) -> None:
    """What is known of it is the line of its start: no record of it passes the redactor."""
    handle = configured(grace_s=0.1)
    sentence = "the patient told us of HIV and of debts"
    scopes = [runbundle.start_run(sentence), runbundle.start_agent(sentence), runbundle.start_tool(sentence, {"n": 1})]
    for scope in scopes:
        scope.__enter__()
    assert b"HIV" not in all_bytes(tmp_path)
    handle.shutdown()
    for scope in reversed(scopes):
        scope.__exit__(None, None, None)
    assert len(list((tmp_path / "store").glob("*/run.json"))) == 1
    assert b"HIV" not in all_bytes(tmp_path)
