"""Puts our boundary in front of the processors of global providers that another configurator has built."""

import contextlib
from typing import Any

from opentelemetry import _logs as otel_logs
from opentelemetry import trace
from opentelemetry.sdk._logs import SynchronousMultiLogRecordProcessor
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, SynchronousMultiSpanProcessor

from runbundle.otel import active
from runbundle.otel.boundary.neighbours import exporter_of, innermost, log_exporters_of, processors_of
from runbundle.otel.boundary.span_processor import BoundarySpanProcessor
from runbundle.otel.composition import fallback_redactor
from runbundle.otel.exporters import BundleLogExporter, BundleSpanExporter
from runbundle.otel.zero_code.building import configure_by_environment

_OURS = (BundleSpanExporter, BundleLogExporter)
# Private names of the SDK's. Where they are others, nothing is moved, and RB901 names who sees raw spans.
_SPANS = ("_active_span_processor", "_span_processors", (SynchronousMultiSpanProcessor, ConcurrentMultiSpanProcessor))
_LOGS = ("_multi_log_record_processor", "_log_record_processors", (SynchronousMultiLogRecordProcessor,))


def take_over() -> None:
    """Attach to the global providers, with every processor that is on them behind the boundary.

    Our exporters there record nothing any more: the boundary does, and it sees spans begin. Does nothing where the
    configurator was ours. Raises what `configure()` raises; then the processors get agent spans with all content
    withheld.
    """
    if active.get() is not None:
        return
    providers: tuple[Any, Any] = trace.get_tracer_provider(), otel_logs.get_logger_provider()
    spans, logs = _taken_out(providers[0], *_SPANS), _taken_out(providers[1], *_LOGS)
    try:
        handle = configure_by_environment()
    except Exception:
        boundary = BoundarySpanProcessor(fallback_redactor())
        providers[0].add_span_processor(boundary)
        _put_behind(boundary.add_span_processor, spans)
        raise
    for exporter in (*map(exporter_of, processors_of(providers[0])), *log_exporters_of(providers[1])):
        if isinstance(exporter, _OURS):  # it could not be moved
            exporter.shutdown()
    _put_behind(handle.boundary.add_span_processor, spans)
    _put_behind(handle.log_boundary.add_log_record_processor, logs)


def _taken_out(provider: Any, owner: str, name: str, kinds: tuple[type, ...]) -> tuple[Any, ...]:
    """Take all processors from a provider whose insides are as we know them; else none."""
    multi = getattr(innermost(provider), owner, None)
    if type(multi) not in kinds or not isinstance(getattr(multi, name, None), tuple):
        return ()
    with getattr(multi, "_lock", None) or contextlib.nullcontext():
        taken = getattr(multi, name)
        setattr(multi, name, ())
    return taken


def _put_behind(add: Any, processors: tuple[Any, ...]) -> None:
    for processor in processors:
        if isinstance(exporter_of(processor), _OURS):
            processor.shutdown()
        else:
            add(processor)
