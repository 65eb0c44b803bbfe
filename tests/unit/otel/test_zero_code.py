"""The parts of zero code that need no program of their own."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import runbundle
from runbundle.errors import ConfigError
from runbundle.otel import active
from runbundle.otel.exporters import BundleSpanExporter, RedactingLogExporter
from runbundle.otel.handle import running
from runbundle.otel.zero_code import by_name, configurator, hook
from runbundle.otel.zero_code.takeover import take_over

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a", "gen_ai.input.messages": "raw-4711"}


class Foreign(trace.TracerProvider):
    """A provider whose processors nobody can take out."""

    def __init__(self) -> None:
        self._hidden = TracerProvider(shutdown_on_exit=False)
        self._span_processors: tuple[Any, ...] = ()

    def get_tracer(self, *names: Any, **more: Any) -> Any:
        return self._hidden.get_tracer(*names, **more)

    def add_span_processor(self, processor: Any) -> None:
        self._span_processors += (processor,)
        self._hidden.add_span_processor(processor)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._hidden.force_flush(timeout_millis)


@pytest.mark.parametrize("kind", [lambda: TracerProvider(shutdown_on_exit=False), Foreign])
def test_a_provider_is_taken_over_and_each_span_is_recorded_once(
    kind: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is on it stands behind the boundary; where that cannot be done, it is named, and our exporter is silent."""
    provider, memory = kind(), InMemorySpanExporter()
    kept = provider.get_tracer("before")
    provider.add_span_processor(SimpleSpanProcessor(BundleSpanExporter()))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    take_over()
    for tracer in (kept, provider.get_tracer("after")):
        with tracer.start_as_current_span("invoke_agent a", attributes=AGENT):
            pass
    handle = running()
    assert handle is not None
    result = handle.flush()
    assert (len(result.sealed), result.written, bool(result)) == (2, 2, True)
    raw = "raw-4711" in str([dict(span.attributes or {}) for span in memory.get_finished_spans()])
    named = any("RB901: handed raw spans: SimpleSpanProcessor" in record.message for record in caplog.records)
    assert (raw, named) == ((True, True) if kind is Foreign else (False, False))
    take_over()  # once is enough
    assert running() is handle


def test_the_hook_breaks_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a provider does; and the text of an error that is not ours is not repeated."""

    def broken() -> None:
        raise RuntimeError("raw-4711")

    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "runbundle")
    monkeypatch.setattr("runbundle.otel.zero_code.takeover.take_over", broken)
    hook.attach()
    (record,) = caplog.records
    assert record.message.startswith("no bundle is written: RuntimeError; correct it, or take runbundle out of")
    assert active.get() is None


def test_alone_and_unasked_our_configurator_configures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As nothing would have been configured without it; chosen by name, it is that of the SDK."""
    called: list[dict[str, Any]] = []

    class Sdk:
        class _OTelSDKConfigurator:
            def configure(self, **options: Any) -> None:
                called.append(options)

    monkeypatch.setattr(configurator, "configurators", list)
    monkeypatch.setattr(configurator, "_sdk", lambda: Sdk)
    monkeypatch.delenv("OTEL_TRACES_EXPORTER", raising=False)
    configurator.Configurator().configure(auto_instrumentation_version="1")
    assert called == []
    monkeypatch.setenv("OTEL_PYTHON_CONFIGURATOR", "runbundle")
    configurator.Configurator().configure(auto_instrumentation_version="1")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "runbundle")  # an SDK without the two steps is left as it is
    configurator.Configurator().configure(auto_instrumentation_version="2")
    assert called == [{"auto_instrumentation_version": "1"}, {"auto_instrumentation_version": "2"}]


def test_log_records_of_agents_are_redacted_in_front_of_an_exporter() -> None:
    """Others pass as they are but for secrets; the record that others share is not changed."""
    runbundle.register_secret("plum-walrus-kettle-41")
    inner = InMemoryLogRecordExporter()
    raw, loggers = InMemoryLogRecordExporter(), LoggerProvider(shutdown_on_exit=False)
    for exporter in (RedactingLogExporter(inner), raw):
        loggers.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = loggers.get_logger("x")
    logger.emit(event_name="gen_ai.choice", body="raw-4711", attributes={"gen_ai.input.messages": "raw-4711"})
    logger.emit(body="a guest with plum-walrus-kettle-41", severity_number=SeverityNumber.INFO)
    loggers.force_flush()
    agents, guests = (one.log_record for one in inner.get_finished_logs())
    assert "raw-4711" not in str((agents.body, dict(agents.attributes or {})))
    assert guests.body == "a guest with [REDACTED:credential]"
    assert dict(raw.get_finished_logs()[0].log_record.attributes or {}) == {"gen_ai.input.messages": "raw-4711"}
    loggers.shutdown()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"endpiont": "http://x"}, "did you mean endpoint"), ({"timeout": "3"}, "in milliseconds"),
        ({"timeout": -1}, "in milliseconds"), ({"headers": [1]}, "name"), ({"compression": "zip"}, "gzip"),
    ],
)  # fmt: skip
def test_options_of_a_file_that_are_not_valid_are_refused(options: dict[str, Any], said: str) -> None:
    """With what is."""
    with pytest.raises(ConfigError, match=said):
        by_name.OtlpSpanExporter(**options)


def test_a_bundle_exporter_with_a_wrong_option_says_so_and_takes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The SDK would go without all telemetry for one that raises."""
    with caplog.at_level(logging.ERROR, "runbundle"):
        exporter = by_name.NamedLogExporter(stroe="x")
    assert "there is no option 'stroe' (did you mean store?)" in caplog.records[0].message
    assert exporter.force_flush()
    exporter.shutdown()
