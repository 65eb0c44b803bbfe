"""Habits of the command line: asking before it removes, completions, run state, errors of stores, colours."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runbundle.bundle.custody.retention import plan
from runbundle.bundle.search.filters import RunFilter
from runbundle.cli.main import group
from runbundle.runstate.records import CheckpointKey, CheckpointRecord, Payload, RunRecord
from runbundle.runstate.url import from_url
from runbundle.store import LocalStore
from tests.support.golden import add


def call(*arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(group, arguments, catch_exceptions=False)


def on_a_terminal(answer: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run a command on a terminal and type an answer; return its exit code and what it printed."""
    outer, inner = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "runbundle", *arguments], stdin=inner, stdout=inner, stderr=inner,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    os.close(inner)
    os.write(outer, answer.encode())
    output = b""
    while True:
        try:
            block = os.read(outer, 65536)
        except OSError:
            break
        output += block
    os.close(outer)
    return process.wait(30), output.decode()


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A store with three old runs of two tenants."""
    made = LocalStore(tmp_path / "s")
    for number, key in enumerate(("acme/a", "acme/b", "globex/c")):
        ended = f"2020-01-01T00:00:0{number}.000000000Z"
        add(made, key, number, ended_at=ended, status="error" if key == "acme/b" else "ok")
    return made


@pytest.mark.parametrize("command", [["rm", "a"], ["gc", "--older-than", "1h", "--tenant", "acme", "--status", "ok"]])
def test_a_terminal_is_asked_before_anything_is_removed(store: LocalStore, command: list[str]) -> None:
    """`y` removes, `n` does not; where nobody can be asked it takes --yes."""
    where = ("--store", str(store.root))
    assert call(*command, *where).exit_code == 2
    code, output = on_a_terminal("n\n", *command, *where)
    assert (code, store.exists("acme/a/run.json")) == (130, True), output
    code, output = on_a_terminal("y\n", *command, *where)
    assert (code, store.exists("acme/a/run.json")) == (0, False), output
    assert store.exists("acme/b/run.json")
    assert store.exists("globex/c/run.json")
    assert call(*command[:1], *(["b"] if command[0] == "rm" else command[1:]), "--yes", *where).exit_code == 0


def test_what_is_removed_is_chosen_by_the_bundles(store: LocalStore) -> None:
    """Others are not in the plan, nor counted among the newest."""
    acme = plan(store, older_than=None, keep_last=1, wanted=RunFilter(tenant="acme"))
    assert [(item.key, item.action) for item in acme] == [("acme/b", "last"), ("acme/a", "remove")]
    by_tool = plan(store, older_than=None, keep_last=0, wanted=RunFilter(tool="refund", status="error"))
    assert [item.key for item in by_tool] == ["acme/b"]
    assert len(plan(store, older_than=None, keep_last=0)) == 3


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completions(shell: str) -> None:
    """A script that asks the command; and what it answers."""
    script = call("completion", shell).output
    assert "_RUNBUNDLE_COMPLETE" in script
    asked = {
        **os.environ, "_RUNBUNDLE_COMPLETE": f"{shell}_complete", "COMP_WORDS": "runbundle st", "COMP_CWORD":
        "st" if shell == "fish" else "1",
    }  # fmt: skip
    answer = subprocess.run([sys.executable, "-m", "runbundle"], env=asked, capture_output=True, text=True).stdout
    assert "stats" in answer
    assert "state" in answer


def test_run_state_is_listed_and_its_payloads_are_not_shown(store: LocalStore) -> None:
    """Status, metadata, checkpoints and sizes; nothing is made where there is no state."""
    where = ("--store", str(store.root))
    assert "There is no run state" in call("state", "ls", *where).output
    assert not (store.root / ".state").exists()
    (store.root / ".state").mkdir()
    with from_url(str(store.root / ".state" / "runbundle.sqlite")) as state:
        secret = Payload("json", b"a secret of the agent")
        state.create_run(RunRecord("run-7", "thread-1", payload=secret, metadata={"user": "u1"}))
        key = CheckpointKey("thread-1", "", "c1")
        state.put_checkpoint(CheckpointRecord(key, Payload("json", b"12345"), run_id="run-7", engine="graph"), {})
    assert "run-7" in call("state", "ls", *where).output
    assert call("state", "ls", "--status", "done", *where).output.startswith("There is no such run state")
    for form in ("human", "json"):
        shown = call("state", "show", "run", "--format", form, *where).output
        assert "c1" in shown
        assert "u1" in shown
        assert "secret" not in shown
    wrong = call("state", "show", "rum-7", *where)
    assert (wrong.exit_code, "did you mean run-7?" in wrong.output) == (2, True)
    with from_url(str(store.root / ".state" / "runbundle.sqlite")) as state:
        state.create_run(RunRecord("run-70"))
    either = call("state", "show", "run", *where)
    assert (either.exit_code, "2 runs have ids that begin with run" in either.output) == (2, True)
    assert "run       run-7 " in call("state", "show", "run-7", *where).output


@pytest.mark.parametrize(
    "url", ["ftp://x", "s3:/b", "s3://", "az://container", "file://host/x", "", "http://x", "sqlite:///x",
            "s3://user:pw@bucket/p", "s3://bucket?color=red", "nowhere", "s3://bucket/p?endpoint=http://127.0.0.1:9"],
)  # fmt: skip
@pytest.mark.parametrize("command", ["ls", "stats", "gc --keep-last 1 --dry-run", "rm x", "tail x"])
def test_a_store_that_cannot_be_used_is_an_error_with_a_hint(
    url: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of whatever kind: one line that says what, and one that says what to do."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    url = f"{url}&region=us-east-1&retries=0&timeout_s=1" if "endpoint" in url else url
    done = call(*command.split(), "--store", url)
    assert done.exit_code in (2, 5), done.output
    assert done.output.startswith("error: ")
    assert "\nhint: " in done.output
    assert "pw" not in done.output


def test_colours_are_for_terminals_and_can_be_switched_off(store: LocalStore) -> None:
    """By --no-color wherever it stands, and by NO_COLOR."""
    listing = ("ls", "--store", str(store.root))
    assert "\x1b[" in on_a_terminal("", *listing)[1]
    assert "\x1b[" not in on_a_terminal("", "--no-color", *listing)[1]
    assert "\x1b[" not in on_a_terminal("", *listing, "--no-color")[1]
    assert "\x1b[" not in on_a_terminal("", *listing, NO_COLOR="1")[1]
