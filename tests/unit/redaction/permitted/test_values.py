"""What may be kept of texts that have a form of their own."""

import pytest

from runbundle.redaction.permitted.values import kept_trace_state, schema_url

SCHEMAS = "https://opentelemetry.io/schemas/"


@pytest.mark.parametrize("version", ["1.37.0", "1.4", "1.40.0-dev", "1.40.0-rc.1", "gen-ai/1.41.0"])
def test_a_schema_of_opentelemetry_is_kept(version: str) -> None:
    """A released version, or one before its release."""
    assert schema_url(SCHEMAS + version) == SCHEMAS + version


@pytest.mark.parametrize(
    "tail", ["", "ada@example.com", "plumquartz-9917-velvetine", "1.37.0/ada", "1.37.0?u=ada", "1.37.0\n", "9917"]
)
def test_nothing_else_is_kept_behind_the_address_of_schemas(tail: str) -> None:
    """A scope's URL is a text that somebody wrote."""
    assert schema_url(SCHEMAS + tail) == ""


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("ot=th:8;rv:0123456789abcd", "ot=th:8;rv:0123456789abcd"),
        ("vendor=ada, ot=p:8;r:62", "ot=p:8;r:62"),
        ("ot=th:0;user:ada.lovelace;rv:1a", "ot=th:0;rv:1a"),
        ("ot=plumquartz9917velvetine", ""),
        ("ot=th:plumquartz9917", ""),
        ("ot=th:0123456789abcdef", ""),
        ("ot=", "ot="),
        ("vendor=ada", ""),
        ("", ""),
    ],
)
def test_of_a_trace_state_samplers_values_are_kept(given: str, kept: str) -> None:
    """What is kept of it is all that is kept of it again."""
    assert kept_trace_state(given) == kept == kept_trace_state(kept)
