"""Judgements of the rules by context, and the ends of values that such rules begin."""

import pytest

from runbundle.redaction.detectors.context_rules import GENERIC_RULES, entropy, is_dense, is_drawn, is_token_like
from runbundle.redaction.detectors.matcher import Match, Matcher
from runbundle.redaction.detectors.prefilter import KeywordFilter, Prefilter
from runbundle.redaction.detectors.rewritten_text import RewrittenText
from runbundle.redaction.detectors.rule import Rule
from runbundle.redaction.detectors.value_ends import header_end, is_closed, query_end, userinfo_end, value_end


def test_entropy_is_in_bits_a_character() -> None:
    """Zero for one character, the logarithm of their number for characters that are equally frequent."""
    assert entropy(b"aaaa") == 0
    assert entropy(b"abcd" * 5) == 2


def test_a_token_is_told_from_a_picture_by_how_few_characters_repeat() -> None:
    """Both are base64."""
    dense, picture = b"EAAq8ZkX3vN0bT7yHc2LmRw9PfUe5GdJoSi1", b"AAAAAAAAAAAAAAAAAAAABBBBBBBBBBBBAAAA"
    assert is_dense(dense, 0, len(dense))
    assert not is_dense(picture, 0, len(picture))


def test_a_token_that_was_cut_short_is_told_from_a_name() -> None:
    """A constant and a word that begin as a token are none."""
    for text, drawn in ((b"ghp_k3Jq9ZxP2", True), (b"AKIA_ACCESS_KEY", False), (b"ghp_aaaaaaaaa", False)):
        assert is_drawn(text, 0, len(text)) is drawn, text


def test_a_placeholder_is_no_token() -> None:
    """Nor is a value of three characters that repeat."""
    for text, token in ((b"k3Jq9ZxP2w", True), (b"<your-token>", False), (b"xxxxxxxxxx", False), (b"${TOKEN}", False)):
        assert is_token_like(text, 0, len(text)) is token, text


@pytest.mark.parametrize(
    ("text", "start", "value"),
    [
        (b"password=p4&ss;w0rd next", 9, b"p4&ss;w0rd"),
        (b"password=p4ss&user=ada", 9, b"p4ss"),
        (b'password="p4 ss" next', 10, b"p4 ss"),
        (b"f(password=p4ss)", 11, b"p4ss"),
    ],
)
def test_a_value_ends_at_its_quote_or_where_another_begins(text: bytes, start: int, value: bytes) -> None:
    """A sign within a value is a part of it; no rest of a secret stays behind its mask."""
    assert text[start : value_end(text, start, start + 2)] == value


def test_a_value_is_closed_by_the_quote_that_opened_it() -> None:
    """Escaped quotes count with their backslashes."""
    assert is_closed(b'a="xy"', 3, 5)
    assert not is_closed(b"a=\"xy'", 3, 5)
    assert not is_closed(b"a=xy", 2, 4)


def test_a_header_ends_with_its_last_cookie_or_field() -> None:
    """Each of them may be the secret."""
    cookies = b"Cookie: a=12345678; b=secret; c=d\n"
    assert cookies[: header_end(cookies, 8, 18)] == cookies[:-1]
    fields = b'Authorization: username="ada", response="0123456789"\n'
    assert fields[: header_end(fields, 15, 24)] == fields[:-1]


def test_a_parameter_ends_at_an_ampersand_that_is_encoded_as_its_equals_sign_is() -> None:
    """In a URL within a URL."""
    text = b"token%3dabc%2Fdef%26user"
    assert text[8 : query_end(text, 8, len(text))] == b"abc%2Fdef"
    assert query_end(b"token=abc%26d", 6, 13) == 13


def test_user_information_ends_at_the_last_at_sign_before_the_host() -> None:
    """A password may have one of its own."""
    text = b"://ada:p@ss@host/x@y"
    assert text[3 : userinfo_end(text, 3, text.index(b"@"))] == b"ada:p@ss"


def test_positions_in_rewritten_text_map_back() -> None:
    """A span that was only put in touches nothing of the original."""
    text = RewrittenText("a%41b", [(1, 4, "A")])
    assert text.text == "aAb"
    assert text.original(1, 2) == (1, 4)
    assert text.original(0, 3) == (0, 5)
    assert not text.untouched(1, 2)
    assert text.untouched(0, 2)


def test_a_rules_first_pass_names_every_rule_that_may_match() -> None:
    """A rule without keywords is always a candidate; the secret is the first group of a match."""
    rules = (Rule("always", r"zz(\d+)", ()), Rule("keyed", r"key-[0-9]+", ("key-",), widen=False))
    first: Prefilter = KeywordFilter(rules)
    assert set(first.candidates(b"nothing")) == {0}
    assert set(first.candidates(b"KEY-1")) == {0, 1}
    assert sorted(Matcher(rules, first).matches(b"zz12 key-3")) == [Match(0, 4, "always"), Match(5, 10, "keyed")]
    assert len({rule.id for rule in GENERIC_RULES}) == len(GENERIC_RULES)
