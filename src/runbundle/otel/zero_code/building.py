"""Two steps of the SDK's configuration, done by `configure()`: the providers of spans and of logs, behind the boundary.

They take what the SDK's steps take: the exporters, the sampler, the id generator and the resource that it has loaded.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Sampler

from runbundle.errors import RunbundleError
from runbundle.otel.composition import fallback_redactor
from runbundle.otel.configure import configure
from runbundle.otel.exporters import BundleLogExporter, BundleSpanExporter, RedactingSpanProcessor
from runbundle.otel.handle import Handle, running
from runbundle.otel.providers import RecordEverything
from runbundle.otel.zero_code.named import LOGS, TRACES, is_named

_log = logging.getLogger("runbundle")
_Arguments = Mapping[Any, Mapping[str, Any]] | None


def init_tracing(
    given: Callable[..., None],
    exporters: Mapping[str, Any],
    id_generator: IdGenerator | None = None,
    sampler: Sampler | None = None,
    resource: Resource | None = None,
    exporter_args_map: _Arguments = None,
    span_processors: Sequence[SpanProcessor] | None = None,
    export_span_processor: Callable[..., SpanProcessor] | None = None,
    tracer_configurator: Any = None,
    **more: Any,
) -> None:
    """Do as the SDK's `_init_tracing`, which is `given`, with a provider of `configure()`.

    Where `configure()` refuses, as for a contract that is wrong, the SDK's provider is built, nothing is recorded, and
    the other exporters get agent spans with all content withheld.
    """
    others = {name: kind for name, kind in exporters.items() if not _writes_bundles(kind)}
    batched: Callable[..., SpanProcessor] = export_span_processor or BatchSpanProcessor

    def withheld(exporter: SpanExporter) -> SpanProcessor:
        return RedactingSpanProcessor(batched(exporter), fallback_redactor())

    try:
        handle = configure_by_environment(resource)
    except Exception as error:  # noqa: BLE001 - the application runs without bundles rather than not at all
        say_not_recording(error)
        given(
            exporters=others, id_generator=id_generator, sampler=sampler, resource=resource,
            exporter_args_map=exporter_args_map, span_processors=span_processors,
            export_span_processor=withheld,
            tracer_configurator=tracer_configurator, **more,
        )  # fmt: skip
        return
    if handle.owns_provider:
        _use(handle, sampler, id_generator, tracer_configurator)
    for processor in span_processors or ():
        handle.boundary.add_span_processor(processor)
    for kind in others.values():
        handle.boundary.add_span_processor(batched(kind(**(exporter_args_map or {}).get(kind, {}))))


def init_logging(
    given: Callable[..., None],
    exporters: Mapping[str, Any],
    resource: Resource | None = None,
    setup_logging_handler: bool = True,
    exporter_args_map: _Arguments = None,
    log_record_processors: Sequence[LogRecordProcessor] | None = None,
    export_log_record_processor: Callable[..., LogRecordProcessor] | None = None,
    logger_configurator: Any = None,
    **more: Any,
) -> None:
    """Do as the SDK's `_init_logging`, which is `given`, with the logger provider of `configure()`.

    Where `configure()` has refused, the other exporters get nothing: log records of agents hold their content.
    """
    handle = running()
    if handle is None:
        given({}, resource, setup_logging_handler, logger_configurator=logger_configurator, **more)
        return
    provider: Any = handle.logger_provider
    if logger_configurator is not None and hasattr(provider, "_set_logger_configurator"):
        provider._set_logger_configurator(logger_configurator=logger_configurator)
    batched = export_log_record_processor or BatchLogRecordProcessor
    for processor in log_record_processors or ():
        handle.log_boundary.add_log_record_processor(processor)
    for kind in exporters.values():
        if not _writes_bundles(kind):
            exporter = kind(**(exporter_args_map or {}).get(kind, {}))
            handle.log_boundary.add_log_record_processor(batched(exporter))
    if setup_logging_handler:
        _record_standard_logging(provider)


def configure_by_environment(resource: Resource | None = None) -> Handle:
    """Call `configure()` for an application that does not; one that does later replaces what is made here."""
    handle = configure(resource=None if resource is None else dict(resource.attributes))  # pyright: ignore[reportArgumentType] - values of any type that a resource may have
    handle.by_environment = True
    handle.log_boundary.records = is_named(LOGS)
    return handle


def say_not_recording(error: Exception) -> None:
    """Log why nothing is recorded, in one line; the text of errors that are not ours may quote anything."""
    why = str(error) if isinstance(error, RunbundleError) else type(error).__name__
    _log.error("no bundle is written: %s; correct it, or take runbundle out of %s", why, TRACES)


def _use(handle: Handle, sampler: Sampler | None, ids: IdGenerator | None, configurator: Any) -> None:
    """Let a provider of ours go by what the environment names. The SDK's own ids may repeat themselves: ours stay."""
    for owner in (handle.tracer_provider, handle.tracer):
        made: Any = owner
        if sampler is not None:
            made.sampler = RecordEverything(sampler)
        if ids is not None and type(ids) is not RandomIdGenerator:
            made.id_generator = ids
    provider: Any = handle.tracer_provider
    if configurator is not None and hasattr(provider, "_set_tracer_configurator"):
        provider._set_tracer_configurator(tracer_configurator=configurator)


def _record_standard_logging(provider: Any) -> None:
    """Lead Python's own logging to the provider, as the SDK does where its variable says so."""
    sdk: Any = import_module("opentelemetry.sdk._configuration")
    handler: Any = sdk.LoggingHandler(level=logging.NOTSET, logger_provider=provider)
    logging.getLogger().addHandler(handler)
    if hasattr(sdk, "_overwrite_logging_config_fns"):
        sdk._overwrite_logging_config_fns(handler)


def _writes_bundles(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BundleSpanExporter | BundleLogExporter)
