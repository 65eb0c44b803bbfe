"""Looks at the processors of a provider that somebody else has built, by the SDK's private names.

There are no public names for them. Only diagnosis depends on this module: if the private names change, findings go
missing and nothing else does.
"""

from collections.abc import Iterator
from typing import Any, cast

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

from runbundle.otel.boundary.log_processor import BoundaryLogProcessor
from runbundle.otel.boundary.span_processor import BoundarySpanProcessor
from runbundle.otel.switch import GlobalTracerProvider

_WRAPPED = ("current", "provider", "_provider", "_tracer_provider", "_logger_provider")
REDACTS, WRITES_BUNDLES = "runbundle_redacts", "runbundle_writes_bundles"
"""Class attributes of our processors and exporters that say what they do with raw spans."""


def innermost(provider: Any) -> Any:
    """Return the SDK's provider behind a proxy such as Logfire's; the provider itself if it is no proxy."""
    for _ in range(4):
        names = (
            _WRAPPED if isinstance(provider, GlobalTracerProvider) or not isinstance(provider, TracerProvider) else ()
        )
        inner = next((p for p in (_peek(provider, n) for n in names) if hasattr(p, "get_tracer")), None)
        if inner is None:
            break
        provider = inner
    return provider


def _peek(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name, None)
    except Exception:  # noqa: BLE001 - somebody else's property
        return None


def value_limit_of(provider: Any) -> int | None:
    """Return the length to which a provider cuts the values of span attributes; None if it is not known."""
    limits: Any = getattr(innermost(provider), "_span_limits", None)
    limit: Any = getattr(limits, "max_span_attribute_length", None)
    return limit if isinstance(limit, int) else None


def processors_of(owner: Any) -> tuple[Any, ...]:
    """Return the processors of a provider or of a composite processor, one level down."""
    owner = innermost(owner)
    outer: Any = getattr(owner, "_active_span_processor", owner)
    if outer is not owner and isinstance(outer, BoundarySpanProcessor):
        return (outer,)
    return tuple(getattr(outer, "_span_processors", ()))


def log_exporters_of(provider: LoggerProvider) -> Iterator[Any]:
    """Yield the exporters of a logger provider: those beside our boundary and those behind it."""
    outer: Any = getattr(provider, "_multi_log_record_processor", None)
    for processor in getattr(outer, "_log_record_processors", ()):
        ours = isinstance(processor, BoundaryLogProcessor)
        behind: tuple[Any, ...] = getattr(processor, "_log_record_processors", ()) if ours else (processor,)
        yield from (exporter for exporter in map(exporter_of, behind) if exporter is not None)


def exporter_of(processor: Any) -> Any:
    """Return the exporter of a simple or batch processor; None if it has none."""
    for owner, name in (
        (processor, "exporter"),
        (processor, "span_exporter"),
        (getattr(processor, "_batch_processor", None), "_exporter"),
        (processor, "_exporter"),
    ):
        exporter = getattr(owner, name, None)
        if exporter is not None:
            return exporter
    return None


def is_safe(processor: Any) -> bool:
    """Tell whether everything behind a processor gets redacted spans only."""
    if isinstance(processor, BoundarySpanProcessor):
        return True
    return _says(processor, REDACTS) or _says(exporter_of(processor), REDACTS)


def writes_bundles(processor: Any) -> bool:
    """Tell whether a processor writes bundles from the spans it gets."""
    if isinstance(processor, BoundarySpanProcessor):
        return processor.recorder is not None
    return _says(exporter_of(processor), WRITES_BUNDLES)


def _says(one: Any, what: str) -> bool:
    # Of the class, since a proxy of somebody else's answers to any name; and of the class that a proxy says it has.
    kinds = (cast("Any", type(one)), _peek(one, "__class__"))
    return any(getattr(kind, what, False) is True for kind in kinds if isinstance(kind, type))


def raw_processors(provider: Any) -> list[str]:
    """Return a description of each processor of a provider that gets raw spans."""
    return [description_of(p) for p in processors_of(provider) if not is_safe(p)]


def exporters_of(provider: TracerProvider, boundary: BoundarySpanProcessor) -> Iterator[Any]:
    """Yield the exporters of a provider: those beside the boundary and those behind it."""
    for processor in (*processors_of(provider), *processors_of(boundary)):
        exporter = exporter_of(processor)
        if exporter is not None:
            yield exporter


def description_of(processor: Any) -> str:
    """Return the class of a processor, with that of its exporter if it has one."""
    exporter = exporter_of(processor)
    name = type(processor).__name__
    return f"{name} with {type(exporter).__name__}" if exporter is not None else name
