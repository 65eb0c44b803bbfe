"""The processors of providers that somebody else has built."""

from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runbundle.otel.boundary.limits import (
    Limits,
    char_limit_of,
    log_limits_of_environment,
    state_cut_keys,
)
from runbundle.otel.boundary.neighbours import (
    description_of,
    exporter_of,
    exporters_of,
    is_safe,
    log_exporters_of,
    processors_of,
    raw_processors,
    writes_bundles,
)
from runbundle.otel.boundary.span_processor import BoundarySpanProcessor
from runbundle.otel.exporters import BundleSpanExporter, RedactingSpanExporter
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor
from runbundle.signals import own


def test_the_exporters_beside_and_behind_the_boundary_are_found() -> None:
    """In a simple and in a batch processor; those beside it see raw spans, and are named."""
    beside, behind = InMemorySpanExporter(), InMemorySpanExporter()
    provider, boundary = TracerProvider(shutdown_on_exit=False), BoundarySpanProcessor(Redactor(Policy()))
    batch = BatchSpanProcessor(beside)
    provider.add_span_processor(batch)
    provider.add_span_processor(boundary)
    boundary.add_span_processor(SimpleSpanProcessor(behind))
    try:
        assert processors_of(provider) == (batch, boundary)
        assert exporter_of(batch) is beside
        assert exporter_of(object()) is None
        assert list(exporters_of(provider, boundary)) == [beside, behind]
        assert raw_processors(provider) == ["BatchSpanProcessor with InMemorySpanExporter"]
        assert description_of(boundary) == "BoundarySpanProcessor"
    finally:
        provider.shutdown()


def test_a_processor_is_safe_if_all_behind_it_is_redacted() -> None:
    """A proxy that answers to any name is not."""

    class AnyName:
        def __getattr__(self, name: str) -> Any:
            return True

    inner, redactor = InMemorySpanExporter(), Redactor(Policy())
    assert is_safe(BoundarySpanProcessor(redactor))
    assert is_safe(SimpleSpanProcessor(RedactingSpanExporter(inner, redactor)))
    assert not is_safe(SimpleSpanProcessor(inner))
    assert not is_safe(AnyName())
    assert not writes_bundles(BoundarySpanProcessor(redactor))
    writer = BundleSpanExporter("memory://neighbours")
    assert writes_bundles(SimpleSpanProcessor(writer))
    writer.shutdown()


def test_exporters_of_logs_are_found() -> None:
    """Beside our boundary."""
    exporter, provider = InMemoryLogRecordExporter(), LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    assert list(log_exporters_of(provider)) == [exporter]


def test_limits_of_logs_are_those_that_the_environment_sets(monkeypatch: Any) -> None:
    """The particular variable comes before the general one; without any there are none."""
    for name in ("OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT"):
        monkeypatch.delenv(name, raising=False)
    assert log_limits_of_environment() is None
    monkeypatch.setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "9")
    assert log_limits_of_environment() == Limits(attributes=9)
    monkeypatch.setenv("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "3")
    assert log_limits_of_environment() == Limits(attributes=3)


def test_a_cut_is_stated_of_values_and_not_of_the_statement() -> None:
    """The limit itself is asked of the attributes."""
    attributes: dict[str, Any] = {}
    state_cut_keys(attributes, [own.CAPTURE])
    assert attributes == {}
    state_cut_keys(attributes, ["gen_ai.tool.name"])
    assert "gen_ai.tool.name" in attributes[own.CAPTURE]
    assert char_limit_of({}) is None
