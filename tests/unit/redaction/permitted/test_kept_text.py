"""The last check of kept text, and the tests of names, ids and values of declared shape."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.markers import marker
from runbundle.redaction.permitted import safe_text
from runbundle.redaction.permitted.kept_text import (
    credential_in_key,
    is_known_number,
    look_together,
    redact_text,
    rule_matching_whole,
)
from runbundle.redaction.permitted.safe_text import has_credential, has_credential_format, safe_identifier, safe_name
from runbundle.redaction.permitted.values import (
    allowed,
    kept_trace_state,
    own_value,
    schema_url,
    standard_event,
)
from runbundle.redaction.receipt import Receipt
from runbundle.signals import own

TOKEN = "ghp_" + "a1B2" * 9


def test_a_credential_in_kept_text_is_masked_and_noted_by_rule() -> None:
    """The rest stays, and the second time nothing is left to do."""
    receipt = Receipt()
    shown = redact_text(f"use {TOKEN} now", receipt, "arguments/note")
    assert shown == f"use {marker('credential')} now"
    assert receipt.totals() == {("detector:github-token", "mask"): 1}
    again = Receipt()
    assert redact_text(shown, again, "p") == shown
    assert again.count() == 0


def test_text_is_what_utf_8_can_hold() -> None:
    """A lone surrogate would stop the journal."""
    assert redact_text("a\ud800b", Receipt(), "p") == "a?b"


def test_what_was_looked_at_together_is_looked_at_again_when_a_secret_is_learned() -> None:
    """Also if it is learned while they are looked at; texts beside a credential are judged one by one."""
    assert redact_text("order 4711 oslo", Receipt(), "p") == "order 4711 oslo"
    look_together(["order 4711 oslo", "order 4712 bergen"])
    KNOWN.register("order 4711 oslo")
    assert redact_text("order 4711 oslo", Receipt(), "p") == marker("credential")
    assert redact_text("order 4712 bergen", Receipt(), "p") == "order 4712 bergen"

    def learning() -> Iterator[str]:
        yield "order 4712 bergen"
        KNOWN.register("order 4712 bergen")
        yield "order 4713 moss"

    look_together(learning())
    assert redact_text("order 4712 bergen", Receipt(), "p") == marker("credential")
    look_together(["order 4714 alta", TOKEN])
    assert redact_text(TOKEN, Receipt(), "p") == marker("credential")


@pytest.mark.parametrize("judge", [lambda text: redact_text(text, Receipt(), "p") == text, safe_name, safe_identifier])
def test_a_judgement_that_a_secret_has_overtaken_is_not_remembered(
    judge: Callable[[str], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread learns the text after it was looked at, and before the judgement is put away."""
    text, searched = "kristiansund-77", safe_text._searched  # pyright: ignore[reportPrivateUsage]

    def overtaken(given: str) -> bool:
        found = searched(given)
        KNOWN.register(text)
        return found

    monkeypatch.setattr(safe_text, "_searched", overtaken)
    judge(text)
    monkeypatch.undo()
    assert not judge(text)


def test_a_rule_is_named_only_for_a_text_that_it_matches_whole() -> None:
    """A text with a credential in it is not itself one."""
    assert rule_matching_whole(TOKEN) == "github-token"
    assert rule_matching_whole(f"use {TOKEN}") == rule_matching_whole("plain") == ""


def test_a_key_may_be_the_credential() -> None:
    """By format or as a known secret, from the moment that it is known."""
    assert credential_in_key(TOKEN)
    assert not credential_in_key("order-4711-oslo")
    KNOWN.register("order-4711-oslo")
    assert credential_in_key("order-4711-oslo")


def test_a_number_is_known_by_its_digits() -> None:
    """From eight digits on, which is what may be registered."""
    KNOWN.register(1234567891)
    assert is_known_number(1234567891)
    assert not is_known_number(1234567892)
    assert not is_known_number(12)


def test_formats_are_known_whatever_this_process_knows() -> None:
    """A bundle of somebody else's is judged by formats alone; our own markers are no credentials."""
    KNOWN.register("kL9-quite-a-hidden-text")
    assert has_credential("kL9-quite-a-hidden-text")
    assert not has_credential_format("kL9-quite-a-hidden-text")
    assert has_credential_format(TOKEN)
    assert not has_credential_format(f"secret: {marker('credential')}")


def test_an_id_may_be_random_and_a_name_may_not() -> None:
    """Neither may be a credential, nor have blanks of a sentence's kind."""
    drawn = "a8Bx93kQ01zPq7Lm"
    assert safe_identifier(drawn)
    assert not safe_name(drawn)
    assert safe_name("gpt-4o mini")
    assert not safe_identifier("gpt-4o mini")
    assert not safe_identifier(TOKEN)


@pytest.mark.parametrize(
    ("kind", "key", "value", "kept"),
    [
        ("name", "gen_ai.request.model", "gpt-4o", True),
        ("name", "gen_ai.request.model", "a b c d e", False),
        ("name", "gen_ai.request.model", ["gpt-4o", ["nested"]], False),
        ("number", "gen_ai.usage.input_tokens", 12, True),
        ("number", "gen_ai.usage.input_tokens", "12", False),
        ("id", "gen_ai.response.id", "chatcmpl-1", True),
        ("id", "gen_ai.response.id", "x" * 257, False),
        ("own", "runbundle.tool.arguments.digest", "SECRETWORD", False),
        ("own", "runbundle.tool.arguments.bytes", 70, True),
        ("content", "gen_ai.input.messages", "hello", False),
    ],
)
def test_a_value_is_kept_if_it_has_the_shape_of_its_key(kind: Any, key: str, value: Any, kept: bool) -> None:
    """By the kind of the key, not by what is likely."""
    assert allowed(kind, key, value) is kept


def test_a_value_of_ours_is_known_by_its_exact_form() -> None:
    """An effect is a lane and a number; a receipt is one that can be read; an unknown key has no form."""
    assert own_value("runbundle.effect", "main:1")
    assert own_value(own.RECEIPT, Receipt().to_text())
    assert not own_value("runbundle.effect", "SECRET WORD:1")
    assert not own_value(own.RECEIPT, "SECRETWORD")
    assert not own_value("runbundle.other", "main:1")


def test_events_urls_and_trace_states_are_kept_in_the_standard_form_only() -> None:
    """Anything else could be free text."""
    assert standard_event("gen_ai.user.message")
    assert not standard_event("gen_ai.user 4711")
    assert schema_url("https://opentelemetry.io/schemas/1.30.0")
    assert schema_url("https://example.org/schemas/1.30.0") == ""
    assert kept_trace_state("vendor=SECRETWORD, ot=th:8;rv:1a") == "ot=th:8;rv:1a"
    assert kept_trace_state("ot=SECRET WORD") == kept_trace_state("") == ""
