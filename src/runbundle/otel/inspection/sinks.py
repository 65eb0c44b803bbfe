"""Collects the output of each place where canaries may come out; has servers that take OTLP for that purpose."""

import contextlib
import http.server
import logging
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from runbundle.otel.inspection.canaries import CHANNELS, found_in


class SinkReport(NamedTuple):
    """The result for one place where telemetry comes out."""

    sink: str
    channels: int
    """Number of planted canaries that could have come out here."""
    leaked: tuple[str, ...]
    """Channels whose canary came out."""
    reached: bool
    """Whether anything came out, for bundles a run.json. Where nothing did, nothing is proved."""
    files: tuple[str, ...] = ()
    """Files that were searched, if the place is a folder."""


class SinkOutput:
    """The bytes that came out, by sink. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes: dict[str, bytearray] = {}
        self._channels: dict[str, Sequence[str]] = {}
        self._files: dict[str, tuple[str, ...]] = {}

    def folder(self, sink: str, channels: Sequence[str], folder: Path) -> None:
        """Collect the files of a folder in which a run must have been sealed."""
        self.expect(sink, channels)
        found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        self._files[sink] = tuple(path.relative_to(folder).as_posix() for path in found)
        for path in found:
            self.add(sink, path.name.encode() + b"\n" + path.read_bytes())

    def expect(self, sink: str, channels: Sequence[str]) -> None:
        """Name a sink before anything comes out of it, so that silence is reported too."""
        self._channels[sink] = channels
        self._bytes.setdefault(sink, bytearray())

    def add(self, sink: str, data: bytes) -> None:
        """Collect bytes that came out of a sink."""
        with self._lock:
            self._bytes.setdefault(sink, bytearray()).extend(data + b"\n")

    def reports(self) -> list[SinkReport]:
        """Search all bytes for canaries; return one report for each sink."""
        return [
            SinkReport(
                sink,
                len(self._channels[sink]),
                tuple(found_in(bytes(data), CHANNELS)),
                self._reached(sink, data),
                self._files.get(sink, ()),
            )
            for sink, data in self._bytes.items()
        ]

    def _reached(self, sink: str, data: bytearray) -> bool:
        if sink in self._files:
            return any(name.endswith("/run.json") for name in self._files[sink])
        return bool(data) or sink == OWN_LOGS


OWN_LOGS = "log messages of this library"


@contextlib.contextmanager
def own_logs(captured: SinkOutput) -> Generator[None]:
    """Collect the log messages of this library within the block."""

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            captured.add(OWN_LOGS, logging.Formatter().format(record).encode())

    captured.expect(OWN_LOGS, CHANNELS)
    logger, handler = logging.getLogger("runbundle"), Keep(logging.DEBUG)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextlib.contextmanager
def http_sink(captured: SinkOutput) -> Generator[str]:
    """Serve OTLP/HTTP on a free port of this machine within the block; yields its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            captured.add("OTLP/HTTP", body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Keep quiet."""

    captured.expect("OTLP/HTTP", CHANNELS)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def grpc_sink(captured: SinkOutput) -> Generator[str]:
    """Serve OTLP/gRPC on a free port of this machine within the block; yields its URL."""
    import grpc
    from opentelemetry.proto.collector.logs.v1 import (  # pyright: ignore[reportMissingTypeStubs]
        logs_service_pb2,
        logs_service_pb2_grpc,
    )
    from opentelemetry.proto.collector.trace.v1 import (  # pyright: ignore[reportMissingTypeStubs]
        trace_service_pb2,
        trace_service_pb2_grpc,
    )

    class Traces(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - the protocol's name and arguments
            captured.add("OTLP/gRPC", request.SerializeToString())
            return trace_service_pb2.ExportTraceServiceResponse()

    class Logs(logs_service_pb2_grpc.LogsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - the protocol's name and arguments
            captured.add("OTLP/gRPC", request.SerializeToString())
            return logs_service_pb2.ExportLogsServiceResponse()

    captured.expect("OTLP/gRPC", CHANNELS)
    server: Any = grpc.server(ThreadPoolExecutor(2))
    services: Any = trace_service_pb2_grpc
    services.add_TraceServiceServicer_to_server(Traces(), server)
    services = logs_service_pb2_grpc
    services.add_LogsServiceServicer_to_server(Logs(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(0).wait()
