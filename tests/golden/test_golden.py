"""Bundles of every version ever released can be read and verified. Golden bundles are added, never changed."""

from pathlib import Path

import pytest

from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.format.canonical import sha256_hex
from runbundle.store import LocalStore
from tests.conftest import all_bytes
from tests.golden.make_bundle import RUNS, make

V1, RULES_1, RULES_2 = (LocalStore(Path(__file__).parent / name) for name in ("v1", "v1-rules-1", "v1-rules-2"))
CALLS = f"{1:032x}"
"""Key of the run `calls`: it is named by its trace."""
V1_SHA256 = "77548a0b3daa02fb4fedb4b9a82b4ac80082babaeb832e51462628055e42a73f"


def test_v1_is_unchanged() -> None:
    """The bundle in the repository is the one that was sealed, and this version says so. It names no rules."""
    assert sha256_hex(V1.get("golden-v1/run.json")) == V1_SHA256
    report = verify(V1, "golden-v1")
    assert (report.findings, report.verdict) == ([], "unchanged")


RULES_1_SHA256 = "1887b2a3589bc747aa8f44b418531b9cf65a0bfaa7ebe1962a3988158d21e115"


def test_what_the_first_rules_made_is_made_by_them_still() -> None:
    """`verify` derives it again: a change of what follows from events takes another version of the rules."""
    assert sha256_hex(RULES_1.get("golden-v1/run.json")) == RULES_1_SHA256
    assert Bundle.open(RULES_1, "golden-v1").index.rules == 1
    report = verify(RULES_1, "golden-v1")
    assert (report.findings, report.notes) == ([], [])


RULES_2_SHA256 = {
    "golden-v1": "358b1fff1cfdc0fa46abf4fca899d2ba7ccdda5dba203aeddb60154a04902ec3",
    CALLS: "f1e4fa01de24b1b0b8dc39d252752074974f62fea19d129baf0433d4a6c24627",
}


@pytest.mark.parametrize("key", RULES_2_SHA256)
def test_what_the_second_rules_made_is_made_by_them_still(key: str) -> None:
    """The demo's run, and one of which two libraries tell."""
    assert sha256_hex(RULES_2.get(f"{key}/run.json")) == RULES_2_SHA256[key]
    assert Bundle.open(RULES_2, key).index.rules == 2
    report = verify(RULES_2, key)
    assert (report.findings, report.notes) == ([], [])


def test_by_the_second_rules_one_act_counts_once() -> None:
    """Three model calls of five spans, three tool calls of six; its agent says whose the run was and how it ended."""
    bundle = Bundle.open(RULES_2, CALLS)
    index = bundle.index
    assert (index.counts.spans, index.counts.model_calls, index.counts.tool_calls) == (14, 3, 3)
    assert (index.usage, index.status, index.name, index.session_id) == ({"input_tokens": 21}, "error", "desk", "c")
    assert [(call.tool, len(call.also or ())) for call in bundle.tool_calls().calls] == [("find_order", 1)] * 3


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


@pytest.mark.parametrize("run", RUNS)
def test_the_same_run_is_the_same_bytes(run: str, tmp_path: Path) -> None:
    """With fixed ids, clock and key two recordings are equal to the last byte, wherever they were made."""
    keys = [make(tmp_path / name, run) for name in ("a", "b")]
    assert all_bytes(tmp_path / "a" / keys[0]) == all_bytes(tmp_path / "b" / keys[1])
