"""Builds the providers of `configure()`: they record every span whole, under ids of the operating system."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, LogRecordLimits
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from runbundle.otel.boundary.log_processor import BoundaryLogProcessor
from runbundle.otel.boundary.span_processor import BoundarySpanProcessor
from runbundle.otel.ids import SystemIdGenerator

MAX_ATTRIBUTES = 4096
"""Maximum attributes of a span, an event, a link or a log record, and maximum links of a span."""
MAX_EVENTS = 16_384


class RecordEverything(Sampler):
    """Records every span, and lets another sampler decide only the flag `sampled`.

    Exporters and other processes go by that flag, our recorder does not: a caller's `traceparent` must not be able to
    switch recording off. The SDK's own AlwaysRecordSampler does not serve: it records no attributes of a span that its
    inner sampler drops.
    """

    def __init__(self, inner: Sampler) -> None:
        self._inner = inner

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return the inner sampler's result, with `DROP` turned into `RECORD_ONLY`."""
        result = self._inner.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if result.decision is not Decision.DROP:
            return result
        added = cast("Attributes", result.attributes)  # pyright: ignore[reportUnknownMemberType] - the SDK's gap
        return SamplingResult(Decision.RECORD_ONLY, {**(attributes or {}), **(added or {})}, result.trace_state)

    def get_description(self) -> str:
        """Return the name of this sampler and of the inner one."""
        return f"RecordEverything{{{self._inner.get_description()}}}"


def build_tracer_provider(boundary: BoundarySpanProcessor, resource: Mapping[str, str]) -> TracerProvider:
    """Return a provider whose processors, also those added later, are all behind the boundary.

    Limits of the environment cut what is forwarded, not what is recorded: the provider has limits of its own.
    """
    unlimited = SpanLimits.UNSET
    provider = TracerProvider(
        resource=Resource.create(dict(resource)),
        shutdown_on_exit=False,  # configure() sees to it, in the right order
        active_span_processor=boundary,
        id_generator=SystemIdGenerator(),
        span_limits=SpanLimits(
            max_attributes=MAX_ATTRIBUTES,
            max_events=MAX_EVENTS,
            max_links=MAX_ATTRIBUTES,
            max_span_attributes=MAX_ATTRIBUTES,
            max_event_attributes=MAX_ATTRIBUTES,
            max_link_attributes=MAX_ATTRIBUTES,
            max_attribute_length=unlimited,
            max_span_attribute_length=unlimited,
        ),
    )
    # What the SDK has made of OTEL_TRACES_SAMPLER is the provider's public attribute, and read for each new tracer.
    provider.sampler = RecordEverything(provider.sampler)
    return provider


def build_logger_provider(boundary: BoundaryLogProcessor, resource: Resource) -> LoggerProvider:
    """Return a logger provider whose processors, also those added later, are all behind the boundary.

    SDK 1.44 gives no provider limits of its own: there those of the environment cut what is recorded, and it is said.
    """
    limits: dict[str, Any] = {}
    if hasattr(LogRecordLimits, "UNSET"):
        limits["log_record_limits"] = LogRecordLimits(
            max_attributes=MAX_ATTRIBUTES,
            max_attribute_length=LogRecordLimits.UNSET,
            max_log_record_attributes=MAX_ATTRIBUTES,
            max_log_record_attribute_length=LogRecordLimits.UNSET,
        )
    return LoggerProvider(resource=resource, shutdown_on_exit=False, multi_log_record_processor=boundary, **limits)
