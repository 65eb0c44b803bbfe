"""A built and started Collector, and the target it forwards to."""

import contextlib
import gzip
import http.server
import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

COLLECTOR = Path(__file__).parents[2] / "collector"


class Sink:
    """An OTLP/HTTP endpoint that keeps what it is sent, after answering `refuse` requests with 503."""

    def __init__(self) -> None:
        self.refuse = 0
        self.traces: list[ResourceSpans] = []
        self.logs: list[Any] = []
        self.arrived = threading.Condition()
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                self.send_response(sink.take(self.path, body))
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Keep quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def take(self, path: str, body: bytes) -> int:
        """Keep one request; return the HTTP status to answer with."""
        with self.arrived:
            if self.refuse:
                self.refuse -= 1
                return 503
            if path == "/v1/traces":
                self.traces += ExportTraceServiceRequest.FromString(body).resource_spans
            else:
                self.logs += ExportLogsServiceRequest.FromString(body).resource_logs
            self.arrived.notify_all()
            return 200

    def of_trace(self, trace_id: int, count: int = 1) -> list[ResourceSpans]:
        """Wait for `count` spans of one trace; return what holds them."""
        wanted = trace_id.to_bytes(16, "big")

        def found() -> list[ResourceSpans]:
            held = (r for r in self.traces if any(s.trace_id == wanted for g in r.scope_spans for s in g.spans))
            return list(held)

        with self.arrived:
            assert self.arrived.wait_for(lambda: sum(map(span_count, found())) >= count, timeout=30), found()
            return found()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Running(NamedTuple):
    """A started Collector."""

    http: str
    grpc: str
    log: Path
    process: subprocess.Popen[bytes]


def span_count(resource_spans: ResourceSpans) -> int:
    """Return how many spans a message holds."""
    return sum(len(group.spans) for group in resource_spans.scope_spans)


def free_ports(count: int) -> list[int]:
    """Return ports nothing listens on at the moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def running(binary: Path, sink: Sink, log: Path) -> Iterator[Running]:
    """Start the Collector on free ports, wait until it is ready, and end it whatever happens."""
    http_port, grpc_port, health_port, metrics_port = free_ports(4)
    environment = {
        "RUNBUNDLE_HTTP_ENDPOINT": f"127.0.0.1:{http_port}",
        "RUNBUNDLE_GRPC_ENDPOINT": f"127.0.0.1:{grpc_port}",
        "RUNBUNDLE_HEALTH_ENDPOINT": f"127.0.0.1:{health_port}",
        "RUNBUNDLE_METRICS_PORT": str(metrics_port),
        "RUNBUNDLE_FORWARD_ENDPOINT": sink.url,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary, "--config", COLLECTOR / "config.yaml"], env=environment, stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{health_port}/", timeout=2):
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield Running(f"http://127.0.0.1:{http_port}", f"http://127.0.0.1:{grpc_port}", log, process)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def binary() -> Path:
    """Find the Collector built, or build it in CI; elsewhere its tests are skipped until somebody has built it."""
    in_ci = bool(os.environ.get("CI"))
    done = subprocess.run(
        [COLLECTOR / "build.sh", *([] if in_ci else ["--if-built"])], capture_output=True, text=True, check=False
    )
    if done.returncode in (2, 3) and not in_ci:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr[-4000:]
    return Path(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    """Serve what the Collector forwards to."""
    server = Sink()
    yield server
    server.close()


@pytest.fixture(scope="module")
def collector(binary: Path, sink: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run one Collector for the module."""
    with running(binary, sink, tmp_path_factory.mktemp("collector") / "log") as started:
        yield started
