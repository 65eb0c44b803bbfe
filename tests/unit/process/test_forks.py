"""Fork hooks: run by stage, whatever the order of imports, and one that fails keeps none of the others from running."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import runbundle
from runbundle.process import forks
from runbundle.process.forks import Stage

SRC = Path(runbundle.__file__).parent
_ALL = """
import importlib, os, random, sys
names = {names!r}
random.Random({seed}).shuffle(names)
for name in names:
    importlib.import_module(name)
from runbundle.process import forks
if {ran!r} == "really":
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
for moment in ("before", "in_child", "in_parent"):
    for hooks in sorted(forks._hooks, key=forks._stage):
        hook = getattr(hooks, moment)
        if hook is not None:
            print(moment, hooks.stage.name, hook.__module__ if hasattr(hook, "__module__") else "builtin")
"""


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> list:
    """An empty table of hooks."""
    empty: list = []
    monkeypatch.setattr(forks, "_hooks", empty)
    return empty


def test_stages_decide_the_order_and_not_who_registered_first(hooks: list) -> None:
    """In the child and the parent the stages run as the table has them, before a fork the other way round."""
    ran: list[tuple[str, Stage]] = []
    for stage in reversed(Stage):
        forks.before(stage, lambda stage=stage: ran.append(("before", stage)))
        forks.around(stage, in_parent=lambda stage=stage: ran.append(("parent", stage)))
        forks.in_child(stage, lambda stage=stage: ran.append(("child", stage)))
    forks._before()
    forks._in_parent()
    forks._in_child()
    assert ran == [
        *(("before", stage) for stage in reversed(Stage)),
        *(("parent", stage) for stage in Stage),
        *(("child", stage) for stage in Stage),
    ]


@pytest.mark.parametrize("error", [ValueError("s3cret"), KeyboardInterrupt("s3cret")], ids=["fault", "interrupt"])
def test_a_hook_that_fails_is_logged_without_its_values_and_the_others_run(
    hooks: list, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    """A hook that fails is named in the log, by its kind of error alone, and the stages after it run."""
    ran: list[str] = []

    def fails() -> None:
        raise error

    forks.in_child(Stage.LEAVES, fails)
    forks.in_child(Stage.SINKS, lambda: ran.append("sink"))
    with caplog.at_level(logging.ERROR, "runbundle"):
        forks._before()
        forks._in_child()
    assert ran == ["sink"]
    assert "fails (LEAVES) failed: " + type(error).__name__ in caplog.text
    assert "s3cret" not in caplog.text


def test_the_interpreter_is_told_once(hooks: list, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many hooks there are, one function for each moment is registered with the interpreter."""
    told: list[dict] = []
    monkeypatch.setattr(forks, "_known", False)
    monkeypatch.setattr(os, "register_at_fork", lambda **given: told.append(given))
    for stage in Stage:
        forks.in_child(stage, lambda: None)
    assert len(told) == 1
    assert set(told[0]) == {"before", "after_in_parent", "after_in_child"}


def test_where_nothing_forks_nothing_is_registered(hooks: list, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a platform without fork a hook is taken and never called."""
    monkeypatch.setattr(forks, "_known", False)
    monkeypatch.delattr(os, "register_at_fork")
    forks.in_child(Stage.LEAVES, lambda: None)
    assert not forks._known


def test_nobody_else_registers_with_the_interpreter() -> None:
    """No other module of the source calls `os.register_at_fork`: its hooks would run in the order of imports."""
    found = {
        path.relative_to(SRC).as_posix()
        for path in SRC.rglob("*.py")
        if re.search(r"register_at_fork\(", path.read_text())
    }
    assert found == {"process/forks.py"}


def test_the_real_hooks_run_in_one_order_whatever_was_imported_first() -> None:
    """Two shuffled orders of import give the same stages, each hook in its own, and no stage is without one."""
    users = sorted(
        "runbundle." + path.relative_to(SRC).with_suffix("").as_posix().replace("/", ".")
        for path in SRC.rglob("*.py")
        if "forks.Stage." in path.read_text()
    )
    assert len(users) >= 12
    printed = [_run(users, seed, ran) for seed, ran in ((1, "really"), (2, ""))]
    stages = [[line.split()[:2] for line in text.splitlines()] for text in printed]
    assert stages[0] == stages[1]
    assert sorted(printed[0].splitlines()) == sorted(printed[1].splitlines())
    assert {stage for moment, stage in stages[0] if moment == "in_child"} == set(Stage.__members__)


def _run(names: list[str], seed: int, ran: str) -> str:
    code = _ALL.format(names=names, seed=seed, ran=ran)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_what_is_registered_while_a_thread_forks_is_not_half_run(hooks: list) -> None:
    """Its half after the fork would undo what its half before has never done."""
    ran: list[str] = []
    forks.in_child(Stage.LEAVES, lambda: ran.append("known"))
    forks._before()
    forks.around(Stage.DATABASES, before=lambda: ran.append("before"), in_child=lambda: ran.append("after"))
    forks._in_child()
    assert ran == ["known"]


_SLOW = "import time, pathlib\npathlib.Path({begun!r}).touch()\ntime.sleep(0.5)\nwhole = True\n"
_FORKS = """
import os, pathlib, signal, sys, threading, time
from runbundle.process import forks

def load():
    with forks.loading():
        import slow

threading.Thread(target=load).start()
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.001)
child = os.fork()
if child == 0:
    signal.alarm(20)
    import slow
    os._exit(0 if slow.whole else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_fork_waits_for_what_a_thread_of_ours_is_loading(tmp_path: Path) -> None:
    """Its child would wait for ever for a module that nobody loads any more."""
    begun = tmp_path / "begun"
    (tmp_path / "slow.py").write_text(_SLOW.format(begun=str(begun)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(SRC.parent)])}
    done = subprocess.run([sys.executable, "-c", _FORKS, str(begun)], env=environment, timeout=60, check=False)
    assert done.returncode == 0
