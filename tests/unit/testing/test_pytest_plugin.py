"""The pytest plugin: agents' tests assert what was called, and tests that do not use it are left alone."""

import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[3]
AGENT = """
import pytest
import runbundle

@runbundle.tool(keep=["/order"])
def find_order(order, email):
    return "shipped"

@runbundle.tool
def refund(order):
    return None

@runbundle.run
def agent(*tools):
    for tool in tools:
        try:
            tool("A-1", "x@example.com") if tool is find_order else tool("A-1")
        except runbundle.PolicyBlocked:
            pass
"""


def run(pytester: pytest.Pytester, tests: str, *arguments: str) -> pytest.RunResult:
    """Run a test file in a process of its own, with the plugin as an install would load it."""
    pytester.makepyfile(AGENT + tests)
    plugin = ("-p", "no:runbundle", "-p", "runbundle.testing.pytest_plugin")
    return pytester.runpytest_subprocess(*plugin, "-W", "error", *arguments)


def test_assertions_that_hold_pass_and_give_the_calls(pytester: pytest.Pytester) -> None:
    """Each test has its own runs; options of configure() come from the marker."""
    done = run(pytester, '''
def test_calls(runbundle_run):
    agent(find_order, find_order)
    assert len(runbundle_run.called("find_order", times=2)) == 2
    runbundle_run.not_called("refund")
    assert runbundle_run.arguments("find_order", order="A-1")["order"] == "A-1"
    assert runbundle_run.run.verify().verdict == "verified"
    agent(refund)
    runbundle_run.called("refund", times=1)
    assert [run.status for run in runbundle_run.runs] == ["ok", "ok"]

@pytest.mark.runbundle(contracts=[{"name": "refund", "side_effects": "destructive", "data": {}}])
def test_policy(runbundle_run):
    agent(refund)
    assert runbundle_run.blocked("refund").status == "blocked"
    assert runbundle_run.blocked("refund", rule="contract:refund:require_approval")

def test_another(runbundle_run):
    assert runbundle_run.runs == []
    agent(find_order)
    assert runbundle_run.arguments("find_order") == runbundle_run.calls()[0].arguments.view
''', "--strict-markers")  # fmt: skip
    done.assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("assertion", "shown"),
    [
        ('called("weather")', "weather was not called."),
        ('called("find_order", times=3)', "find_order was called once, not 3 times."),
        ('not_called("find_order")', "find_order was called once."),
        ('blocked("find_order")', "no call of find_order was blocked."),
        ('arguments("find_order", order="B-2")', "no call of find_order had order='B-2'."),
        ('arguments("find_order", email="x@example.com")', "withheld, so that it cannot be compared: email"),
        ('arguments("refund", order="A-1")', "withheld, so that it cannot be compared: order"),
    ],
)
def test_an_assertion_that_fails_shows_what_was_called(pytester: pytest.Pytester, assertion: str, shown: str) -> None:
    """With the arguments that contracts keep and how each call ended; the plugin's own frames are hidden."""
    done = run(pytester, f"""
def test_it(runbundle_run):
    agent(find_order, refund)
    runbundle_run.{assertion}
""")  # fmt: skip
    done.assert_outcomes(failed=1)
    output = done.stdout.str()
    assert shown in output
    assert "Called were:" in output
    assert "order='A-1'" in output
    assert "refund(withheld)  ok" in output
    assert "testing/assertions.py" not in output
    assert "@example.com" not in output.replace("email='x@example.com'", "").replace(
        'email="x@example.com"', ""
    ).replace('tool("A-1", "x@example.com")', "")


def test_without_a_run_it_says_so(pytester: pytest.Pytester) -> None:
    """An agent that was never called, or is in no run."""
    done = run(pytester, """
def test_it(runbundle_run):
    runbundle_run.run

def test_called(runbundle_run):
    runbundle_run.called("refund")
""")  # fmt: skip
    done.assert_outcomes(failed=2)
    assert "no run was recorded" in done.stdout.str()
    assert "No tool was called, in 0 runs." in done.stdout.str()


def test_tests_that_do_not_use_it_are_left_alone(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is configured, or imported but the plugin itself, and nothing is written."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # others import what they like
    pytester.makepyfile("""
import sys

def test_it():
    assert not {"opentelemetry", "pydantic", "orjson"} & {name.split(".")[0] for name in sys.modules}
    assert {name for name in sys.modules if name.startswith("runbundle.")} == {
        "runbundle.testing", "runbundle.testing.pytest_plugin"
    }
""")  # fmt: skip
    done = pytester.runpytest_subprocess("-p", "runbundle.testing.pytest_plugin", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=1)
    assert [path.name for path in pytester.path.iterdir() if path.name.startswith(".")] == []


def test_after_a_test_nothing_is_configured(pytester: pytest.Pytester) -> None:
    """The next may configure as it likes; a second configuration within a test is the error that it always is."""
    done = run(pytester, """
def test_first(runbundle_run):
    agent(find_order)
    with pytest.raises(runbundle.ConfigError):
        runbundle.configure(store="memory://")

def test_second():
    with runbundle.configure(store="memory://", spool="spool") as handle:
        agent(find_order)
        assert len(handle.flush().sealed) == 1
""")  # fmt: skip
    done.assert_outcomes(passed=2)


def test_an_install_loads_the_plugin() -> None:
    """By its entry point, which names a module that is there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"runbundle": "runbundle.testing.pytest_plugin"}
