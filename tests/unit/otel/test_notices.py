"""Notices: what is logged where nothing, or not everything, is recorded; and the end of a process."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased

import runbundle
from runbundle.errors import ConfigError
from runbundle.otel import notices
from runbundle.otel.belonging.membership import Membership
from runbundle.otel.boundary.log_processor import BoundaryLogProcessor
from runbundle.otel.boundary.span_processor import BoundarySpanProcessor
from runbundle.otel.forwarding.destination import build
from runbundle.otel.forwarding.forwarder import Forwarder, ForwardingLogProcessor, ForwardingSpanProcessor, Pace
from runbundle.otel.handle import shut_down_at_exit
from runbundle.otel.ids import SystemIdGenerator
from runbundle.otel.providers import MAX_ATTRIBUTES, RecordEverything, build_logger_provider, build_tracer_provider
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor


def test_each_notice_says_what_is_missing(caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    """And names the finding that explains it, where there is one."""
    monkeypatch.setenv("RUNBUNDLE_STOER", "x")
    monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)
    some = TracerProvider(sampler=TraceIdRatioBased(0.5), shutdown_on_exit=False)
    notices.say_unknown_variables()
    notices.say_sampling(some)
    notices.say_unsampled(some)
    notices.say_unconfigured()
    notices.say_unjoined(object())
    said = [record.getMessage() for record in caplog.records]
    for message, part in zip(said, ("RB920", "RB903: the sampler", "RB903: a run", "", "is a object"), strict=True):
        assert part in message
    assert "RUNBUNDLE_STORE" in said[0]
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    notices.say_unsampled(some)
    assert "OTEL_SDK_DISABLED" in caplog.records[-1].getMessage()


@pytest.mark.parametrize(
    ("configured", "seen", "muted", "said"),
    [(True, False, False, True), (False, False, False, False), (True, True, False, False), (True, False, True, False)],
)
def test_the_end_is_spoken_of_only_if_nothing_was_seen(
    caplog: pytest.LogCaptureFixture, monkeypatch: Any, configured: bool, seen: bool, muted: bool, said: bool
) -> None:
    """In a process that was to record, and did not only look."""
    for name in ("_configured", "_seen", "_reached", "_forked", "_quiet"):
        monkeypatch.setattr(notices, name, False)
    monkeypatch.setattr(notices.atexit, "register", lambda _: None)
    monkeypatch.setattr(notices.os, "register_at_fork", lambda **_: None)
    if configured:
        notices.note_configured(lambda: None)
    notices.note_end(seen=seen, reached=True)
    if muted:
        notices.mute_end_notice()
    shut_down_at_exit()  # with nothing active it only speaks
    assert ("RB908" in caplog.text) is said
    caplog.clear()
    notices.say_nothing_seen()
    assert ("RB908" in caplog.text) is said


def test_a_run_that_a_sampler_left_out_is_counted_and_said_once(
    configured: Callable[..., runbundle.Handle], caplog: pytest.LogCaptureFixture
) -> None:
    """The handle knows its own arguments, and ends with the process what daemon threads still end."""
    handle = configured()
    handle.count_unsampled()
    handle.count_unsampled()
    assert sum("a run is not recorded" in record.getMessage() for record in caplog.records) == 1
    assert handle.flush().unsampled == 2
    assert not handle.has_arguments({})
    handle.end_with_process()
    assert (handle.boundary.is_exiting, handle.boundary.is_closed) == (True, True)


def test_a_provider_of_ours_records_whole_what_a_sampler_would_drop(monkeypatch: Any) -> None:
    """Its processors are behind the boundary, and its ids are random."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    boundary = BoundarySpanProcessor(Redactor(Policy()))
    provider = build_tracer_provider(boundary, {"service.name": "s"})
    span: Any = provider.get_tracer("t").start_span("s", attributes={f"k{n}": "x" * 5000 for n in range(200)})
    assert span.is_recording()
    assert not span.get_span_context().trace_flags.sampled
    assert (len(span.attributes), len(span.attributes["k0"])) == (200, 5000)
    assert MAX_ATTRIBUTES > 200
    assert ParentBased(ALWAYS_OFF).get_description() not in provider.sampler.get_description().split("{")[0]
    assert SystemIdGenerator().is_trace_id_random()
    logs = BoundaryLogProcessor(Redactor(Policy()), None, Membership())
    loggers = build_logger_provider(logs, Resource.get_empty())
    got: list[Any] = []

    class Keep(LogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            got.append(log_record)

        def shutdown(self) -> None: ...
        def force_flush(self, timeout_millis: int = 30000) -> bool:
            return True

    loggers.add_log_record_processor(Keep())
    loggers.get_logger("t").emit(body="a person's words", event_name="gen_ai.choice")
    assert "person" not in str(got[0].log_record.body)


def test_only_sampled_spans_are_forwarded_and_what_is_queued_is_sent() -> None:
    """A log record goes without its context, which is the application's."""
    sent: list[Any] = []
    forwarder = Forwarder("spans", lambda batch: sent.extend(batch) or {}, lambda: None, Pace(10, 5, 60.0))
    spans, logs = ForwardingSpanProcessor(forwarder, None), ForwardingLogProcessor(forwarder, None)
    for sampler in (None, RecordEverything(ALWAYS_OFF)):
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        span: Any = provider.get_tracer("t").start_span("s")
        span.end()
        spans.on_end(span)
    assert forwarder.unsent() == 1
    assert spans.force_flush(5000)
    assert len(sent) == 1
    assert logs.force_flush(5000)
    logs.shutdown()
    spans.on_end(sent[0])
    assert forwarder.refused() == {"closed": 1}
    assert not forwarder.unsent()
    forwarder.after_fork()
    assert forwarder.refused() == {}
    forwarder.close(time.monotonic())


def test_a_protocol_that_there_is_not_is_refused(monkeypatch: Any) -> None:
    """Before anything is sent."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier/pigeon")
    with pytest.raises(ConfigError):
        build(True)
