"""The examples run as printed, offline, and each leaves a verified bundle.

Those whose packages are in an environment for frameworks are run by `tests/interop/test_examples.py`.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import yaml
from click.testing import CliRunner

from runbundle.bundle.catalog.locate import list_runs
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.cli.commands.gate import command as gate
from runbundle.cli.commands.recover import command as recover
from runbundle.store import LocalStore
from tests.interop.examples import EXAMPLES as ELSEWHERE

EXAMPLES = Path(__file__).parents[2] / "examples"
SAYS = {"06_langgraph_resume.py": ("begin: killed", "answer: T4, T4 is reserved, confirmed: yes")}
"""What an example has to print besides what comes next."""


def run_example(name: str, *arguments: str) -> tuple[str, list[Bundle]]:
    """Run an example in the test's directory; return what it printed and the bundles it left."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    store = LocalStore(".runbundle")
    return done.stdout, [Bundle.open(store, entry.key) for entry in list_runs(store)]


@pytest.mark.parametrize("name", sorted({p.name for p in EXAMPLES.glob("*.py")} - ELSEWHERE.keys()))
def test_each_example_leaves_one_verified_bundle(name: str) -> None:
    """It says what to do next, and what it recorded is verified."""
    output, bundles = run_example(name)
    assert "next: runbundle" in output
    assert all(line in output for line in SAYS.get(name, ()))
    assert len(bundles) == 1
    assert verify(bundles[0].store, bundles[0].key).verdict == "verified"


KILLED = EXAMPLES / "06_langgraph_resume.py"
_UNSEALED = f"""
import functools, runpy, sys, runbundle
runbundle.configure = functools.partial(runbundle.configure, recover=False)
sys.argv[0] = {str(KILLED)!r}
runpy.run_path({str(KILLED)!r}, run_name="__main__")
"""
"""The example, in whose processes nobody seals what a dead one left: it is sealed with the run that goes on."""


@pytest.mark.parametrize(
    ("backend", "sealed", "revision"), [("sqlite", "before", 3), ("postgresql", "before", 3), ("sqlite", "together", 2)]
)
def test_a_langgraph_run_that_was_killed_is_one_verified_bundle(
    backend: str, sealed: str, revision: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Killed in a tool, resumed in a new process, answered in a third: every tool call is there, the killed one too.

    Each process makes a revision. The killed one's is made before the run goes on or with what follows, as the second
    process finds time; so both are brought about here.
    """
    state = f"sqlite://{tmp_path / 's'}" if backend == "sqlite" else request.getfixturevalue("postgres_url")
    program = [str(KILLED)] if sealed == "before" else ["-c", _UNSEALED]

    def part(step: str, killed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", *program, step, "a-thread", state],
            env={**os.environ, "KILLED_HERE": killed}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    begun = part("begin", killed="1")
    assert begun.returncode == -signal.SIGKILL, begun.stderr
    if sealed == "before":
        assert CliRunner().invoke(recover, ["--all"]).exit_code == 0
        assert len(list(list_runs(LocalStore(".runbundle")))) == 1
    for step, said in (
        ("go-on", "go-on: T4, T4 is reserved\n"),
        ("answer", "answer: T4, T4 is reserved, confirmed: yes\n"),
    ):
        done = part(step)
        assert (done.returncode, done.stdout) == (0, said), done.stderr
    store = LocalStore(".runbundle")
    [bundle] = [Bundle.open(store, entry.key) for entry in list_runs(store)]
    assert verify(bundle.store, bundle.key).verdict == "verified"
    assert [(call.tool, call.status) for call in bundle.tool_calls().calls] == [
        ("find_table", "unset"), ("reserve", "interrupted"), ("reserve", "unset"), ("confirm", "unset"),
    ]  # fmt: skip
    index = bundle.index
    assert (index.status, index.completeness.state) == ("ok", "complete")
    assert index.revision == revision
    assert index.resumed_from is not None
    assert len(index.completeness.cut_off or []) == 3
    assert [e["name"] for e in bundle.events() if e["type"] == "span.started" and e["op"] == "step"] == [
        "step look", "step book", "step book", "step ask", "step ask",
    ]  # fmt: skip


def test_each_example_is_in_the_table_and_the_table_names_no_other() -> None:
    """With what it shows, how long it takes and what it needs; in the order of their numbers."""
    rows = re.findall(
        r"^\| \[(\S+)\]\((\S+)\) \| [^|]+ \| \d+ s \| [^|]+ \|$", (EXAMPLES / "README.md").read_text(), re.MULTILINE
    )
    assert [name for name, _ in rows] == sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert all(name == link for name, link in rows)


def test_the_action_calls_the_gate_with_options_that_are_there() -> None:
    """And puts no input into a script as text."""
    action = yaml.safe_load((EXAMPLES / "gate-action" / "action.yml").read_text())
    scripts = [step["run"] for step in action["runs"]["steps"]]
    assert not any("${{" in script for script in scripts)
    words = shlex.split(scripts[-1])
    assert words[:2] == ["runbundle", "gate"]
    known = {option for each in gate.params for option in each.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_contracts_example_shows_before_and_after() -> None:
    """The phone number is in what the tool saw and not in what the bundle has."""
    output, bundles = run_example("02_contracts.py")
    assert "+44 20 7946 0000" in output
    assert "+44" not in bundles[0].read("tool_calls.json").decode()
    assert "[REDACTED:personal:last=00]" in output


def test_pydantic_ai_comes_out_as_our_own_decorators_do() -> None:
    """Its tool calls and model calls are in tool_calls.json and events.jsonl, by its own instrumentation alone."""
    _, bundles = run_example("04_pydantic_ai.py")
    bundle = bundles[0]
    calls = bundle.tool_calls().calls
    assert sorted(c.tool for c in calls) == ["free_rooms", "weather"]
    weather = next(c for c in calls if c.tool == "weather")
    assert weather.arguments is not None
    assert weather.arguments.view == {"city": "a"}
    assert weather.agent == "concierge"
    assert bundle.index.counts.model_calls == 2
    assert bundle.index.usage["input_tokens"] > 0
    assert bundle.index.versions.engine is not None
    assert bundle.index.versions.engine.name.startswith("pydantic-ai")
    assert [e["name"] for e in bundle.events() if e["type"] == "span.ended" and e["op"] == "model"] == ["chat test"] * 2
    for text in (b"Will it rain", b"sunny in", b"Help the guest"):
        assert text not in bundle.read("events.jsonl") + bundle.read("tool_calls.json")
    orjson.loads(bundle.index_bytes)
