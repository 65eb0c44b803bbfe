"""What `runbundle redact check` does: canaries through a real configuration, and a search of all that came out."""

import contextlib
import http.server
import io
import logging
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor, SpanExportResult

from runbundle import settings
from runbundle.otel import active
from runbundle.otel.canaries import (
    CHANNELS,
    CONTRACT,
    LOG_CHANNELS,
    RESOURCE,
    SPAN_CHANNELS,
    found_in,
    plant_logs,
    plant_spans,
)
from runbundle.otel.configure import Handle, configure
from runbundle.otel.processors import exporters_of, log_exporters_of
from runbundle.otel.scopes import start_run
from runbundle.store import LocalStore


class SinkReport(NamedTuple):
    """One place where telemetry comes out: what was searched for there, and what was found."""

    sink: str
    channels: int
    """How many canaries were planted that could have come out here."""
    leaked: tuple[str, ...]
    """The channels whose canary did."""
    reached: bool
    """Whether anything came out at all, of bundles a run.json; of a sink that nothing reached nothing was proved."""
    files: tuple[str, ...] = ()
    """Of a folder, the files that were searched."""


class Captured:
    """Bytes, by sink. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes: dict[str, bytearray] = {}
        self._channels: dict[str, Sequence[str]] = {}
        self._files: dict[str, tuple[str, ...]] = {}

    def folder(self, sink: str, channels: Sequence[str], folder: Path) -> None:
        """Keep what is in a folder in which a run must have been sealed."""
        self.expect(sink, channels)
        found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        self._files[sink] = tuple(path.relative_to(folder).as_posix() for path in found)
        for path in found:
            self.add(sink, path.name.encode() + b"\n" + path.read_bytes())

    def expect(self, sink: str, channels: Sequence[str]) -> None:
        """Name a sink before anything comes out of it."""
        self._channels[sink] = channels
        self._bytes.setdefault(sink, bytearray())

    def add(self, sink: str, data: bytes) -> None:
        """Keep what came out."""
        with self._lock:
            self._bytes.setdefault(sink, bytearray()).extend(data + b"\n")

    def reports(self) -> list[SinkReport]:
        """Search everything."""
        return [
            SinkReport(
                sink,
                len(self._channels[sink]),
                tuple(found_in(bytes(data), CHANNELS)),
                any(name.endswith("/run.json") for name in self._files[sink])
                if sink in self._files
                else bool(data) or sink == _OWN_LOGS,
                self._files.get(sink, ()),
            )
            for sink, data in self._bytes.items()
        ]


_OWN_LOGS = "log messages of this library"
_SUCCESS = {False: SpanExportResult.SUCCESS, True: LogRecordExportResult.SUCCESS}
_SPANS_ONLY = [c for c in SPAN_CHANNELS if c != "resource attribute"]


def check_defaults() -> list[SinkReport]:
    """Check this installation's own configuration: bundle, OTLP over HTTP and gRPC to real servers, console, logs.

    Contracts and other settings of the environment apply. Nothing leaves the machine and nothing is left behind.
    """
    captured = Captured()
    with _http_sink(captured) as address, _own_logs(captured):
        _check_one(captured, otlp=address, protocol="http/protobuf")
        with _grpc_sink(captured) as grpc_address:
            _check_one(captured, otlp=grpc_address, protocol="grpc")
    return captured.reports()


def check_application(handle: Handle) -> list[SinkReport]:
    """Check what an application has configured: its bundle, and each exporter of spans and of logs.

    For the time of the check its exporters are cut off, so that no canary is sent anywhere, and bundles go to a
    temporary folder. Exporters that were there before runbundle, and so see raw spans, are checked as the others are.
    """
    captured = Captured()
    handle.flush()  # what the application itself has recorded goes where it belongs
    spans = [(e, _SPANS_ONLY, encode_spans) for e in exporters_of(handle.tracer_provider, handle.boundary)]
    logs = [(e, LOG_CHANNELS, encode_logs) for e in log_exporters_of(handle.logger_provider)]
    restore: list[Callable[[], None]] = []
    for number, (exporter, channels, encode) in enumerate([*spans, *logs], 1):
        sink = f"exporter {number}: {type(exporter).__name__}"
        captured.expect(sink, channels)
        restore.append(_tap(exporter, lambda batch, s=sink, e=encode: captured.add(s, e(batch).SerializeToString())))
    recorder, boundary = handle.recorder, handle.boundary
    store, spool, debug = recorder.store, recorder.spool, boundary.debug
    with tempfile.TemporaryDirectory() as folder, _own_logs(captured):
        recorder.write_to(LocalStore(folder), Path(folder) / ".spool")
        boundary.debug = None
        try:
            _plant(handle)
            captured.folder("bundle and spool", [*_SPANS_ONLY, *LOG_CHANNELS], Path(folder))
        finally:
            recorder.write_to(store, spool)
            boundary.debug = debug
            for function in restore:
                function()
    return captured.reports()


def _check_one(captured: Captured, *, otlp: str, protocol: str) -> None:
    before = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] = protocol
    console = io.StringIO()
    try:
        with tempfile.TemporaryDirectory() as folder:
            key = secrets.token_bytes(32)  # or one for this folder would stay behind in the user's keyring
            with configure(store=folder, otlp=otlp, contracts=_contracts(), resource=RESOURCE, key=key,
                           trust_baggage="never") as handle:  # fmt: skip
                handle.tracer_provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=console)))
                _plant(handle)
            captured.folder("bundle and spool", CHANNELS, Path(folder))
            captured.expect("console exporter", SPAN_CHANNELS)
            captured.add("console exporter", console.getvalue().encode())
    finally:
        if before is None:
            del os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"]
        else:
            os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] = before


def _contracts() -> list[Any]:
    return [*settings.variables("RUNBUNDLE_CONTRACTS"), CONTRACT]


def _plant(handle: Handle) -> None:
    before = active.get()
    active.set_handle(handle)
    try:
        with start_run("leak-check"):
            plant_spans(handle.tracer_provider)
            plant_logs(handle.logger_provider)
    finally:
        active.set_handle(before)
    handle.flush()


def _tap(exporter: Any, keep: Callable[[Any], None]) -> Callable[[], None]:
    """Let an exporter hand its batches to `keep` and send nothing; return what undoes it."""

    def export(batch: Any, **_: Any) -> Any:
        keep(batch)
        return _SUCCESS[isinstance(exporter, LogRecordExporter)]

    exporter.export = export
    return lambda: exporter.__dict__.pop("export", None)


@contextlib.contextmanager
def _own_logs(captured: Captured) -> Generator[None]:
    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            captured.add(_OWN_LOGS, logging.Formatter().format(record).encode())

    captured.expect(_OWN_LOGS, CHANNELS)
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
def _http_sink(captured: Captured) -> Generator[str]:
    """Serve OTLP/HTTP on a free port of this machine."""

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
def _grpc_sink(captured: Captured) -> Generator[str]:
    """Serve OTLP/gRPC on a free port of this machine."""
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
