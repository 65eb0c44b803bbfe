"""Plants canaries through every entrance except a provider of ours: joined providers, wrappers, the environment."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Generator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runbundle.otel import active
from runbundle.otel.composition import set_fallback_redactor
from runbundle.otel.configure import configure
from runbundle.otel.exporters import RedactingSpanExporter, RedactingSpanProcessor
from runbundle.otel.inspection.canaries import (
    CHANNELS,
    CONTRACT,
    GUEST_CHANNELS,
    OWN_CHANNELS,
    RESOURCE,
    SPAN_CHANNELS,
    plant_guests,
    plant_logs,
    plant_spans,
)
from runbundle.otel.inspection.planting import plant_own
from runbundle.otel.inspection.sinks import SinkOutput
from runbundle.signals import semconv

_KEY = "RUNBUNDLE_REDACTION_KEY"
_OF_SPANS = [*SPAN_CHANNELS, *OWN_CHANNELS, *(channel for channel in GUEST_CHANNELS if " log " not in channel)]


def check_entrances(captured: SinkOutput) -> None:
    """Plant canaries through each entrance, and collect in `captured` what comes out."""
    with _key_for_now():
        _joined(captured)
        _wrapped(captured)
        _by_environment(captured)
        _unconfigured(captured)


@contextlib.contextmanager
def _key_for_now() -> Generator[None]:
    """Let the environment give a key: else one would stay behind in the user's keyring."""
    before = os.environ.get(_KEY)
    os.environ[_KEY] = secrets.token_hex(32)
    set_fallback_redactor(None)
    try:
        yield
    finally:
        set_fallback_redactor(None)
        if before is None:
            del os.environ[_KEY]
        else:
            os.environ[_KEY] = before


def _provider() -> TracerProvider:
    return TracerProvider(resource=Resource.create(RESOURCE), shutdown_on_exit=False)


def _joined(captured: SinkOutput) -> None:
    """`configure()` on a provider that exists and exports: its exporter sees no content of ours."""
    theirs, behind, provider = InMemorySpanExporter(), InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(theirs))
    with tempfile.TemporaryDirectory() as folder:
        options: Any = {
            "key": secrets.token_bytes(32),
            "trust_baggage": "never",
            "contracts": [CONTRACT],
            "otlp": False,
        }
        with configure(store=folder, tracer_provider=provider, **options) as handle:
            plant_own()
            _expected(captured, "exporter on a provider that was joined", OWN_CHANNELS, theirs)
            handle.boundary.add_span_processor(SimpleSpanProcessor(behind))
            plant_own()
            plant_spans(provider)
            plant_guests(provider)
        _expected(captured, "processor behind the boundary there", _OF_SPANS, behind)
        captured.folder("bundle of a provider that was joined", _OF_SPANS, Path(folder))


def _wrapped(captured: SinkOutput) -> None:
    first, second, provider = InMemorySpanExporter(), InMemorySpanExporter(), _provider()
    provider.add_span_processor(SimpleSpanProcessor(RedactingSpanExporter(first)))
    provider.add_span_processor(RedactingSpanProcessor(SimpleSpanProcessor(second)))
    with active.lend_tracer(provider.get_tracer("runbundle")):
        plant_own()
    plant_spans(provider)
    plant_guests(provider)
    _expected(captured, "RedactingSpanExporter", _OF_SPANS, first)
    _expected(captured, "RedactingSpanProcessor", _OF_SPANS, second)


def _by_environment(captured: SinkOutput) -> None:
    """Check the exporters that `OTEL_TRACES_EXPORTER=runbundle` and `OTEL_LOGS_EXPORTER=runbundle` load."""
    made = [
        next(iter(entry_points(group=f"opentelemetry_{signal}_exporter", name="runbundle"))).load()
        for signal in ("traces", "logs")
    ]
    with tempfile.TemporaryDirectory() as folder:
        spans, logs = (exporter(store=folder) for exporter in made)
        provider, loggers = _provider(), LoggerProvider(shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(spans))
        loggers.add_log_record_processor(BatchLogRecordProcessor(logs))
        with active.lend_tracer(provider.get_tracer("runbundle")):
            plant_own()
        agent = {semconv.OPERATION: "invoke_agent"}
        with provider.get_tracer("framework").start_as_current_span("invoke_agent", attributes=agent):
            plant_spans(provider)
            plant_logs(loggers)
            plant_guests(provider, loggers)
        loggers.shutdown()
        provider.shutdown()
        captured.folder("bundles by the environment", CHANNELS, Path(folder))


def _unconfigured(captured: SinkOutput) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with active.lend_tracer(provider.get_tracer("runbundle")):
        plant_own()
    _expected(captured, "exporter of a program that did not configure", OWN_CHANNELS, exporter)


def _expected(captured: SinkOutput, sink: str, channels: Any, exporter: InMemorySpanExporter) -> None:
    captured.expect(sink, channels)
    captured.add(sink, encode_spans(exporter.get_finished_spans()).SerializeToString())
