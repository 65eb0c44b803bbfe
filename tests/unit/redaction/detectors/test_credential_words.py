"""The words that call a value a credential, for keys and for variables of the environment."""

from typing import Any

import pytest

from runbundle.redaction.detectors.credential_words import (
    credential_key,
    holds_below,
    is_credential,
    looks_drawn,
    names_another,
)
from runbundle.redaction.detectors.environment import (
    is_environment_secret,
    register_environment,
    secrets_of_environment,
)
from runbundle.redaction.detectors.known_secrets import KNOWN, KnownSecrets


@pytest.mark.parametrize("key", ["idempotency-key", "max_tokens", "primaryKey", "next_page_token"])
def test_a_key_of_another_kind_is_no_credential(key: str) -> None:
    """Nor is its value, whatever it looks like."""
    assert names_another(key)
    assert credential_key(key) == ""
    assert not is_credential(key, "k3Jq9ZxP2wB7")


@pytest.mark.parametrize(
    ("key", "value", "credential"),
    [
        ("password", "word", True),
        ("password", "", False),
        ("password", None, False),
        ("password_set", True, False),
        ("password", 7, True),
        ("token", 7, False),
        ("token", 12345, True),
        ("auth", "basic", False),
        ("pwd", "/home/ada", False),
        ("session", "open", False),
        ("session", "k3Jq9ZxP2wB7", True),
        ("city", "k3Jq9ZxP2wB7", False),
    ],
)
def test_a_value_under_a_key_is_a_credential_or_not(key: str, value: Any, credential: bool) -> None:
    """A strong key asks nothing of a text; a weak one asks that it look drawn at random."""
    assert is_credential(key, value) is credential


def test_all_below_a_strong_key_is_withheld_but_in_a_form() -> None:
    """`auth` has fields of its own, of which some are no secret."""
    assert holds_below("credentials")
    assert not holds_below("auth")
    assert not holds_below("session")


def test_a_text_looks_drawn_if_it_is_nothing_else() -> None:
    """No word, number, date, id, path or sentence."""
    assert looks_drawn("k3Jq9ZxP2wB7")
    for text in (
        "session-open-12",
        "2026-11-27 04:00",
        "/var/lib/x9Y8",
        "a b c d e f g1H",
        "short1A",
        "$" + "{TOKEN_9aB}",
    ):
        assert not looks_drawn(text), text


def test_secrets_of_an_environment_are_known_once_it_is_registered() -> None:
    """By the names of variables; the working folder has a name like a password's and is none."""
    environment = {"SHOP_API_KEY": "k3Jq9ZxP2wB7", "PWD": "/home/ada/k3Jq9ZxP2", "CITY": "Oslo-and-around"}
    assert is_environment_secret("SHOP_API_KEY", environment["SHOP_API_KEY"])
    assert not is_environment_secret("PWD", environment["PWD"])
    assert set(secrets_of_environment(environment)) - {""} == {"k3Jq9ZxP2wB7"}
    register_environment(environment)
    assert KNOWN.find("x k3Jq9ZxP2wB7 y") == [(2, 14)]
    assert KNOWN.find(environment["PWD"]) == []


def test_whoever_remembers_judgements_hears_of_new_secrets() -> None:
    """Of each change once, also when all are forgotten; not where nothing was new."""
    known, heard = KnownSecrets(), list[int]()
    known.on_change(lambda: heard.append(len(known)))
    known.register("k3Jq9ZxP2wB7")
    known.register("k3Jq9ZxP2wB7")
    known.clear()
    assert heard == [1, 0]
