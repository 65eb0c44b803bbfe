"""An agent of the examples, run 20 times in each version, is let through a gate or not, for the right reason."""

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest
from click.testing import CliRunner, Result

from runbundle.bundle.evaluations import gate_of, scorecard_of
from runbundle.bundle.verify import verify
from runbundle.cli.main import group
from runbundle.store import LocalStore
from tests.support.gated import POLICY, record


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record 20 runs of each version, once for all tests."""
    return record(tmp_path_factory.mktemp("agent"), "baseline", "prompt", "rogue")


@pytest.fixture
def store(recorded: Path, tmp_path: Path) -> LocalStore:
    """Return a copy of the runs, beside a policy and with a baseline."""
    shutil.copytree(recorded, tmp_path / ".runbundle")
    (tmp_path / "gate.yaml").write_text(POLICY)
    made = call("baseline", "set", "main", "baseline-*", "--reason", "release 1", "--by", "ada")
    assert made.exit_code == 0, made.output
    return LocalStore(tmp_path / ".runbundle")


def call(*arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(group, arguments, catch_exceptions=False)


def gate(candidate: str, *more: str, baseline: str = "main") -> Result:
    """Make a gate."""
    return call("gate", "--policy", "gate.yaml", "--baseline", baseline, "--candidate", candidate, *more)


def found(candidate: str, *more: str, baseline: str = "main") -> dict[str, Any]:
    """Return a gate as JSON."""
    return json.loads(gate(candidate, *more, "--format", "json", baseline=baseline).stdout)


def test_a_change_of_the_prompt_alone_passes(store: LocalStore) -> None:
    """Exit 0, and each check says why; the gate is kept beside the baseline, and no bundle has changed."""
    result = gate("prompt-*")
    assert result.exit_code == 0, result.output
    assert "gate  pass   20 candidate runs against 20 of the baseline (main, entry 1)" in result.output
    assert "held in each of 20 runs, which leaves up to 13.9% that break it" in result.output
    assert not any("/eval/" in key for key in store.list())
    place = store.beside("baselines")
    [kept] = place.list("main/gates/")
    assert orjson.loads(place.get(kept))["verdict"] == "pass"
    assert found("prompt-*")["looks"] == 1
    assert len(list(place.list("main/gates/"))) == 1


def test_a_forbidden_tool_fails_and_its_event_is_named(store: LocalStore) -> None:
    """Exit 1, in every format: the run, the span, the event, the tool; the event is there."""
    result = gate("rogue-*")
    assert result.exit_code == 1
    report = found("rogue-*")
    assert report["verdict"] == "fail"
    [event] = report["criteria"][0]["evidence"]
    assert (event["run_id"], event["what"]) == ("rogue-broken-1", "delete_account was called")
    line = store.get("rogue-broken-1/events.jsonl").splitlines()[event["seq"]]
    assert orjson.loads(line)["span_id"] == event["span_id"]
    assert "delete_account" in orjson.loads(line)["name"]
    place = f"rogue-broken-1 span {event['span_id']} event {event['seq']}: delete_account was called"
    assert place in result.output
    assert f"next: runbundle show rogue-broken-1 --span {event['span_id']}" in result.output
    assert call("show", "rogue-broken-1", "--span", event["span_id"]).exit_code == 0
    suite = ElementTree.fromstring(gate("rogue-*", "--format", "junit").stdout)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "0")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert place in (failure.text or "")
    annotated = gate("rogue-*", "--format", "github").stdout
    assert annotated.startswith("::error file=gate.yaml,line=2,title=gate never-deletes::fail: broken in 1 of 20 runs")
    assert place in annotated
    text = gate("rogue-*", "--format", "markdown").stdout
    assert text.startswith("<!-- runbundle gate -->\n### Gate: fail\n")
    assert "| never-deletes | fail |" in text
    assert [gate("rogue-*", "--format", name).exit_code for name in ("json", "junit", "github", "markdown")] == [1] * 4


def test_three_samples_end_inconclusive(store: LocalStore) -> None:
    """Exit 3, with the number of cases that would decide; a skipped test in JUnit."""
    more = ["--candidate", "prompt-lost-0", "--candidate", "prompt-broken-0"]
    before = ["--baseline", "baseline-lost-0", "--baseline", "baseline-broken-0"]
    result = gate("prompt-late-0", *more, *before, baseline="baseline-late-0")
    assert result.exit_code == 3, result.output
    assert "3 cases are too few" in result.output
    assert "about 16 cases would decide" in result.output
    assert "looks were not counted" in result.output
    suite = ElementTree.fromstring(
        gate("prompt-late-0", *more, *before, "--format", "junit", baseline="baseline-late-0").stdout
    )
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "3")


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("prompt-late-0/events.jsonl", b"find_order", b"find_0rder"),
        ("prompt-late-0/run.json", b'"status": "ok"', b'"status": "no"'),
        ("baseline-late-0/tool_calls.json", b"A-1001", b"A-9999"),
        (".baselines/main/1.json", b"ada", b"bob"),
        (".baselines/main/1.json", b"", b"{"),
    ],
    ids=["events", "run.json", "baseline run", "baseline entry", "baseline JSON"],
)  # fmt: skip
def test_a_store_edited_by_hand_ends_with_an_integrity_failure(
    store: LocalStore, path: str, old: bytes, new: bytes
) -> None:
    """Exit 4, and nothing is compared."""
    file = store.root / path
    file.write_bytes(file.read_bytes().replace(old, new, 1) if old else new)
    result = gate("prompt-*")
    assert result.exit_code == 4, result.output
    assert "integrity" in result.output
    assert found("prompt-*")["criteria"][0]["name"] == "integrity"


def test_a_baseline_whose_run_is_gone_or_another_does_not_verify(store: LocalStore) -> None:
    """It names runs by digest."""
    shutil.rmtree(store.root / "baseline-late-0")
    assert "is not in the store" in gate("prompt-*").output
    assert gate("prompt-*").exit_code == 4
    shutil.copytree(store.root / "baseline-late-1", store.root / "baseline-late-0")
    assert "run.json is another one" in gate("prompt-*").output


def test_a_score_edited_by_hand_is_no_score(store: LocalStore) -> None:
    """Exit 4; so is evidence that is made up."""
    assert call("score", "prompt-*").exit_code == 0
    assert gate("prompt-*").exit_code == 0
    file = store.root / "prompt-late-0" / "eval" / "scorecard.json"
    file.write_bytes(file.read_bytes().replace(b'"value": 1.0', b'"value": 2.0', 1))
    result = gate("prompt-*")
    assert result.exit_code == 4
    assert "RB216" in result.output


def test_bad_input_has_an_exit_code_and_a_sentence(store: LocalStore, tmp_path: Path) -> None:
    """A typo, no policy, no run, an unsealed run, a later format, unpaired cases, a run without a case."""
    (tmp_path / "typo.yaml").write_text(POLICY.replace("margin", "margn"))
    typo = call("gate", "--policy", "typo.yaml", "--baseline", "main", "--candidate", "prompt-*")
    assert (typo.exit_code, "typo.yaml:8: there is no key 'margn' here" in typo.output) == (2, True)
    assert "did you mean margin?" in typo.output
    assert call("gate", "--policy", "none.yaml", "--candidate", "prompt-*").exit_code == 2
    assert gate("nothing-*").exit_code == 2
    assert gate("prompt-*", baseline="mian").exit_code == 2
    unpaired = gate("prompt-late-*")
    assert unpaired.exit_code == 5
    assert "cases without a counterpart: broken only in the baseline" in unpaired.output
    both = gate("baseline-*")
    assert (both.exit_code, "is on both sides" in both.output) == (5, True)
    (store.root / "prompt-open").mkdir()
    (store.root / "prompt-open" / "events.jsonl").write_text("")
    assert gate("prompt-*").exit_code == 3
    shutil.rmtree(store.root / "prompt-open")
    (store.root / "later").mkdir()
    (store.root / "later" / "run.json").write_text('{"schema": "runbundle/run/v2"}')
    later = gate("later")
    assert (later.exit_code, "runbundle/run/v2" in later.output) == (5, True)
    (store.root / "later" / "run.json").write_text("")
    assert gate("later").exit_code == 4


def test_one_candidate_has_its_gate_beside_its_files(store: LocalStore) -> None:
    """It verifies, is replaced by the next, and travels; a gate that is not to be written is not."""
    (store.root.parent / "gate.yaml").write_text(POLICY.split("  - id: answered")[0])
    assert gate("rogue-broken-1", "--no-write").exit_code == 1
    assert gate_of(store, "rogue-broken-1") is None
    assert gate("rogue-broken-1").exit_code == 1
    kept = gate_of(store, "rogue-broken-1")
    assert kept is not None
    assert kept.verdict == "fail"
    assert verify(store, "rogue-broken-1").verdict == "verified"
    assert call("push", "rogue-broken-1", "elsewhere").exit_code == 0
    assert gate_of(LocalStore("elsewhere"), "rogue-broken-1") == kept
    (store.root.parent / "gate.yaml").write_text(POLICY.split("  - id: answered")[0].replace("delete_account", "none"))
    assert gate("rogue-broken-1").exit_code == 0
    assert call("push", "rogue-broken-1", "elsewhere").exit_code == 0
    assert gate_of(LocalStore("elsewhere"), "rogue-broken-1") == gate_of(store, "rogue-broken-1") != kept
    assert found("rogue-broken-1")["looks"] == 2


def test_a_waiver_lets_a_failure_through_until_its_day_is_over(store: LocalStore) -> None:
    """Which is shown, and not hidden."""
    text = POLICY + "waivers:\n  - {check: never-deletes, by: ada, reason: known, expires: 2999-12-31}\n"
    (store.root.parent / "gate.yaml").write_text(text)
    result = gate("rogue-*")
    assert result.exit_code == 0
    assert "never-deletes (waived)" in result.output
    assert "waived until 2999-12-31 by ada: never-deletes (known)" in result.output
    (store.root.parent / "gate.yaml").write_text(text.replace("2999", "2020"))
    assert gate("rogue-*").exit_code == 1
    assert "has expired on 2020-12-31" in gate("rogue-*").output


def test_a_copy_of_a_run_is_no_further_run(store: LocalStore) -> None:
    """Of a store that is named in two ways, or copied: no check is surer by it."""
    shutil.copytree(store.root, store.root.parent / "copied")
    (store.root.parent / "linked").symlink_to(store.root, target_is_directory=True)
    (store.root.parent / "gate.yaml").write_text(POLICY.split("  - id: answered")[0])
    once = gate("prompt-*", "--no-write").output
    assert "held in each of 20 runs, which leaves up to 13.9% that break it" in once
    keys = [key for key in store.list_dirs() if key.startswith("prompt-")]
    copies = [part for key in keys for folder in ("copied", "linked") for part in ("--candidate", f"{folder}/{key}")]
    assert gate("prompt-*", "--no-write", *copies).output == once


def test_candidates_may_lie_in_another_store(store: LocalStore) -> None:
    """All of its runs, by its folder."""
    for key in [key for key in store.list_dirs() if key.startswith("prompt-")]:
        shutil.copytree(store.root / key, store.root.parent / "ci" / key)
        shutil.rmtree(store.root / key)
    assert gate("ci").exit_code == 0
    refused = call("baseline", "set", "other", "ci", "--reason", "x")
    assert (refused.exit_code, "lies in another store" in refused.output) == (2, True)


def test_a_candidate_that_passed_can_be_promoted_and_no_other(store: LocalStore) -> None:
    """By the gate that let it pass; the runs are then held, and the baseline tells its story."""
    assert call("baseline", "promote", "main", "prompt-*", "--reason", "x").exit_code == 1
    assert gate("prompt-*").exit_code == 0
    assert gate("rogue-*").exit_code == 1
    assert call("baseline", "promote", "main", "rogue-*", "--reason", "x").exit_code == 1
    assert call("baseline", "promote", "main", "prompt-late-*", "--reason", "x").exit_code == 1
    promoted = call("baseline", "promote", "main", "prompt-*", "--reason", "PR 17", "--by", "bob")
    assert promoted.exit_code == 0, promoted.output
    assert "main  entry 2  20 runs" in promoted.output
    assert "by bob: PR 17, by the gate " in promoted.output
    assert call("hold", "prompt-late-0").exit_code == 0
    assert "main" in call("baseline", "ls").output
    shown = call("baseline", "show", "main", "--history").output
    assert ["release 1" in shown, "PR 17" in shown] == [True, True]
    difference = call("baseline", "diff", "main")
    assert (difference.exit_code, "20 came, 20 left, 0 stayed" in difference.output) == (1, True)
    assert call("baseline", "diff", "main", "--from", "2").exit_code == 0
    assert call("baseline", "show", "none").exit_code == 2
    assert json.loads(call("baseline", "show", "main", "--entry", "1", "--format", "json").stdout)["number"] == 1
    removed = call("gc", "--older-than", "1h", "--dry-run", "--format", "json")
    assert removed.exit_code == 0


def test_runs_are_scored_by_scorers_of_the_user(store: LocalStore) -> None:
    """Exit 0, or 1 if one fails; another configuration of the judge is not compared."""
    Path("own_judge.py").write_text(
        "def judged(bundle):\n    return 0.5\n\njudged.config = {'t': 0}\n\ndef broken(bundle):\n    raise ValueError\n"
    )
    assert call("score", "prompt-*", "baseline-*", "--scorers", "own_judge:judged").exit_code == 0
    card = scorecard_of(store, "prompt-late-0")
    assert card is not None
    assert {score.name for score in card.scores} >= {"judged", "answered", "brevity", "latency_s"}
    check = "checks:\n  - {id: j, type: non_inferiority, metric: judged, margin: 0.1}\n"
    Path("gate.yaml").write_text(check)
    assert gate("prompt-*").exit_code == 0
    Path("own_judge.py").write_text(Path("own_judge.py").read_text().replace("'t': 0", "'t': 1"))
    assert call("score", "prompt-*", "--scorers", "own_judge:judged").exit_code == 0
    swapped = gate("prompt-*")
    assert (swapped.exit_code, "two configurations of own_judge:judged" in swapped.output) == (3, True)
    broken = call("score", "prompt-late-0", "--scorers", "own_judge:broken", "--format", "json")
    assert broken.exit_code == 1
    scores = json.loads(broken.stdout)["scorecards"][0]["scores"]
    assert [s["reason"] for s in scores if s["status"] == "error"] == ["raised ValueError"]
    assert call("score", "prompt-late-0", "--scorers", "own_judge:none").exit_code == 2
    (store.root / "prompt-lost-0" / "events.jsonl").write_text("")
    assert call("score", "prompt-lost-0").exit_code == 4
