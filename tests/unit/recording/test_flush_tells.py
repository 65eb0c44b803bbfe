"""What `flush()` has to say is said once, and by nobody else."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import runbundle
from runbundle.core import native as core_module
from runbundle.errors import ConfigError
from runbundle.recording import publish as module


def test_force_flush_takes_no_failure_away_from_flush(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Force flush takes no failure away from flush."""
    handle = configured()

    def failing(*_: object, **__: object) -> None:
        raise ValueError

    monkeypatch.setattr("runbundle.recording.publish.publish", failing)
    with runbundle.start_run("r", run_id="lost"):
        pass
    assert not handle.tracer_provider.force_flush()
    assert "lost" in handle.flush().failed
    assert not handle.flush().failed


def test_a_run_that_is_being_sealed_when_time_is_up_is_pending(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither sealed nor failed; a flush that said nothing of it would say that all is well."""
    handle = configured()
    at_work, go_on = threading.Event(), threading.Event()
    publish = module.publish

    def slow(*given: Any, **options: Any) -> Any:
        at_work.set()
        go_on.wait(30)
        return publish(*given, **options)

    monkeypatch.setattr(module, "publish", slow)
    with runbundle.start_run("r", run_id="slow"):
        pass
    assert at_work.wait(30)
    result = handle.flush(0.01)
    go_on.set()
    assert (result.sealed, result.pending, bool(result)) == ([], 1, False)
    result = handle.flush(120)
    assert (result.sealed, result.pending, bool(result)) == (["slow"], 0, True)


def test_a_configuration_that_is_refused_leaves_the_provider_alone(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration that is refused leaves the provider alone."""
    provider = TracerProvider()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "bogus")
    before = len(provider._active_span_processor._span_processors)  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(ConfigError):
        configured(tracer_provider=provider, otlp=True)
    assert len(provider._active_span_processor._span_processors) == before  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("native", ["0", "1"])
def test_it_tells_which_core_has_redacted_and_who_has_sealed(
    native: str, configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all since the configuration; what was not at work is not named, and no bundle says it."""
    monkeypatch.setenv("RUNBUNDLE_NATIVE", native)
    core_module.module.cache_clear()
    try:
        core = "python" if core_module.module() is None else "native"
        handle = configured()
        for count in (1, 2):
            with runbundle.start_run("r", run_id=f"r{count}"), runbundle.start_step("s"):
                pass
            result = handle.flush()
            assert (result.redacted_by, result.sealed_by) == ({core: 2 * count}, {"thread": count})
    finally:
        core_module.module.cache_clear()
    for name in ("run.json", "events.jsonl"):
        assert b"native" not in handle.store.get(f"r1/{name}")
