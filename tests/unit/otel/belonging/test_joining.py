"""Tokens: what one process tells another of whose run it works for."""

import base64
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.otel.belonging.joining import LIMIT, Sender, claimed_run, sender_of, token_of
from runbundle.redaction.markers import Digester

KEY = Digester(b"k" * 32).subkey("carrier")
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,60}", fullmatch=True).filter(
    lambda i: i[0] not in "_-" and i not in ("parts", "eval")
)
LANES = st.sampled_from(["", "run:a/agent:b#0/remote#3", "main/remote#0", "x" * 200])


def forged(body: Any, key: bytes = KEY, version: str = "v1") -> str:
    """Return a token whose body is not one of ours."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"{version}.{base64.urlsafe_b64encode(data).decode().rstrip('=')}"
    return f"{head}.{hmac.digest(key, head.encode(), 'sha256').hex()}"


@given(IDS, IDS, LANES, LANES)
def test_what_was_signed_is_read_by_who_has_the_key_and_by_nobody_else(t: str, r: str, lane: str, control: str) -> None:
    """The sender comes back whole; with another key, or one character changed, nobody does."""
    sender = Sender(t, r, lane, control)
    token = token_of((KEY,), sender)
    assert sender_of((KEY,), token) == sender
    assert sender_of((Digester(b"l" * 32).subkey("carrier"),), token) is None
    for place in (0, 4, len(token) // 2, len(token) - 1):
        assert sender_of((KEY,), token[:place] + ("0" if token[place] != "0" else "1") + token[place + 1 :]) is None
    assert len(token) <= LIMIT
    assert claimed_run(token) == r


@given(st.text() | st.from_regex(r"v1\.[A-Za-z0-9_-]*\.[0-9a-f]*", fullmatch=True))
def test_text_of_any_kind_is_no_token(text: str) -> None:
    """Nothing raises, and nobody is believed."""
    assert sender_of((KEY,), text) is None
    assert claimed_run(text) == text


@pytest.mark.parametrize(
    "body",
    [
        {"t": "", "r": "../../etc"}, {"t": "a/b", "r": "r"}, {"t": "", "r": "r", "l": "a" * 201}, {"t": "", "r": 5},
        {"t": "", "r": "r", "l": "a\nb"}, {"t": "", "r": "con"}, {"r": "r", "e": ["x"]}, [], b"no json", "text", {},
    ],
)  # fmt: skip
def test_even_a_signed_token_says_only_what_it_may(body: Any) -> None:
    """Ids and lanes keep their grammar, whoever has the key."""
    assert sender_of((KEY,), forged(body)) is None


def test_a_token_of_another_version_or_size_is_not_read() -> None:
    """What will come later is not guessed at."""
    assert sender_of((KEY,), forged({"t": "", "r": "r"}, version="v2")) is None
    assert sender_of((KEY,), forged({"t": "", "r": "r", "more": "x" * LIMIT})) is None
    assert sender_of((KEY,), forged({"t": "", "r": "r", "more": "x"})) == Sender("", "r")


def test_the_key_of_tokens_is_not_the_key_of_digests() -> None:
    """One is derived from the other, and does not lead back."""
    assert Digester(b"k" * 32).subkey("carrier") not in (b"k" * 32, Digester(b"l" * 32).subkey("carrier"))
