"""`tail` follows a process of its own: to the seal, to its death, and until Ctrl-C."""

import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.support.mixed_store import live_run


def tail(*arguments: str) -> subprocess.Popen[str]:
    """Start the command. It takes Ctrl-C, even if the tests run in the background, where a shell ignores it."""
    return subprocess.Popen(
        [sys.executable, "-m", "runbundle", "tail", *arguments], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def until(process: subprocess.Popen[str], text: str) -> None:
    """Read lines up to one with this text."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"it ended before {text}")


@pytest.mark.alone  # it gives up on a run that is not sealed ten seconds after its end
@pytest.mark.timeout(60)
def test_a_run_is_followed_until_it_is_sealed(tmp_path: Path) -> None:
    """Each event once, as it comes; the verdict says how it was sealed."""
    live = live_run(tmp_path / "s", "r-1")
    following = tail("-f", "r-1", "--store", str(tmp_path / "s"), "--format", "json")
    until(following, '"name":"refund"')
    assert live.stdin is not None
    live.stdin.write("x\n")
    live.stdin.flush()
    until(following, "search_web")
    live.communicate()
    out, _ = following.communicate()
    last = json.loads(out.splitlines()[-1])
    assert (following.returncode, last["verdict"], last["note"]) == (0, "sealed", "sealed: ok, complete")
    assert sum('"refund"' in line for line in out.splitlines()) == 1


@pytest.mark.timeout(60)
def test_a_run_is_followed_until_its_process_dies(tmp_path: Path) -> None:
    """Then it is crashed, and not waited for."""
    live = live_run(tmp_path / "s", "r-1")
    following = tail("-f", "r-1", "--store", str(tmp_path / "s"))
    until(following, "> tool refund")
    live.kill()
    live.communicate()
    out, _ = following.communicate()
    assert (following.returncode, "== crashed: its process died" in out) == (3, True)


@pytest.mark.timeout(60)
def test_all_runs_are_followed_until_ctrl_c(tmp_path: Path) -> None:
    """It exits with 130 and no traceback; options choose the runs."""
    live = live_run(tmp_path / "s", "r-1")
    following = tail("--all", "--store", str(tmp_path / "s"), "--tool", "find_order")
    until(following, "> tool refund")
    other = tail("--all", "--store", str(tmp_path / "s"), "--tool", "nothing")
    assert other.stderr is not None
    assert "waiting for a run" in other.stderr.readline()
    for process in (following, other):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        assert (process.returncode, out) == (130, "")
        assert "Traceback" not in err
    live.kill()
    live.communicate()
