"""Bundles of every version ever released can be read and verified. Golden bundles are added, never changed."""

from pathlib import Path

from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.format.canonical import sha256_hex
from runbundle.store import LocalStore
from tests.conftest import all_bytes
from tests.golden.make_bundle import make

V1, RULES_1 = (LocalStore(Path(__file__).parent / name) for name in ("v1", "v1-rules-1"))
V1_SHA256 = "77548a0b3daa02fb4fedb4b9a82b4ac80082babaeb832e51462628055e42a73f"


def test_v1_is_unchanged_and_verified() -> None:
    """The bundle in the repository is the one that was sealed, and this version verifies it."""
    assert sha256_hex(V1.get("golden-v1/run.json")) == V1_SHA256
    assert verify(V1, "golden-v1").findings == []


RULES_1_SHA256 = "1887b2a3589bc747aa8f44b418531b9cf65a0bfaa7ebe1962a3988158d21e115"


def test_what_the_first_rules_made_is_made_by_them_still() -> None:
    """`verify` derives it again: a change of what follows from events takes another version of the rules."""
    assert sha256_hex(RULES_1.get("golden-v1/run.json")) == RULES_1_SHA256
    assert Bundle.open(RULES_1, "golden-v1").index.rules == 1
    report = verify(RULES_1, "golden-v1")
    assert (report.findings, report.notes) == ([], [])


def test_v1_is_read_whole() -> None:
    """Index, events, one span, tool calls, evidence and configuration."""
    bundle = Bundle.open(V1, "golden-v1")
    assert bundle.index.status == "ok"
    assert [e["seq"] for e in bundle.events()] == list(range(bundle.index.counts.events))
    calls = bundle.tool_calls().calls
    assert [c.tool for c in calls] == ["find_order", "weather", "refund"]
    assert bundle.span(calls[0].span_id)[-1]["attributes"]["gen_ai.tool.name"] == "find_order"
    evidence = bundle.evidence()
    assert evidence is not None
    assert len(evidence.retrievals[0].documents) == 2
    assert bundle.config().config["api_key"] == "[REDACTED:credential]"


def test_the_same_run_is_the_same_bytes(tmp_path: Path) -> None:
    """With fixed ids, clock and key two recordings are equal to the last byte, wherever they were made."""
    for name in ("a", "b"):
        make(tmp_path / name)
    assert all_bytes(tmp_path / "a" / "golden-v1") == all_bytes(tmp_path / "b" / "golden-v1")
