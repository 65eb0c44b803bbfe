"""The check of `runbundle redact check`: canaries through a real configuration, and a search of all that comes out."""

import io
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor, SpanExportResult

from runbundle import settings
from runbundle.otel import active
from runbundle.otel.agent.starts import start_run
from runbundle.otel.boundary.neighbours import exporters_of, log_exporters_of
from runbundle.otel.configure import configure
from runbundle.otel.handle import Handle
from runbundle.otel.inspection.canaries import (
    CHANNELS,
    CONTRACT,
    GUEST_CHANNELS,
    LOG_CHANNELS,
    RESOURCE,
    known_secrets,
    plant_guests,
    plant_logs,
    plant_spans,
)
from runbundle.otel.inspection.entrances import check_entrances
from runbundle.otel.inspection.planting import plant_own
from runbundle.otel.inspection.sinks import SinkOutput, SinkReport, grpc_sink, http_sink, own_logs
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.store import LocalStore

_SUCCESS = {False: SpanExportResult.SUCCESS, True: LogRecordExportResult.SUCCESS}
_OF_LOGS = [*LOG_CHANNELS, *(c for c in GUEST_CHANNELS if " log " in c)]
_OF_SPANS = [c for c in CHANNELS if c not in _OF_LOGS]


def check_defaults() -> list[SinkReport]:
    """Check this installation: bundle, OTLP over HTTP and gRPC to real servers, console, logs, every other entrance.

    Contracts and other settings of the environment apply. Nothing leaves the machine, and no file is left behind.
    """
    captured = SinkOutput()
    KNOWN.register(*known_secrets())
    with http_sink(captured) as address, own_logs(captured):
        _check_one(captured, otlp=address, protocol="http/protobuf")
        with grpc_sink(captured) as grpc_address:
            _check_one(captured, otlp=grpc_address, protocol="grpc")
        check_entrances(captured)
    return captured.reports()


def check_application(handle: Handle) -> list[SinkReport]:
    """Check what an application has configured: its bundle, and each exporter of spans and of logs.

    During the check its exporters send nothing, so that no canary leaves, and bundles go to a temporary folder.
    Exporters that stood there before runbundle, and so see raw spans, are checked too.
    """
    captured = SinkOutput()
    KNOWN.register(*known_secrets())
    handle.flush()  # what the application itself has recorded goes where it belongs
    spans = [
        (e, [c for c in _OF_SPANS if c != "resource attribute"], encode_spans)
        for e in exporters_of(handle.tracer_provider, handle.boundary)
    ]
    logs = [(e, _OF_LOGS, encode_logs) for e in log_exporters_of(handle.logger_provider)]
    restore: list[Callable[[], None]] = []
    for number, (exporter, channels, encode) in enumerate([*spans, *logs], 1):
        sink = f"exporter {number}: {type(exporter).__name__}"
        captured.expect(sink, channels)
        restore.append(_tap(exporter, lambda batch, s=sink, e=encode: captured.add(s, e(batch).SerializeToString())))
    restore += [destination.without_queue() for destination in handle.destinations]
    recorder, boundary = handle.recorder, handle.boundary
    store, spool, debug = recorder.store, recorder.spool, boundary.debug
    with tempfile.TemporaryDirectory() as folder, own_logs(captured):
        recorder.write_to(LocalStore(folder), Path(folder) / ".spool")
        boundary.debug = None
        try:
            _plant(handle)
            captured.folder("bundle and spool", [c for c in CHANNELS if c != "resource attribute"], Path(folder))
        finally:
            recorder.write_to(store, spool)
            boundary.debug = debug
            for function in restore:
                function()
    return captured.reports()


def _check_one(captured: SinkOutput, *, otlp: str, protocol: str) -> None:
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
            captured.expect("console exporter", _OF_SPANS)
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
    active.activate(handle)
    try:
        with start_run("leak-check"):
            plant_spans(handle.tracer_provider)
            plant_logs(handle.logger_provider)
            plant_guests(handle.tracer_provider, handle.logger_provider)
        plant_own()
    finally:
        active.activate(before)
    handle.flush()


def _tap(exporter: Any, keep: Callable[[Any], None]) -> Callable[[], None]:
    """Let an exporter hand its batches to `keep` and send nothing; return what undoes it."""

    def export(batch: Any, **_: Any) -> Any:
        keep(batch)
        return _SUCCESS[isinstance(exporter, LogRecordExporter)]

    exporter.export = export
    return lambda: exporter.__dict__.pop("export", None)
