"""An agent of the examples, run 20 times in each version: every reader is told the same, with the same exit code.

A prompt-only change passes; a changed argument fails, and is named at its step as the cause; a forbidden tool fails,
and its event is named; three samples are inconclusive; a store that was edited by hand is not judged.
"""

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from starlette.testclient import TestClient

from runbundle.cli.main import group
from runbundle.compare.report import between
from runbundle.store import LocalStore
from runbundle.view.app import viewer
from tests.support.gated import POLICY, VERSIONS, record

CHANGED = "the agent chose otherwise: it gave tool find_order other arguments"
Case = tuple[str, ...]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record 20 runs of each version, once for all tests."""
    return record(tmp_path_factory.mktemp("agent"), *VERSIONS)


@pytest.fixture
def store(recorded: Path, tmp_path: Path) -> LocalStore:
    """Return a copy of the runs, beside a policy and with a baseline."""
    shutil.copytree(recorded, tmp_path / ".runbundle")
    (tmp_path / "gate.yaml").write_text(POLICY)
    assert call("baseline", "set", "main", "baseline-*", "--reason", "release 1", "--by", "ada").exit_code == 0
    return LocalStore(tmp_path / ".runbundle")


def call(*arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(group, arguments, catch_exceptions=False)


def gate(candidate: Case, baseline: Case = ("main",), **formats: str) -> Result:
    """Make a gate."""
    named = [word for name in baseline for word in ("--baseline", name)]
    named += [word for name in candidate for word in ("--candidate", name)]
    chosen = [word for name in formats.values() for word in ("--format", name)]
    return call("gate", "--policy", "gate.yaml", *named, *chosen)


def asked(store: LocalStore, path: str) -> tuple[int, Any]:
    """Ask the viewer's server."""
    answer = TestClient(viewer(store, compared=between)).get(path)
    return answer.status_code, answer.json()


def said(candidate: Case, exit_code: int, baseline: Case = ("main",)) -> dict[str, str]:
    """Make the gate in every format, each of which must end with that code; return what each says."""
    found: dict[str, str] = {}
    for name in ("human", "json", "junit", "github", "markdown"):
        done = gate(candidate, baseline, format=name)
        assert done.exit_code == exit_code, (name, done.output)
        found[name] = done.stdout
    return found


def verdicts(report: dict[str, str]) -> tuple[str, tuple[str | None, ...]]:
    """Return the verdict as JSON has it, and what JUnit counts: failures, errors, skipped."""
    suite = ElementTree.fromstring(report["junit"])
    return json.loads(report["json"])["verdict"], tuple(suite.get(name) for name in ("failures", "errors", "skipped"))


def judged(store: LocalStore, run: str) -> dict[str, Any]:
    """Return the last gate of a run, as `show` has it; the viewer must say the same of it."""
    gate: dict[str, Any] = json.loads(call("show", run, "--scores", "--format", "json").stdout)["gates"][0]
    assert f"gate  {gate['verdict']}" in call("show", run, "--scores").stdout
    status, blocks = asked(store, f"/api/tab/scores/{run}")
    assert (status, next(block["pill"] for block in blocks if "h" in block)) == (200, gate["verdict"])
    rows = [row for block in blocks if "table" in block for row in block["rows"]]
    for check in gate["criteria"]:
        assert any(row[0].startswith(check["name"]) and {"pill": check["verdict"]} in row for row in rows)
        causes = [cause for flip in check["flips"] for cause in flip["causes"]]
        for event in (*check["evidence"], *causes):
            here = {"span": event["span_id"], "text": event["span_id"]}
            span = here if event["run_id"] == run else {"code": event["span_id"]}
            assert any(row[-4:] == [event["run_id"], span, event["seq"], event["what"]] for row in rows)
        assert all(any(cause["code"] in row for row in rows) for cause in causes)
    return gate


def test_a_change_of_the_prompt_alone_passes(store: LocalStore) -> None:
    """Exit 0; nothing is annotated, nothing fails or is skipped; `diff` says that the configuration differs."""
    report = said(("prompt-*",), 0)
    assert verdicts(report) == ("pass", ("0", "0", "0"))
    assert report["github"] == "gate pass: 20 candidate runs against 20 of the baseline (main, entry 1)\n"
    assert report["human"].startswith("gate  pass")
    assert "### Gate: pass" in report["markdown"]
    assert judged(store, "prompt-late-0")["verdict"] == "pass"
    assert call("diff", "baseline-late-0", "prompt-late-0").stdout.startswith(
        "RB601  the configuration differs at /prompt"
    )


def test_a_changed_argument_is_named_at_its_step_as_the_cause(store: LocalStore) -> None:
    """Exit 1; the gate and `diff` name one span, in each format and in the viewer."""
    report = said(("argument-*",), 1)
    assert verdicts(report) == ("fail", ("1", "0", "0"))
    flips = next(one for one in json.loads(report["json"])["criteria"] if one["name"] == "answered")["flips"]
    assert [flip["case_id"] for flip in flips] == ["broken", "double", "late", "lost", "wrong"]
    for flip in flips:
        [cause] = flip["causes"]
        assert (cause["code"], cause["what"]) == ("RB608", CHANGED)
        difference = json.loads(call("diff", flip["baseline_run"], flip["candidate_run"], "--format", "json").stdout)
        assert difference["cause"] == {
            "code": "RB608", "sentence": CHANGED, "a_span_id": difference["changes"][0]["a_span_id"],
            "b_span_id": cause["span_id"],
        }  # fmt: skip
        line = json.loads(store.get(f"{flip['candidate_run']}/events.jsonl").splitlines()[cause["seq"]])
        assert (line["span_id"], line["name"]) == (cause["span_id"], "execute_tool find_order")
    place = f"RB608 argument-broken-0 span {flips[0]['causes'][0]['span_id']} event"
    for name in ("human", "junit", "github"):
        assert place in report[name], name
    assert place in report["markdown"]
    assert "next: runbundle diff baseline-broken-0 argument-broken-0" in report["human"]
    assert judged(store, "argument-broken-0")["criteria"][1]["flips"] == flips
    status, compared = asked(store, "/api/compare/argument-broken-0?with=baseline-broken-0")
    assert (status, compared["cause"]["b_span_id"]) == (200, flips[0]["causes"][0]["span_id"])
    [value] = [one for one in compared["changes"][0]["values"] if one["value"] == "arguments"]
    assert value["patch"] == [{"op": "replace", "path": "/order_id", "value": "1003", "was": "A-1003"}]
    for name in ("human", "markdown", "github", "html"):
        done = call("diff", "baseline-broken-0", "argument-broken-0", "--format", name)
        assert done.exit_code == 1
        for words in ("RB608", CHANGED, flips[0]["causes"][0]["span_id"]):
            shown = done.stdout.replace("\\_", "_") if name == "markdown" else done.stdout  # as it is shown
            assert words in shown, name


def test_a_forbidden_tool_fails_and_its_event_is_named(store: LocalStore) -> None:
    """Exit 1; run, span, event and tool in each format and in the viewer; the event is there."""
    report = said(("rogue-*",), 1)
    assert verdicts(report) == ("fail", ("1", "0", "0"))
    [event] = json.loads(report["json"])["criteria"][0]["evidence"]
    line = json.loads(store.get("rogue-broken-1/events.jsonl").splitlines()[event["seq"]])
    assert (line["span_id"], line["name"]) == (event["span_id"], "execute_tool delete_account")
    place = f"rogue-broken-1 span {event['span_id']} event {event['seq']}: delete"
    for name in ("human", "junit", "github", "markdown"):
        assert place in report[name], name
    assert judged(store, "rogue-broken-1")["criteria"][0]["evidence"] == [event]
    assert (
        asked(store, "/api/compare/rogue-broken-1?with=baseline-broken-1")[1]["causes"][1]["b_span_id"]
        == event["span_id"]
    )


def test_three_samples_are_inconclusive(store: LocalStore) -> None:
    """Exit 3, with the number of cases that would decide, in each format; a gate over one run is in its bundle."""
    three = ("late-0", "lost-0", "broken-0")
    report = said(tuple(f"prompt-{one}" for one in three), 3, tuple(f"baseline-{one}" for one in three))
    assert verdicts(report) == ("inconclusive", ("0", "0", "3"))
    for name, text in report.items():
        assert "about 16 cases would decide" in text, name
    assert report["github"].count("::warning ") == 3
    assert call("baseline", "set", "one", "baseline-late-0", "--reason", "r").exit_code == 0
    assert gate(("prompt-late-0",), ("one",)).exit_code == 3
    assert judged(store, "prompt-late-0")["verdict"] == "inconclusive"
    assert "gate      inconclusive: answered, brevity, tokens" in call("show", "prompt-late-0").stdout


def test_a_store_that_was_edited_by_hand_is_not_judged(store: LocalStore) -> None:
    """Exit 4, and the file in each format; `diff` and the viewer compare nothing either, and the page warns."""
    file = store.root / "argument-late-0" / "tool_calls.json"
    file.write_bytes(file.read_bytes().replace(b"1001", b"9999", 1))
    report = said(("argument-*",), 4)
    assert verdicts(report) == ("error", ("0", "1", "0"))
    for name, text in report.items():
        assert "argument-late-0" in text, name
        assert "RB20" in text, name
    assert call("diff", "baseline-late-0", "argument-late-0").exit_code == 4
    status, refused = asked(store, "/api/compare/argument-late-0?with=baseline-late-0")
    assert (status, refused["code"]) == (409, "not-verified")
    assert any("warn" in block for block in asked(store, "/api/tab/integrity/argument-late-0")[1])
    card = store.root / "baseline-lost-0" / "eval" / "scorecard.json"
    assert call("score", "baseline-lost-0").exit_code == 0
    card.write_bytes(card.read_bytes().replace(b'"value": 1.0', b'"value": 2.0', 1))
    assert asked(store, "/api/tab/scores/baseline-lost-0")[1][0] == {
        "warn": "eval/scorecard.json was edited after it was written"
    }
    assert "WARNING   eval/scorecard.json was edited after it was written" in call("show", "baseline-lost-0").stdout
