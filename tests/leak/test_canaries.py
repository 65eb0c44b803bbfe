"""A canary in every channel of a span and a log, searched for in every byte that any sink wrote."""

import base64
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags, TraceState

import runbundle
from tests.conftest import Sink, all_bytes

CHANNELS = [
    "attribute under a benign key", "attribute under a sensitive key", "tool arguments", "tool result",
    "input messages", "url", "sql", "exception message", "stack trace", "status description", "span name",
    "resource attribute", "link attribute", "event name", "event attribute", "list item", "attribute key",
    "nested map", "bytes", "scope name", "scope attribute", "trace state", "link trace state", "embedded JSON",
    "exception type", "schema url", "contracted argument", "contracted result key",
]  # fmt: skip


def canary(channel: str) -> str:
    """Return the channel's canary: unlike any real value, and found in any encoding searched for."""
    return f"kanarie{CHANNELS.index(channel):02d}zq8Vx{CHANNELS.index(channel):02d}"


def emit(provider: TracerProvider) -> None:
    """Emit one tool span that holds a canary in every channel."""
    linked = SpanContext(7, 7, is_remote=True, trace_state=TraceState([("v", canary("link trace state"))]))
    remote = SpanContext(
        9, 9, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("v", canary("trace state"))])
    )
    tracer = provider.get_tracer(canary("scope name"), "1", canary("schema url"), {"deep": canary("scope attribute")})
    with runbundle.start_run("leak"):
        span = tracer.start_span(
            canary("span name"),
            context=trace.set_span_in_context(
                trace.NonRecordingSpan(remote), __import__("opentelemetry").context.get_current()
            ),
            links=[Link(linked, {"note": canary("link attribute")})],
            attributes={
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "probe",
                "note": canary("attribute under a benign key"),
                "password": canary("attribute under a sensitive key"),
                "gen_ai.tool.call.arguments": '{"q": "%s"}' % canary("tool arguments"),
                "gen_ai.tool.call.result": '{"r": "%s"}' % canary("tool result"),
                "gen_ai.input.messages": '[{"role": "user", "content": "%s"}]' % canary("input messages"),
                "url.full": f"https://host/?token={canary('url')}",
                "db.query.text": f"select '{canary('sql')}'",
                "gen_ai.response.finish_reasons": ["stop", canary("list item")],
                canary("attribute key"): 1,
                "deep": {"inner": [{"leaf": canary("nested map")}]},
                "raw": canary("bytes").encode(),
                "json": '{"a": "{\\"b\\": \\"%s\\"}"}' % canary("embedded JSON"),
            },
        )
        span.add_event(canary("event name"), {"detail": canary("event attribute")})
        span.add_event(
            "exception",
            {
                "exception.type": canary("exception type"),
                "exception.message": canary("exception message"),
                "exception.stacktrace": f'  File "a.py", line 1, in f\n    x = "{canary("stack trace")}"\nE: no',
            },
        )
        span.set_status(Status(StatusCode.ERROR, canary("status description")))
        span.end()
        contracted = tracer.start_span(
            "execute_tool kept",
            attributes={
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "kept",
                "gen_ai.tool.call.arguments": '{"q": "fine", "p": "%s"}' % canary("contracted argument"),
                "gen_ai.tool.call.result": '{"%s": 1}' % canary("contracted result key"),
            },
        )
        contracted.end()


def found_in(data: bytes) -> list[str]:
    """Return the channels whose canary stands in `data`: as text, as base64 in any alignment, or as hex."""
    found: list[str] = []
    for channel in CHANNELS:
        raw = canary(channel).encode()
        forms = [raw, raw.hex().encode(), raw.upper()]
        # base64 at the three alignments, without the characters that neighbours decide.
        forms += [base64.b64encode(b"\0" * pad + raw)[pad + 1 : -4] for pad in range(3)]
        if any(form in data for form in forms):
            found.append(channel)
    return found


CONTRACTS = [{"name": "kept", "data": {"rules": [{"selector": "/q", "action": "keep"}]}}]
RESOURCE = {"service.name": "leak-test", "secret.note": canary("resource attribute")}


def test_the_search_finds_what_a_bare_sdk_leaks(configured: Callable[..., runbundle.Handle]) -> None:
    """The control: behind a plain provider every channel that OTLP carries is found."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create(RESOURCE))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    emit(provider)
    data = encode_spans(exporter.get_finished_spans()).SerializeToString()
    # The SDK's OTLP encoder drops the trace state of links.
    assert set(CHANNELS) - set(found_in(data)) == {"link trace state"}


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
    logger = handle.logger_provider.get_logger("app")
    with runbundle.start_run("logs"):
        logger.emit(
            body={"text": canary("sql")},
            severity_number=SeverityNumber.WARN,
            severity_text=canary("url"),
            event_name=canary("event name"),
            attributes={"note": canary("event attribute"), canary("attribute key"): [canary("list item")]},
            exception=ValueError(canary("exception message")),
        )
    assert handle.flush().sealed
    sent = b"".join(body for path, body in sink.bodies if path.endswith("logs"))
    assert sent
    assert found_in(sent) == []
    assert found_in(all_bytes(tmp_path)) == []
    assert b'"type":"log"' in all_bytes(tmp_path)


def test_baggage_carries_the_run_id_and_nothing_else(configured: Callable[..., runbundle.Handle]) -> None:
    """What goes out in headers is the trace context and the run id."""
    configured()
    with runbundle.start_run("out", run_id="run-7", user_id=canary("url"), config={"k": canary("sql")}):
        headers = runbundle.carrier()
    assert set(headers) == {"traceparent", "baggage"}
    assert headers["baggage"] == "runbundle.run.id=run-7"
