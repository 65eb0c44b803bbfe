"""What becomes of spans and logs that are forwarded, and what the agent pays when nobody takes them."""

import http.server
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # pyright: ignore[reportMissingTypeStubs]
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.otel.forwarding.answers import failure_reason
from runbundle.otel.forwarding.forwarder import Forwarder, Pace
from runbundle.signals.own import CAPTURE
from tests.conftest import Sink

Configured = Callable[..., runbundle.Handle]

QUOTED = "ada@example.org"
PARTIAL = ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(rejected_spans=1, error_message=QUOTED))


class Backend:
    """An OTLP/HTTP receiver that answers as it is told, quoting what it was sent in reason and body."""

    def __init__(self) -> None:
        self.code, self.body = 200, b""
        backend = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(backend.code, f"no {QUOTED}" if backend.code >= 300 else None)
                self.send_header("content-length", str(len(backend.body)))
                self.end_headers()
                self.wfile.write(backend.body)

            def log_message(self, *args: Any) -> None:
                """Keep quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def backend() -> Iterator[Backend]:
    """Serve for one test."""
    served = Backend()
    yield served
    served.close()


@pytest.fixture
def hanging() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def free_address() -> str:
    """Return an address at which nobody is."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def one_run() -> None:
    """Record a run of two spans and a log record."""
    with runbundle.start_run("r"), runbundle.start_tool("f", {"to": QUOTED}):
        pass


@pytest.mark.parametrize(
    ("code", "body", "refused"),
    [
        (413, QUOTED.encode(), {"http_413": 2}),
        (400, QUOTED.encode(), {"http_400": 2}),
        (302, b"", {"http_302": 2}),
        (200, PARTIAL.SerializeToString(), {"rejected": 1}),
        (200, b"not the protocol's", {}),
        (202, b"", {}),
    ],
)
def test_what_a_backend_does_not_take_is_counted_by_reason(
    code: int, body: bytes, refused: dict[str, int], configured: Configured, backend: Backend, caplog: Any
) -> None:
    """The bundle is whole, flush() is not true, and nothing that the backend said is in a log."""
    backend.code, backend.body = code, body
    with caplog.at_level(logging.DEBUG):
        handle = configured(otlp=backend.url)
        one_run()
        result = handle.flush()
        handle.shutdown()
    assert (result.refused, bool(result), len(result.sealed)) == (refused, not refused, 1)
    assert QUOTED not in caplog.text
    said = [r.message for r in caplog.records if "were not delivered" in r.message]
    assert len(said) == bool(refused)


def test_logs_that_are_refused_are_counted_too(configured: Configured, backend: Backend) -> None:
    """Together with the spans."""
    backend.code = 403
    handle = configured(otlp=backend.url)
    one_run()
    handle.logger_provider.get_logger("t").emit(body="x")
    assert handle.flush().refused == {"http_403": 3}


@pytest.mark.alone
@pytest.mark.parametrize("away", [True, False])
def test_the_end_of_an_agent_does_not_wait_for_a_backend(
    away: bool, configured: Configured, hanging: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Runs are sealed first; then it takes what exporters are given, and says how much was left."""
    monkeypatch.setattr("runbundle.otel.handle.EXPORTERS_S", 0.5)
    handle = configured(otlp=free_address() if away else hanging)
    one_run()
    began = time.monotonic()
    handle.shutdown()
    assert time.monotonic() - began < 5
    assert len(list(Path(str(handle.store.url).removeprefix("file://")).glob("*/run.json"))) == 1
    assert [r.message for r in caplog.records] == [
        "OTLP: spans were not delivered (2 shutdown); they are in their bundles"
    ]
    began = time.monotonic()
    handle.shutdown()
    assert time.monotonic() - began < 2


@pytest.mark.alone
def test_a_flush_has_one_deadline(configured: Configured, hanging: str) -> None:
    """For seals and exporters, those too that an application has added and that know of none."""

    class Slow(SpanProcessor):
        def force_flush(self, timeout_millis: int = 30000) -> bool:
            time.sleep(timeout_millis / 1000 + 5)
            return True

    handle = configured(otlp=hanging)
    handle.tracer_provider.add_span_processor(Slow())
    one_run()
    began = time.monotonic()
    result = handle.flush(1.0)
    assert time.monotonic() - began < 3
    assert (result.refused, len(result.sealed), bool(result)) == ({"unsent": 2}, 1, False)
    handle.shutdown(0.2)
    assert time.monotonic() - began < 6


def test_a_process_that_just_ends_seals_and_delivers(sink: Sink, tmp_path: Path) -> None:
    """Nobody calls flush() or shutdown()."""
    code = f"import runbundle\nrunbundle.configure(store='s', otlp={sink.url!r})\nwith runbundle.start_run('r'): pass\n"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=60)
    assert len(list(tmp_path.glob("s/*/run.json"))) == 1
    assert [path for path, _ in sink.bodies] == ["/v1/traces"]


def test_a_refusal_over_grpc_is_counted(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a reason: the exporter keeps it to itself, and its log is not ours to show."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    handle = configured(otlp=free_address())
    one_run()
    assert handle.flush().refused == {"grpc": 2}
    assert {r.name for r in caplog.records} == {"runbundle"}


def test_the_applications_own_exporter_goes_on_logging(
    configured: Configured, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """What is hushed is what ours says, on its own thread."""
    backend.code = 400
    configured(otlp=backend.url)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=backend.url)))
    provider.get_tracer("t").start_span("theirs").end()
    assert [r.name for r in caplog.records] == ["opentelemetry.exporter.otlp.proto.http.trace_exporter"]


def test_reasons_are_words_of_ours() -> None:
    """Whatever the text of an error; a refused connection is told from others, however deep it lies."""
    refused = requests.exceptions.ConnectionError(OSError("x"))
    refused.__cause__ = ConnectionRefusedError(QUOTED)
    errors = {
        "timeout": requests.exceptions.ConnectTimeout(QUOTED),
        "tls": requests.exceptions.SSLError(QUOTED),
        "proxy": requests.exceptions.ProxyError(QUOTED),
        "connection": requests.exceptions.ConnectionError(QUOTED),
        "connection_refused": refused,
        "request": requests.exceptions.InvalidHeader(QUOTED),
    }
    assert {word: failure_reason(error) for word, error in errors.items()} == {word: word for word in errors}


def test_limits_of_the_environment_cut_what_is_forwarded(
    configured: Configured, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And only that: the bundle has all of it."""
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "25")
    monkeypatch.setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", "3")
    rules = [{"selector": "", "action": "keep"}]
    handle = configured(otlp=sink.url, contracts=[{"name": "t", "data": {"rules": rules}}])
    with runbundle.start_run("r") as run:
        for number in range(9):
            run.score("s", number)
        with runbundle.start_tool("t", {"note": "y" * 100}):
            pass
    handle.logger_provider.get_logger("t").emit(body="x", attributes={"k": "v"})
    result = handle.flush()
    assert result
    bundle = Bundle.open(handle.store, result.sealed[0])
    assert bundle.tool_calls().calls[0].arguments.view == {"note": "y" * 100}
    assert bundle.index.counts.events == 15  # with the starts and ends of spans and run
    request: Any = ExportTraceServiceRequest.FromString(dict(sink.bodies)["/v1/traces"])
    spans = [span for group in request.resource_spans for scope in group.scope_spans for span in scope.spans]
    sent = {span.name: {a.key: a.value.string_value for a in span.attributes} for span in spans}
    tool = sent["execute_tool t"]
    assert tool["gen_ai.tool.call.arguments"] == '{"note":"' + "y" * 16
    assert "gen_ai.tool.call.arguments" in json.loads(tool[CAPTURE])
    assert json.loads(tool["runbundle.redaction"])
    assert [(len(span.events), span.dropped_events_count) for span in spans if span.name == "run r"] == [(3, 6)]


# -- the queue --------------------------------------------------------------------------------------------------------


def forwarder(send: Callable[[Sequence[Any]], dict[str, int]], *, queue: int = 10, batch: int = 4) -> Forwarder:
    """Return a forwarder that looks at its queue once in a long while by itself."""
    return Forwarder("spans", send, lambda: None, Pace(queue, batch, 60.0))


def test_a_full_queue_drops_the_oldest_and_counts_them() -> None:
    """Every item was delivered, or is counted, or waits."""
    go, delivered = threading.Event(), list[int]()

    def send(batch: Sequence[Any]) -> dict[str, int]:
        go.wait(30)
        delivered.extend(batch)
        return {}

    queue = forwarder(send)
    for number in range(100):
        queue.put(number)
    assert queue.unsent() + queue.refused()["queue_full"] == 100
    go.set()
    assert queue.flush(time.monotonic() + 30)
    assert len(delivered) + queue.refused()["queue_full"] == 100
    assert delivered[-10:] == list(range(90, 100))
    assert queue.unsent() == 0


def test_items_of_many_threads_are_delivered_once() -> None:
    """With flushes in between, and what comes after the end is counted."""
    delivered: list[int] = []
    queue = forwarder(lambda batch: (delivered.extend(batch), {})[1], queue=100_000, batch=7)

    def put(first: int) -> None:
        for number in range(first, first + 500):
            queue.put(number)
        assert queue.flush(time.monotonic() + 30)

    threads = [threading.Thread(target=put, args=(500 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(delivered) == list(range(4000))
    queue.close(time.monotonic() + 5)
    queue.put(1)
    assert queue.refused() == {"closed": 1}


def test_a_batch_under_way_at_the_end_is_counted_once() -> None:
    """Whatever comes of it later."""
    go, began = threading.Event(), threading.Event()

    def send(batch: Sequence[Any]) -> dict[str, int]:
        began.set()
        go.wait(30)
        return {"late": len(batch)}

    queue = forwarder(send)
    for number in range(6):
        queue.put(number)
    began.wait(30)
    queue.close(time.monotonic() + 0.1)
    assert queue.refused() == {"shutdown": 6}
    go.set()
    time.sleep(0.1)
    queue.close(time.monotonic() + 5)
    assert queue.refused() == {"shutdown": 6}


def test_a_forked_child_sends_its_own_only() -> None:
    """What its parent has queued, the parent sends."""
    delivered: list[int] = []
    queue = forwarder(lambda batch: (delivered.extend(batch), {})[1])
    queue.put(1)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        queue.put(2)
        done = queue.flush(time.monotonic() + 10) and delivered == [2]
        os._exit(0 if done else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert queue.flush(time.monotonic() + 10)
    assert delivered == [1]


def test_the_pace_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the variables that the SDK's processors read; nonsense is the default."""
    assert Pace.of_environment("spans") == Pace(2048, 512, 5.0)
    monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "100")
    monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "soon")
    assert Pace.of_environment("logs") == Pace(100, 100, 1.0)


def test_unsampled_spans_are_not_forwarded(configured: Configured, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are in the bundle."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    handle = configured(otlp=sink.url)
    one_run()
    result = handle.flush()
    assert (len(result.sealed), bool(result), sink.bodies) == (1, True, [])
    assert isinstance(handle.tracer.start_span("s"), ReadableSpan)
