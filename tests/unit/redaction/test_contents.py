"""Markers of free text: digests of the whole, or none where the whole was not captured."""

import hashlib

from runbundle.format.contract import parse_contract
from runbundle.redaction.captured import Said, capture_text, parse_capture, with_said
from runbundle.redaction.contents import (
    capture_with_keyed_digests,
    content_marker,
    digest_of_whole,
    error_text,
    messages_marker,
    payload_domain,
    stack_frames,
)
from runbundle.redaction.markers import Digester, coarse_size, is_digest, is_marker, marker, marker_parts, marker_roles
from runbundle.redaction.messages import describe_messages, described_roles, messages_text, parse_messages
from runbundle.redaction.payloads.taint import TaintTable
from runbundle.redaction.plan import Tenant, Work, compile_policy
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import Receipt
from runbundle.signals import own

DIGEST = Digester(b"k")
ERRORS = {"selector": "", "target": "error", "action": "keep"}
KEEPS_ERRORS = parse_contract({"name": "t", "data": {"rules": [ERRORS]}})
ARGUMENTS = "gen_ai.tool.call.arguments"


def work(tool: str = "") -> Work:
    """Return the data at hand for one record."""
    plan = compile_policy(Policy(contracts={"t": KEEPS_ERRORS}))
    return Work(plan, Receipt(), tool, TaintTable(), Tenant(DIGEST), [])


def test_an_errors_text_is_kept_only_by_a_contract_that_says_so() -> None:
    """Without one it is a marker; with one its credentials still go."""
    assert error_text("", work(), "status") == ""
    without = error_text("no such city", work("other"), "status")
    assert is_marker(without)
    assert error_text(without, work("other"), "status") == without
    assert error_text("no such city", work("t"), "status") == "no such city"
    kept = error_text("login with ghp_" + "a1B2" * 9 + " failed", work("t"), "status")
    assert "ghp_" not in kept
    assert kept.endswith("failed")


def test_a_domain_keeps_digests_of_tools_and_payloads_apart() -> None:
    """Equal arguments of two tools, or arguments equal to a result, have different digests."""
    digests = {DIGEST(payload_domain(tool, kind), b"{}") for tool in ("a", "b") for kind in ("arguments", "result")}
    assert len(digests) == 4


def test_a_sha256_of_the_whole_never_leaves_the_redactor() -> None:
    """A keyed digest takes its place, the same that `digest_of_whole` makes of it."""
    sha256 = hashlib.sha256(b"whole").hexdigest()
    text = capture_with_keyed_digests({ARGUMENTS: Said("oversize", sha256=sha256, size=5_000_000)}, work("t"))
    assert sha256 not in text
    said = parse_capture(text)
    assert said is not None
    digest, size = digest_of_whole(DIGEST, payload_domain("t", "arguments"), "cut", Said("oversize", sha256, size=9))
    assert (said[ARGUMENTS].digest, size) == (digest, 9)


def test_what_was_not_captured_whole_has_no_digest() -> None:
    """Two different values that were cut could have the same one."""
    assert digest_of_whole(DIGEST, "content", "x", Said("cut")) == ("", None)
    assert digest_of_whole(DIGEST, "content", "x", None)[1] == 1


def test_captures_are_added_to_those_that_are_there() -> None:
    """A later word replaces an earlier one of the same key; a whole value is not named."""
    before = capture_text({ARGUMENTS: Said("cut"), "gen_ai.input.messages": Said("cut")})
    after = parse_capture(with_said(before, {ARGUMENTS: Said("whole")}))
    assert after == {"gen_ai.input.messages": Said("cut")}
    assert parse_capture(with_said("no capture", {ARGUMENTS: Said("abandoned")})) == {ARGUMENTS: Said("abandoned")}


def test_messages_have_a_marker_with_roles_and_an_entry() -> None:
    """The entry is what the attribute `runbundle.messages` has for the key, and reads back."""
    text = '[{"role":"system","content":"a"},{"role":"user","content":"b"},{"role":"user","content":"c"}]'
    shown, about = messages_marker("gen_ai.input.messages", text, work(), "attributes")
    assert marker_roles(shown) == ("system", "user")
    assert about == describe_messages(text, DIGEST)
    assert about is not None
    assert described_roles(about) == ("system", "user")
    written = messages_text({"gen_ai.input.messages": about})
    read = parse_messages(written)
    assert read is not None
    assert messages_text(read) == written
    assert own.MESSAGES == "runbundle.messages"


def test_nothing_but_its_shape_travels_as_messages() -> None:
    """An unknown key, a role that is none, a digest that is none."""
    assert parse_messages('{"customer.key":{"neutral":"x","roles":[]}}') is None
    assert parse_messages('{"gen_ai.input.messages":{"neutral":"SECRETWORD","roles":[]}}') is None
    assert parse_messages("SECRETWORD") is None


def test_text_becomes_a_marker_and_a_marker_stays() -> None:
    """With the digest and the size of the text; small sizes are one class."""
    shown = content_marker("body", "x" * 100, work(), "")
    digest, size = marker_parts(shown)
    assert is_digest(digest)
    assert size == 100
    assert content_marker("body", shown, work(), "") == shown
    assert {coarse_size(n) for n in (0, 4, 63)} == {63}
    assert coarse_size(64) == 64
    assert marker_parts(marker("content", size=5))[1] == coarse_size(5)


def test_a_stack_trace_that_cannot_be_read_is_a_marker() -> None:
    """Its text is in no form that is known, so nothing of it is kept."""
    assert stack_frames("SECRETWORD at main.js:1", work(), "p") == marker("error")
    assert stack_frames('  File "/home/ada/app/x.py", line 3, in go', work(), "p") == "app/x.py:3 in go"
