"""Laws of the detectors."""

import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbundle.redaction.detectors import detector as detection
from runbundle.redaction.detectors.context_rules import GENERIC_RULES
from runbundle.redaction.detectors.detector import Detector, default_detector, masked
from runbundle.redaction.detectors.kingfisher import kingfisher_rules
from runbundle.redaction.detectors.matcher import Matcher
from runbundle.redaction.detectors.patterns import compiled, compiles
from runbundle.redaction.detectors.prefilter import HyperscanFilter, KeywordFilter, broader
from runbundle.redaction.detectors.rule import Rule
from runbundle.redaction.detectors.vendor_rules import VENDOR_RULES
from runbundle.redaction.payloads.configuration import redact_configuration
from runbundle.redaction.permitted.kept_text import redact_text, surely_stay
from runbundle.redaction.receipt import Receipt
from tests.support.credentials import examples

CORE = (*VENDOR_RULES, *GENERIC_RULES)
BY_KEYWORD = Matcher(CORE, KeywordFilter(CORE))
BY_PATTERN = Matcher(CORE, HyperscanFilter(CORE))


def without(rule: str) -> Detector:
    """Return the detector of the core rules but for one."""
    rules = [r for r in CORE if r.id != rule]
    return Detector(Matcher(rules, KeywordFilter(rules)))


WITHOUT = {rule.id: without(rule.id) for rule in CORE[::12]}
PIECES = [
    *examples().values(),
    "password=", '"api_key": "', "token ", "Bearer ", "://", "user:pw@", "?key=", "&", '"', "'", "\\",
    "\n", " ", ", ", "[REDACTED:credential]", "[REDACTED:", "%41", "\\u0067",
    "\u200b", "é", "\ud800", "c2VjcmV0", "=", "x1y2z3q9",
    "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----",
    "id", "_", "secret", "--token ", "<password>", "</password>",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=12), max_size=12).map("".join)


@given(texts)
@settings(max_examples=400)
def test_total_idempotent_and_in_order(text: str) -> None:
    """Any text gives spans inside it, apart and in order; masking them leaves nothing that is found again."""
    detector = default_detector()
    found = detector.find(text)
    at = 0
    for span in found:
        assert at <= span.start < span.end <= len(text)
        at = span.end
    shown = masked(text, found)
    assert detector.redact(shown) == shown
    assert detector.find(shown) == []
    assert detector.find(text) == found


@pytest.mark.parametrize(
    "text", ["postgres://u:hunter2xx@h/x", "https://[REDACTED:credential]@h", "amqp://a:b@c d://e:f@g"]
)
def test_what_a_marker_stands_for_is_noted_once(text: str) -> None:
    """No rule notes a find in which nothing is left: not in text, nor in a configuration that is redacted again."""
    shown = default_detector().redact(text)
    assert default_detector().find(shown) == default_detector().hits(shown) == []
    first, second = Receipt(), Receipt()
    kept = redact_configuration({"u": text, "deep": [f"url={text}"]}, first)
    assert redact_configuration(kept, second) == kept
    assert second.notes == []


@given(texts)
@settings(max_examples=300)
def test_both_first_passes_find_the_same(text: str) -> None:
    """Hyperscan and keywords differ in speed, not in what is found."""
    data = text.encode("ascii", "replace")
    assert sorted(BY_KEYWORD.matches(data)) == sorted(BY_PATTERN.matches(data))


@given(texts, st.sampled_from(sorted(WITHOUT)))
@settings(max_examples=200)
def test_another_rule_never_reveals_more(text: str, rule: str) -> None:
    """Whatever is masked without a rule is masked with it."""
    fewer = {i for s in WITHOUT[rule].find(text) for i in range(s.start, s.end)}
    more = {i for s in default_detector().find(text) for i in range(s.start, s.end)}
    assert fewer <= more


@given(st.data())
@settings(max_examples=300)
def test_the_keywords_of_a_rule_are_in_all_that_it_matches(data: st.DataObject) -> None:
    """For a text drawn from a rule's own pattern the first pass names the rule: no keyword is missing."""
    index = data.draw(st.integers(0, len(CORE) - 1))
    pattern = CORE[index].pattern.replace("(?i:", "(?:")
    text = data.draw(st.from_regex(pattern.encode()))
    if text.isascii() and any(True for _ in compiled(CORE[index].pattern).finditer(text)):
        assert index in set(KeywordFilter(CORE).candidates(text))


def test_every_rule_compiles() -> None:
    """Patterns are compiled when they are first needed; none may turn out bad then."""
    assert [rule.id for rule in (*CORE, *kingfisher_rules()) if not compiles(rule.pattern)] == []


def test_rules_of_the_package_are_kept_for_the_next_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the user's cache, for the user alone; a file that others may write is not believed."""
    monkeypatch.delenv("RUNBUNDLE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = kingfisher_rules()
    kept = next((tmp_path / "runbundle").glob("kingfisher-*.json"))
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.write_bytes(b'[["only","x"]]')
    assert [rule.id for rule in kingfisher_rules()] == ["only"]
    kept.chmod(0o666)
    assert kingfisher_rules() == first


@pytest.mark.alone
def test_a_token_made_of_tokens_is_widened_once() -> None:
    """Hundreds of matches within one long run are one span; widening each over all of it took a minute."""
    run = "-".join(["AKIAABCDEFGHIJKL"] * 8000)
    started = time.process_time()
    assert [(s.start, s.end) for s in default_detector().find(run)] == [(0, len(run))]
    assert time.process_time() - started < 10


def test_a_forked_child_does_not_wait_for_a_thread_it_does_not_have() -> None:
    """The lock under which the rules are built may be held when the process forks."""
    with detection._building:  # pyright: ignore[reportPrivateUsage]
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            default_detector().find("x")
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


@given(st.lists(texts | st.text(max_size=30), min_size=1, max_size=5))
@settings(max_examples=600)
def test_texts_that_surely_stay_together_stay_each_alone(given: list[str]) -> None:
    """What is looked at between others is judged no more mildly than by itself."""
    if surely_stay(given):
        assert [redact_text(text, Receipt(), "") for text in given] == given


ENDS = {
    "betterleaks.sidekiq-sensitive-url": "https://deadbeef:cafebabe@gems.contribsys.com",
    "betterleaks.deepseek-api-key": "sk-" + "0123456789abcdef" * 2,
    "betterleaks.slack-session-cookie": "xoxd-" + "aB3" * 40,
    "tableau": "aB3dE5gH7jK9mN1pQ3sT5v==:" + "aB3d" * 8,
}
"""Credentials that a rule finds since the text ends, or begins, where they do."""


@pytest.mark.parametrize("name", ENDS)
def test_a_rule_that_holds_at_an_end_of_the_text_holds_between_others(name: str) -> None:
    """Each text is as it were alone."""
    text = ENDS[name]
    assert redact_text(text, Receipt(), "") != text
    assert not surely_stay(["before", text, "behind"])


def test_the_first_pass_names_the_rules_of_each_part_between_line_ends() -> None:
    """Ends of the text in a rule are ends of lines there, in each of the words that mean them."""
    rules = [Rule("a", r"(?:^|,)abc(?:$|;)", ("abc",)), Rule("b", r"\Adef\z", ("def",)), Rule("c", r"^ghi$", ("ghi",))]
    for first_pass in (HyperscanFilter(rules), KeywordFilter(rules)):
        for text in (b"x\nabc\ny\ndef\nghi\nz", b"ghi\nabc\ndef", b"abc\ndef\nghi\n"):
            assert sorted(first_pass.candidates(text)) == [0, 1, 2]
    assert HyperscanFilter(rules).candidates(b"xabc\ndefx\nx ghi") == []


BEHIND = {
    "header": "the deploy went fine in oslo and bergen: x-token: M2/)%lz?",
    "command-line": 'qKeMxdy";\ns>-_$#thisone}\nBDkFaAW\n-key=abcd1234',
}
"""Credentials that one rule alone finds, behind other text."""


@pytest.mark.parametrize("rule", BEHIND)
def test_what_stands_before_a_credential_does_not_hide_its_rule_from_the_first_pass(rule: str) -> None:
    """A bounded repeat in the rule, or a choice at its beginning, let Hyperscan pass over them."""
    text = BEHIND[rule]
    matching = next(each.pattern for each in GENERIC_RULES if each.id == rule)
    first_pass = HyperscanFilter([Rule(rule, matching, ())])
    for before in ("a-b-" * 15 + "'", "y" * 40 + "\n", "\r\n" * 8 + ","):
        for credential in ("-pass=)x1abcd", "-key=abcd1234", "x-token: M2/)%lz?"):
            data = (before + credential).encode()
            assert (compiled(matching).search(data) is None) or first_pass.candidates(data) == [0], data
    assert rule in {span.rule for span in default_detector().find(text)}
    assert not surely_stay(text.split("\n"))
    assert not surely_stay(["it rains in bergen", text])


def test_each_beginning_of_a_slack_token_is_a_keyword_of_its_rule() -> None:
    """Without Hyperscan only texts with a keyword of a rule are looked at by it."""
    by_keyword = Detector(Matcher(VENDOR_RULES, KeywordFilter(VENDOR_RULES)))
    for beginning in ("xox" + letter + sign for letter in "abcdeoprs" for sign in "-."):
        assert by_keyword.find(f"use {beginning}jJuV16nJmZ5IIAgQesvY00"), beginning


def test_each_rule_is_looked_for_in_parts_of_a_text() -> None:
    """By a pattern that compiles; also where keywords are the first pass."""
    for rule in (*CORE, *kingfisher_rules()):
        assert compiles(f"(?m){broader(rule.pattern)}"), rule.id
    for matcher in (BY_KEYWORD, BY_PATTERN):
        assert matcher.may_match(b"before\n--token hunter2hunter2\nbehind")
        assert not matcher.may_match(b"weather in Bremen\nthe user id of a password")


def test_usual_texts_surely_stay() -> None:
    """So that they cost one look together: words, numbers, places, what stands in a contract's fields."""
    usual = ["weather in Bremen", '7 of 9, "done"', "Order 4711\nis on its way\t(2 days)", "a@example.org", ""]
    assert surely_stay(usual)
    assert surely_stay([])
    for odd in ("é", "a\x0bb", "h2:0a1b2c3d:" + "a" * 26, "x" * 24, "100%41"):
        assert not surely_stay([*usual, odd])
