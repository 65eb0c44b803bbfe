"""What may be kept of texts that have a form of their own."""

import pytest

from runbundle.redaction.permitted.values import kept_trace_state, opaque, schema_url

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


@pytest.mark.parametrize(
    "number",
    [
        "+49-171-1234567", "tel:+49.171.1234567", "4111-1111-1111-1111", "user/078-05-1120", "DE89370400440532013000",
        "555-867-5309", "01711234567",
    ],
)  # fmt: skip
def test_an_id_that_is_a_persons_number_is_not_opaque(number: str) -> None:
    """However its digits are divided: channels make session ids of telephone numbers."""
    assert not opaque("session.id", number)


@pytest.mark.parametrize(
    "made",
    [
        "123e4567-e89b-12d3-a456-426614174000", "sess-7", "req_2026-11-28T10:00:00", "thread-0042", "conv/12/3",
        "4bf92f3577b34da6a3ce929d0e0e4736", "case-2026-11-28-01",
    ],
)  # fmt: skip
def test_an_id_that_a_program_made_is_opaque(made: str) -> None:
    """Counts, dates, and what was drawn at random."""
    assert opaque("session.id", made)
