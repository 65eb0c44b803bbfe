"""The built Collector with `collector/config.yaml`: what `collector/README.md` says of each channel, on real bytes.

The expectations are read from the table in that README, so neither can say what the other does not.
"""

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

import runbundle
from tests.collector.conftest import COLLECTOR, Running, Sink, running

# The first build compiles a few hundred Go packages.
pytestmark = pytest.mark.timeout(1500)

RECEIPT = '{"n":[["attributes.note","content","digest"]]}'
MARKER = "[REDACTED:content:h1:0a1b2c3d:ABCDEFGHIJKLMNOPQRSTUVWXY2:bytes=2048:roles=system+user]"


def stated() -> dict[str, list[str]]:
    """Return the first words of the README's table: by channel, what becomes of it without and with a receipt."""
    _, _, table = (COLLECTOR / "README.md").read_text().partition("| channel |")
    rows = [line.strip("|").split("|") for line in table.partition("\n\n")[0].splitlines()[2:]]
    return {name.strip(): [cell.split()[0].strip(":,") for cell in cells] for name, *cells in rows}


TABLE = stated()
CHANNELS = list(TABLE)


def canary(channel: str) -> str:
    """Return a text that is no credential and occurs nowhere else."""
    return f"kanarie{CHANNELS.index(channel):02d}zq"


def credential(channel: str) -> str:
    """Return a text in the public format of a token."""
    return f"ghp_{CHANNELS.index(channel):02d}{'q7' * 17}"


def emit(exporter: SpanExporter, secret: Callable[[str], str], **attributes: Any) -> ReadableSpan:
    """Send one tool span with a secret in each channel, and return it as the SDK handed it to the exporter."""
    sent = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource({"service.name": "probe", "note": secret("resource attribute")}), shutdown_on_exit=False
    )
    provider.add_span_processor(SimpleSpanProcessor(sent))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer(secret("scope name"), "1", secret("schema URL"), {"note": secret("scope attribute")})
    trace_id = int.from_bytes(os.urandom(16), "big")
    parent = SpanContext(trace_id, 9, True, TraceFlags(1), TraceState([("v", secret("trace state"))]))
    span = tracer.start_span(
        secret("span name"),
        context=set_span_in_context(NonRecordingSpan(parent)),
        links=[Link(SpanContext(7, 7, True), {"note": secret("link attribute")})],
        attributes={
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": secret("value of a listed key"),
            "gen_ai.usage.input_tokens": 17,
            "note": secret("attribute, benign key"),
            "password": secret("attribute, sensitive key"),
            "gen_ai.tool.call.arguments": json.dumps({"q": secret("tool arguments")}),
            "gen_ai.tool.call.result": json.dumps({"r": [secret("tool result")]}),
            "gen_ai.input.messages": json.dumps([{"role": "user", "content": secret("input messages")}]),
            "url.full": f"https://host.example/?key={secret('URL')}",
            "db.query.text": f"select '{secret('SQL')}'",
            "tags": ["first", secret("list item")],
            "raw": secret("bytes value").encode(),
            secret("attribute key"): 1,
            **attributes,
        },
    )
    span.add_event(
        "exception",
        {
            "exception.type": secret("exception type"),
            "exception.message": f"no row for {secret('exception message')}",
            "exception.stacktrace": f'File "a.py", line 1\n  f("{secret("stack trace")}")\n',
        },
    )
    span.add_event(secret("event name"), {"note": secret("event attribute")})
    span.set_status(Status(StatusCode.ERROR, f"failed with {secret('status description')}"))
    span.end()
    provider.shutdown()
    return sent.get_finished_spans()[0]


def over_http(collector: Running) -> OTLPSpanExporter:
    """Return an exporter that sends to the Collector."""
    return OTLPSpanExporter(endpoint=f"{collector.http}/v1/traces")


def trace_of(span: ReadableSpan) -> int:
    """Return the trace id of a finished span."""
    assert span.context is not None
    return span.context.trace_id


def plain(message: Any) -> Any:
    """Return a message as plain data in which the order of attributes does not matter."""

    def ordered(data: Any) -> Any:
        if isinstance(data, dict):
            return {
                k: sorted(map(ordered, v), key=lambda a: a["key"]) if k == "attributes" else ordered(v)
                for k, v in data.items()
            }
        return [ordered(item) for item in data] if isinstance(data, list) else data

    return ordered(MessageToDict(message))


def attributes_of(holder: Any) -> dict[str, AnyValue]:
    """Return the attributes of a message."""
    return {pair.key: pair.value for pair in holder.attributes}


@pytest.fixture(scope="module")
def stripped(collector: Running, sink: Sink) -> ResourceSpans:
    """Return what became of a span without a receipt."""
    return sink.of_trace(trace_of(emit(over_http(collector), canary)))[0]


@pytest.fixture(scope="module")
def masked(collector: Running, sink: Sink) -> ResourceSpans:
    """Return what became of a span that has a receipt and, for all that, credentials."""
    span = emit(over_http(collector), credential, **{"runbundle.redaction": RECEIPT})
    return sink.of_trace(trace_of(span))[0]


@pytest.mark.parametrize("channel", CHANNELS)
def test_span_without_receipt(stripped: ResourceSpans, channel: str) -> None:
    """Each channel of a span without a receipt is removed or kept, as the README says."""
    found = canary(channel).encode() in stripped.SerializeToString()
    assert found == {"removed": False, "kept": True}[TABLE[channel][0]]


@pytest.mark.parametrize("channel", CHANNELS)
def test_credential_in_span_with_receipt(masked: ResourceSpans, channel: str) -> None:
    """A credential's shape is masked in each channel of a span with a receipt, or missed, as the README says."""
    found = credential(channel).encode() in masked.SerializeToString()
    assert found == {"masked": False, "missed": True}[TABLE[channel][1]]


def test_stripped_span_is_still_a_span(stripped: ResourceSpans) -> None:
    """What is not content survives stripping, and what was taken is counted."""
    span = stripped.scope_spans[0].spans[0]
    assert span.name == "execute_tool"
    assert set(attributes_of(span)) == {"gen_ai.operation.name", "gen_ai.tool.name", "gen_ai.usage.input_tokens"}
    assert attributes_of(span)["gen_ai.usage.input_tokens"].int_value == 17
    assert span.dropped_attributes_count == 10
    assert (len(span.links), span.dropped_links_count) == (0, 1)
    assert [event.name for event in span.events] == ["exception", "event without receipt"]
    assert [event.dropped_attributes_count for event in span.events] == [2, 1]
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert span.end_time_unix_nano >= span.start_time_unix_nano > 0
    assert set(attributes_of(stripped.resource)) == {"service.name"}


def test_masking_leaves_the_rest_and_is_counted(masked: ResourceSpans) -> None:
    """Only the credential is cut out of a text, and the span says how many attributes were touched."""
    attributes = attributes_of(masked.scope_spans[0].spans[0])
    assert attributes["db.query.text"].string_value == "select '****'"
    assert attributes["url.full"].string_value == "https://host.example/?key=****"
    assert attributes["tags"].string_value == '["first","****"]'
    # Nine attributes of the span's own, and its name, status description and trace state.
    assert attributes["redaction.masked.count"].int_value == 12


def test_span_with_receipt_is_unchanged(collector: Running, sink: Sink) -> None:
    """A span with a receipt arrives as it was sent, markers under sensitive keys included."""
    span = emit(over_http(collector), canary, password=MARKER, **{"runbundle.redaction": RECEIPT})
    assert [plain(r) for r in sink.of_trace(trace_of(span))] == plain(encode_spans([span]))["resourceSpans"]


@pytest.mark.parametrize("value", ["plain", f"x{MARKER}", "[REDACTED:content:hunter2]", "[REDACTED:" + "q" * 99 + "]"])
def test_only_a_marker_may_stand_under_a_sensitive_key(collector: Running, sink: Sink, value: str) -> None:
    """Whatever is not exactly a marker is masked under a key that names a credential."""
    span = emit(over_http(collector), canary, password=value, **{"runbundle.redaction": RECEIPT})
    received = sink.of_trace(trace_of(span))[0].scope_spans[0].spans[0]
    assert attributes_of(received)["password"].string_value == "****"


def test_what_the_library_sends_is_unchanged(collector: Running, sink: Sink, tmp_path: Path) -> None:
    """A run recorded by the library passes the Collector without any change, whatever its code was handed."""
    sent = InMemorySpanExporter()
    with runbundle.configure(store=tmp_path / "store", key=b"a key for tests only") as handle:
        handle.tracer_provider.add_span_processor(SimpleSpanProcessor(sent))
        handle.tracer_provider.add_span_processor(SimpleSpanProcessor(over_http(collector)))
        with runbundle.start_run("probe"):
            emitting = handle.tracer_provider.get_tracer("third.party")
            with emitting.start_as_current_span(
                "execute_tool probe",
                attributes={
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": "probe",
                    "gen_ai.tool.call.arguments": json.dumps({"api_key": credential("tool arguments")}),
                    "gen_ai.input.messages": '[{"role": "user", "content": "Bearer abcdefghijklmnop"}]',
                    "password": "hunter2",
                },
            ) as span:
                span.record_exception(ValueError("postgres://user:pass@host/db"))
    spans = sent.get_finished_spans()
    assert len(spans) >= 2
    received = sink.of_trace(trace_of(spans[0]), len(spans))

    def by_id(held: list[ResourceSpans]) -> dict[bytes, Any]:
        return {
            span.span_id: (plain(r.resource), plain(group.scope), plain(span))
            for r in held
            for group in r.scope_spans
            for span in group.spans
        }

    assert by_id(received) == by_id(list(encode_spans(spans).resource_spans))


def test_resource_shared_with_a_span_without_receipt(collector: Running, sink: Sink) -> None:
    """A resource that any span without a receipt shares is stripped, and so is its scope; the other span is not."""
    trace_id = int.from_bytes(os.urandom(16), "big")
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.append(text("note", canary("resource attribute")))
    scope = group.scope_spans.add()
    scope.scope.attributes.append(text("note", canary("scope attribute")))
    for number, attribute in enumerate((text("runbundle.redaction", RECEIPT), text("note", "x")), 1):
        scope.spans.add(
            trace_id=trace_id.to_bytes(16, "big"), span_id=bytes([number] * 8), name="kept", attributes=[attribute]
        )
    post(f"{collector.http}/v1/traces", request.SerializeToString())
    (received,) = sink.of_trace(trace_id, 2)
    assert not received.resource.attributes
    assert not received.scope_spans[0].scope.attributes
    assert [span.name for span in received.scope_spans[0].spans] == ["kept", "span without receipt"]


def text(key: str, value: str) -> KeyValue:
    """Return a text attribute."""
    return KeyValue(key=key, value=AnyValue(string_value=value))


def post(url: str, body: bytes) -> None:
    """Send an OTLP request by hand."""
    request = urllib.request.Request(url, body, {"content-type": "application/x-protobuf"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def test_grpc_is_treated_alike(collector: Running, sink: Sink) -> None:
    """A span sent by gRPC is stripped as one sent by HTTP."""
    span = emit(GrpcSpanExporter(endpoint=collector.grpc, insecure=True), canary)
    received = sink.of_trace(trace_of(span))[0].SerializeToString()
    assert {c for c in CHANNELS if canary(c).encode() in received} == {c for c in CHANNELS if TABLE[c][0] == "kept"}


def test_logs(collector: Running, sink: Sink) -> None:
    """A log record without a receipt loses its text; one with a receipt only its credentials."""
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    token = credential("SQL")
    for extra in ([], [text("runbundle.redaction", RECEIPT)]):
        records.add(
            body=AnyValue(string_value=f"kanarie said {token}"),
            event_name="kanarie",
            severity_text="kanarie",
            attributes=[text("note", "kanarie"), text("error.type", "ValueError"), *extra],
        )
    post(f"{collector.http}/v1/logs", request.SerializeToString())
    with sink.arrived:
        assert sink.arrived.wait_for(lambda: sink.logs, timeout=30)
    raw, redacted = sink.logs[0].scope_logs[0].log_records
    assert b"kanarie" not in raw.SerializeToString()
    assert raw.body.string_value == "removed by the collector"
    assert set(attributes_of(raw)) == {"error.type"}
    assert (redacted.body.string_value, redacted.event_name) == ("kanarie said ****", "kanarie")
    assert set(attributes_of(redacted)) >= {"note", "error.type", "runbundle.redaction"}


def send_many(collector: Running, count: int) -> tuple[int, set[bytes]]:
    """Send spans with and without receipt in one trace; return its id and their span ids."""
    sent = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(sent))
    provider.add_span_processor(BatchSpanProcessor(over_http(collector), max_export_batch_size=50))
    trace_id = int.from_bytes(os.urandom(16), "big")
    parent = set_span_in_context(NonRecordingSpan(SpanContext(trace_id, 9, True, TraceFlags(1))))
    tracer = provider.get_tracer("many")
    for number in range(count):
        tracer.start_span("s", parent, attributes={"runbundle.redaction": RECEIPT} if number % 2 else {}).end()
    provider.shutdown()
    return trace_id, {span.context.span_id.to_bytes(8, "big") for span in sent.get_finished_spans() if span.context}


def span_ids(held: list[ResourceSpans]) -> list[bytes]:
    """Return the ids of all spans, in order of id."""
    return sorted(span.span_id for r in held for group in r.scope_spans for span in group.spans)


def test_no_span_is_lost_while_the_target_refuses(collector: Running, sink: Sink) -> None:
    """Every span arrives once although the target refuses two requests."""
    sink.refuse = 2
    trace_id, ids = send_many(collector, 600)
    assert span_ids(sink.of_trace(trace_id, 600)) == sorted(ids)
    assert sink.refuse == 0


def test_no_span_is_lost_at_shutdown(binary: Path, sink: Sink, tmp_path: Path) -> None:
    """A Collector that is told to stop forwards what it has accepted before it exits with 0."""
    with running(binary, sink, tmp_path / "log") as started:
        trace_id, ids = send_many(started, 200)
    assert started.process.returncode == 0
    assert span_ids(sink.of_trace(trace_id, 200)) == sorted(ids)


def test_the_collectors_own_log_names_no_secret(
    collector: Running, stripped: ResourceSpans, masked: ResourceSpans
) -> None:
    """The Collector's log has no word of what went through it, and no error."""
    log = collector.log.read_text()
    assert "Everything is ready" in log
    assert "kanarie" not in log
    assert "ghp_" not in log
    assert "\terror\t" not in log


def test_build_does_nothing_when_built(binary: Path, tmp_path: Path) -> None:
    """A second build leaves the binary alone, from any directory."""
    before = binary.stat().st_mtime_ns
    done = subprocess.run([COLLECTOR / "build.sh"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == binary
    assert binary.stat().st_mtime_ns == before


def without_go(tmp_path: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    """Run the build of another checkout, on a machine without Go."""
    shutil.copytree(COLLECTOR, tmp_path / "collector")
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "cat", "dirname", "ln", "mkdir", "sha256sum", "shasum", "uname"):
        if found := shutil.which(tool):
            (tools / tool).symlink_to(found)
    return subprocess.run(
        [tools / "bash", tmp_path / "collector" / "build.sh"],
        env={"PATH": str(tools), "XDG_CACHE_HOME": str(cache)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_build_without_go_says_so(tmp_path: Path) -> None:
    """Where Go is missing and nothing was built, the build says what to install and exits with 2."""
    done = without_go(tmp_path, tmp_path / "cache")
    assert done.returncode == 2
    assert "install Go" in done.stderr


def test_another_checkout_finds_what_was_built(binary: Path, tmp_path: Path) -> None:
    """The same manifest on the same machine is built once; nobody needs Go for it again."""
    done = without_go(tmp_path, binary.parents[1])
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == binary
    assert (tmp_path / ".cache" / "collector" / "otelcol-runbundle").resolve() == binary.resolve()
