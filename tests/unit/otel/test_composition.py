"""The redactor of every entrance, the keys beside it, and the configuration that is active."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import runbundle
from runbundle.errors import ConfigError
from runbundle.otel import active, switch
from runbundle.otel.bundle_sink import BundleSink, release_sink, shared_sink
from runbundle.otel.composition import (
    Composition,
    compose,
    fallback_redactor,
    open_store,
    redacts_all,
    set_fallback_redactor,
)
from runbundle.otel.digest_key import DigestKey, KeyDescription, carrier_keys, describe_key, digest_key
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor

KEY = b"a key of these tests"


def test_a_word_for_whose_telemetry_is_redacted_is_one_of_two() -> None:
    """Anything else is refused where it is given."""
    assert (redacts_all("all"), redacts_all("agents")) == (True, False)
    with pytest.raises(ConfigError):
        redacts_all("none")  # type: ignore[arg-type] - that is the point


def test_an_entrance_has_one_redactor_of_arguments_and_environment(tmp_path: Path, monkeypatch: Any) -> None:
    """An argument comes before a variable, and nothing is opened in the store."""
    monkeypatch.setenv("RUNBUNDLE_STORE", str(tmp_path / "by environment"))
    made = compose(key=KEY)
    assert isinstance(made, Composition)
    assert made.store_url == str(tmp_path / "by environment")
    assert not (tmp_path / "by environment").exists()
    assert compose(tmp_path / "s", key=KEY, user_id="drop").policy.user_id == "drop"
    assert open_store(tmp_path / "s").url.endswith("/s")


def test_without_a_configuration_a_redactor_keeps_nothing_rather_than_fail(monkeypatch: Any) -> None:
    """The environment's key is wrong; the agent does not hear of it."""
    set_fallback_redactor(None)
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", "short")
    assert not fallback_redactor().policy.contracts
    own = Redactor(Policy())
    set_fallback_redactor(own)
    assert fallback_redactor() is own
    assert active.redactor_at_source(active.get()) is own


def test_a_token_is_signed_by_the_given_key_and_by_the_users_own(tmp_path: Path) -> None:
    """So that a process of the same user is believed that was not given the key."""
    store = (tmp_path / "store").as_uri()
    given, kept = digest_key(store, KEY), digest_key(store)
    assert isinstance(given, DigestKey)
    assert (given.origin, kept.origin) == ("explicit", "keyring")
    both = carrier_keys(store, given.digester, given.origin)
    assert (len(both), both[1:]) == (2, carrier_keys(store, kept.digester, kept.origin))
    assert carrier_keys("memory://x", given.digester, given.origin) == both[:1]
    assert isinstance(describe_key(store), KeyDescription)
    assert not describe_key("memory://x").fault


def test_exporters_of_one_store_share_a_sink_until_the_last_lets_go(tmp_path: Path) -> None:
    """Then a new one is made; a forked child takes a new lock, and goes on."""
    shared = str(tmp_path / "shared")
    first, second = shared_sink(shared, None), shared_sink(shared, None)
    assert isinstance(first, BundleSink)
    assert first is second
    assert shared_sink(str(tmp_path / "other"), None) is not first
    release_sink(first)
    assert shared_sink(shared, None) is first
    release_sink(first)
    release_sink(first)
    assert shared_sink(shared, None) is not first
    first.reset()
    first.add_spans([])
    first.add_logs([])


def test_a_tracer_is_lent_within_a_block_alone(configured: Callable[..., runbundle.Handle]) -> None:
    """And only while nothing is configured."""
    own = TracerProvider(shutdown_on_exit=False).get_tracer("own")
    active.activate(None)
    with active.lend_tracer(own):
        assert active.tracer() is own
    assert active.tracer() is not own
    handle: active.ActiveConfiguration = configured()
    with active.lend_tracer(own):
        assert active.tracer() is handle.tracer
    assert active.get() is handle


def test_the_global_provider_leads_to_the_configuration_that_is_active(
    configured: Callable[..., runbundle.Handle], caplog: pytest.LogCaptureFixture
) -> None:
    """Before and after it records nothing, and keeps to what the SDK's class promises."""
    provider, loggers = switch.GlobalTracerProvider(), switch.GlobalLoggerProvider()
    tracer, logger = provider.get_tracer("t"), loggers.get_logger("t")
    assert isinstance(tracer, switch.SwitchedTracer)
    assert isinstance(logger, switch.SwitchedLogger)
    assert not tracer.start_span("s").is_recording()
    assert not logger.enabled()
    provider.add_span_processor(None)  # type: ignore[arg-type] - nobody looks at it
    assert "not configured" in caplog.text
    handle = configured(set_global=False)
    provider.current, loggers.current = handle.tracer_provider, handle.logger_provider
    assert tracer.start_span("s").is_recording()
    assert provider.resource is handle.tracer_provider.resource
    assert switch.is_unset_tracing(provider)
    assert switch.is_unset_logging(loggers)
    assert not switch.is_unset_tracing(handle.tracer_provider)
    assert not switch.is_unset_logging(handle.logger_provider)
    assert provider.force_flush()
    assert loggers.force_flush()


def test_a_configuration_takes_the_global_provider_over_and_lets_it_go(
    configured: Callable[..., runbundle.Handle], caplog: pytest.LogCaptureFixture
) -> None:
    """One that was set after it is explained."""
    handle = configured()
    switch.take_over_tracing(handle.tracer_provider)
    switch.take_over_logging(handle.logger_provider)
    assert switch.is_led_to(handle.tracer_provider) is not switch.was_replaced()
    switch.disconnect(handle.tracer_provider, handle.logger_provider)
    assert not switch.is_led_to(handle.tracer_provider)
    switch.log_refused_provider("TracerProvider")
    assert "another TracerProvider was set" in caplog.text
