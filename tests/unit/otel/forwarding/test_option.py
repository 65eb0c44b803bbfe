"""A destination says what it is without its secrets, and what cannot be one is refused with what can."""

import re
from typing import Any

import pytest

from runbundle.errors import ConfigError
from runbundle.otel.forwarding.option import Otlp, destinations_of, place_of, protocol_of, url_of, without_secrets

SECRET = "s3cr3t-canary-0a9b"
FULL = f"https://ada:{SECRET}@otlp.example.com:4318/team?token={SECRET}2"


def test_a_repr_shows_no_secret() -> None:
    """Neither those of the URL nor the headers."""
    said = repr(Otlp(FULL, headers={"x-api-key": SECRET}, timeout_s=2, queue="q"))
    assert said == "Otlp('https://otlp.example.com:4318', headers=…, timeout_s=2, queue='q')"
    assert SECRET not in str({"otlp": [Otlp(FULL)]})


def test_its_secrets_are_the_values_of_headers_and_what_is_secret_in_its_url() -> None:
    """Of `Bearer x` also x; a password as it is meant, not as it is written."""
    found = Otlp("http://u:p%40ss@h:1?token=abc", headers={"Authorization": f"Bearer {SECRET}"}).secrets
    assert {f"Bearer {SECRET}", SECRET, "p@ss", "abc"} <= set(found)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"endpoint": "localhost:4318"}, "did you mean 'http://localhost:4318'"), ({"endpoint": "http://[x"}, "as in"),
        ({"endpoint": "http://h:99999"}, "as in"), ({"endpoint": None}, "as in"), ({"endpoint": "http://a b"}, "as in"),
        ({"timeout_s": 0}, "above 0"), ({"timeout_s": float("nan")}, "above 0"), ({"timeout_s": "5"}, "above 0"),
        ({"timeout_s": True}, "above 0"), ({"protocol": "http/json"}, "http/protobuf or grpc"),
        ({"queue": 5}, "a folder"), ({"queue": ""}, "a folder"), ({"queue_limit_bytes": 1.5}, "whole number"),
        ({"headers": [("a", "b")]}, "headers={"), ({"headers": {"a b": SECRET}}, "letters"),
        ({"headers": {"a": f"{SECRET}\nb: c"}}, "one line"), ({"headers": {"a": 5}}, "one line"),
    ],
)  # fmt: skip
def test_what_cannot_be_one_is_refused_with_what_can(arguments: dict[str, Any], said: str) -> None:
    """And its values are not repeated."""
    with pytest.raises(ConfigError, match=re.escape(said)) as raised:
        Otlp(**{"endpoint": "http://h", **arguments})
    assert SECRET not in str(raised.value)


def test_an_option_names_destinations(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the environment, one URL, a record, or several; none by default."""
    record = Otlp("http://b")
    assert destinations_of(None) == destinations_of(False) == destinations_of(()) == []
    assert destinations_of(True) == [None]
    assert destinations_of("http://a") == ["http://a"]
    assert destinations_of(record) == [record]
    assert destinations_of(("http://a", record)) == [Otlp("http://a"), record]
    tenants = [Otlp("http://a", headers={"tenant": name}) for name in "xy"]
    assert destinations_of(tenants) == tenants
    with pytest.raises(ConfigError, match="names a twice"):
        destinations_of(["http://a", "http://a/v1/traces"])
    for text, meant in (("0", []), ("YES", [None]), ("http://a", ["http://a"]),
                        (" http://a  http://c ", [Otlp("http://a"), Otlp("http://c")])):  # fmt: skip
        monkeypatch.setenv("RUNBUNDLE_OTLP", text)
        assert destinations_of(None) == meant
    assert destinations_of(False) == []


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://h", "http://h/v1/logs"), ("http://h:4318/", "http://h:4318/v1/logs"),
        ("http://h/v1/traces", "http://h/v1/logs"), ("http://h/base/v1/logs/", "http://h/base/v1/logs"),
        ("https://u:p@h/base?token=x", "https://u:p@h/base/v1/logs?token=x"), ("http://h/#x", "http://h/v1/logs"),
    ],
)  # fmt: skip
def test_the_path_of_a_signal_is_added_before_a_query(endpoint: str, url: str) -> None:
    """And once."""
    assert url_of(endpoint, "logs") == url


def test_a_destination_is_called_by_host_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the environment too."""
    assert place_of(FULL) == "otlp.example.com:4318"
    assert place_of("http://[::1]:4318/x") == "[::1]:4318"
    assert without_secrets(FULL) == "https://otlp.example.com:4318/team"
    assert (place_of(None), place_of(None, grpc=True)) == ("localhost:4318", "localhost:4317")
    for text, name in (("h:4317", "h:4317"), ("https://h/x", "h"), ("http://h:x", "environment")):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", text)
        assert place_of(None) == name


def test_a_protocol_is_the_one_given_then_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then HTTP."""
    assert protocol_of(None) == "http/protobuf"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC")
    assert (protocol_of(None), protocol_of("http/protobuf")) == ("grpc", "http/protobuf")
