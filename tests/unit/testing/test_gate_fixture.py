"""The fixture `runbundle_gate`: an agent's own test is judged against a baseline, and says what the gate says."""

import pytest

from runbundle.bundle.custody import baselines
from runbundle.store import LocalStore

pytest_plugins = ["pytester"]
POLICY = """\
checks:
  - {id: never-deletes, type: invariant, forbidden_tools: [delete]}
  - {id: answered, type: non_inferiority, metric: answered, margin: 0.15}
"""
TESTS = """
import os
import runbundle

@runbundle.tool(keep=["/order"])
def find(order):
    return order.startswith("A-")

@runbundle.tool
def delete(order):
    return None

def agent(case, repeat, version):
    with runbundle.start_run("support", case_id=f"c{case}", repeat=repeat) as run:
        found = find(f"A-{case}" if version != "argument" else str(case))
        if version == "rogue" and case == 3:
            delete(str(case))
        run.score("answered", float(found))

def record(cases=5):
    for repeat in range(4):
        for case in range(cases):
            agent(case, repeat, os.environ.get("VERSION", ""))
"""


def run(pytester: pytest.Pytester, tests: str, *arguments: str) -> pytest.RunResult:
    """Run a test file in a process of its own, with the plugin as an install would load it."""
    pytester.makefile(".yaml", gate=POLICY)
    pytester.makepyfile(TESTS + tests)
    plugin = ("-p", "no:runbundle", "-p", "runbundle.testing.pytest_plugin")
    return pytester.runpytest_subprocess(*plugin, "-W", "error", *arguments)


AGAINST = """
def test_it(runbundle_gate):
    record()
    gate = runbundle_gate("gate.yaml", "main", store="kept")
    assert gate is None or gate.verdict == "pass"
"""


def test_a_test_makes_its_baseline_and_is_judged_against_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an option, with a reason; the same passes, a worse one fails with the gate's own text and the step."""
    run(pytester, AGAINST, "--runbundle-baseline", "release 1").assert_outcomes(passed=1)
    kept = baselines.latest(LocalStore(pytester.path / "kept"), "main")
    assert (len(kept.entry.subjects), kept.entry.reason) == (20, "release 1")
    run(pytester, AGAINST).assert_outcomes(passed=1)
    assert list(baselines.gates(LocalStore(pytester.path / "kept"), "main")) == []
    monkeypatch.setenv("VERSION", "argument")
    worse = run(pytester, AGAINST)
    worse.assert_outcomes(failed=1)
    output = worse.stdout.str()
    assert "gate  fail   20 candidate runs against 20 of the baseline (main, entry 1)" in output
    assert "the agent chose otherwise: it gave tool find other arguments" in output
    assert "RB608" in output
    assert "gated_runs.py" not in output
    monkeypatch.setenv("VERSION", "rogue")
    rogue = run(pytester, AGAINST)
    rogue.assert_outcomes(failed=1)
    assert "broken in 4 of 20 runs: delete was called" in rogue.stdout.str()
    file = next((pytester.path / "kept").glob("*/tool_calls.json"))
    file.write_bytes(file.read_bytes().replace(b"A-", b"B-", 1))
    edited = run(pytester, AGAINST)
    edited.assert_outcomes(failed=1)
    assert "do not verify, so nothing was compared" in edited.stdout.str()


def test_a_folder_is_a_baseline_too_and_few_runs_decide_nothing(pytester: pytest.Pytester) -> None:
    """All runs of the folder; inconclusive fails, and skips where the test says so."""
    three = AGAINST.replace("record()", "record(3)")
    run(pytester, three, "--runbundle-baseline", "release 1").assert_outcomes(passed=1)
    folder = three.replace('"main", store="kept"', '"kept"')
    failed = run(pytester, folder)
    failed.assert_outcomes(failed=1)
    assert "3 cases are too few" in failed.stdout.str()
    skipped = run(pytester, folder.replace('"kept"', '"kept", inconclusive="skip"'), "-rs")
    skipped.assert_outcomes(skipped=1)
    assert "3 cases are too few" in skipped.stdout.str()


def test_what_is_missing_is_said(pytester: pytest.Pytester) -> None:
    """No baseline, a mistake in the policy, no run; a policy that compares nothing needs no baseline."""
    done = run(pytester, """
import pytest
from pathlib import Path

def test_no_baseline(runbundle_gate):
    record()
    with pytest.raises(runbundle.ConfigError, match="there is no baseline main"):
        runbundle_gate("gate.yaml", "main", store="kept")

def test_mistake(runbundle_gate):
    record()
    Path("typo.yaml").write_text(Path("gate.yaml").read_text().replace("margin", "margn"))
    with pytest.raises(runbundle.ConfigError, match="there is no key 'margn' here"):
        runbundle_gate("typo.yaml")

def test_no_run(runbundle_gate):
    with pytest.raises(AssertionError, match="no run was recorded"):
        runbundle_gate("gate.yaml")

def test_alone(runbundle_gate):
    record()
    Path("alone.yaml").write_text("checks: [{id: never, type: invariant, forbidden_tools: [delete]}]")
    assert runbundle_gate("alone.yaml").criteria[0].name == "never"
    with pytest.raises(AssertionError, match="it compares with a baseline, and none was given"):
        runbundle_gate("gate.yaml")
""")  # fmt: skip
    done.assert_outcomes(passed=4)
