"""Failures, cancellations and the ends that are neither."""

import asyncio

from opentelemetry.sdk.trace import TracerProvider

from runbundle.otel.agent.failures import is_cancellation, is_failure, record_failure


def test_only_work_that_went_wrong_has_failed() -> None:
    """A good exit and a dropped generator are ends like others."""
    ends = [None, GeneratorExit(), SystemExit(), SystemExit(0), SystemExit(False)]
    assert not any(is_failure(end) for end in ends)
    assert all(is_failure(e) for e in (ValueError(), SystemExit(1), SystemExit("no"), KeyboardInterrupt()))


def test_a_group_is_a_cancellation_if_all_its_members_are() -> None:
    """One error among them is an error."""
    cancelled = BaseExceptionGroup("", [asyncio.CancelledError(), BaseExceptionGroup("", [KeyboardInterrupt()])])
    assert is_cancellation(cancelled)
    assert not is_cancellation(BaseExceptionGroup("", [asyncio.CancelledError(), ValueError()]))


def test_an_exception_that_cannot_be_printed_is_recorded_by_its_type() -> None:
    """It does not hide itself, and raises nothing."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s")
    record_failure(span, Mute())
    span.end()
    assert span.attributes is not None  # type: ignore[attr-defined] - the SDK's span
    assert span.attributes["error.type"].endswith("Mute")  # type: ignore[attr-defined]
    assert [event.name for event in span.events] == ["exception"]  # type: ignore[attr-defined]
