"""What becomes of runs whose journals somebody else removes, and of runs that dead processes leave: real processes."""

import errno
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.cli.main import group
from runbundle.format.identity import RunKey
from runbundle.journal.lines import line_of
from runbundle.journal.spool import spooled_runs
from runbundle.recording import publish, sealer, sweep
from runbundle.recording.losses import read_losses
from runbundle.recording.recovery import recover
from runbundle.signals.records import SpanRecord

Configured = Callable[..., runbundle.Handle]


def in_child(work: Callable[[], Any]) -> int:
    """Do something in a forked process that ends without any ceremony; return its exit code."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def waited_for(condition: Callable[[], Any], seconds: float = 15.0) -> bool:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def spool_of(handle: runbundle.Handle) -> Path:
    """Where its journals lie."""
    return handle.recorder.spool


def _remove_spool(handle: runbundle.Handle, run_id: str) -> None:
    shutil.rmtree(spool_of(handle))


def _remove_journals(handle: runbundle.Handle, run_id: str) -> None:
    for path in (spool_of(handle) / run_id).iterdir():
        path.unlink()


def _truncate(handle: runbundle.Handle, run_id: str) -> None:
    for path in (spool_of(handle) / run_id).iterdir():
        os.truncate(path, 0)


def _truncate_in_the_page(handle: runbundle.Handle, run_id: str) -> None:
    for path in (spool_of(handle) / run_id).iterdir():
        os.truncate(path, 10)


def _replace(handle: runbundle.Handle, run_id: str) -> None:
    for path in (spool_of(handle) / run_id).iterdir():
        path.with_suffix(".tmp").write_bytes(b"")
        path.with_suffix(".tmp").replace(path)


@pytest.mark.parametrize("act", [_remove_spool, _remove_journals, _truncate, _truncate_in_the_page, _replace])
def test_what_somebody_takes_from_a_journal_is_counted_and_the_rest_is_sealed(configured: Configured, act: Any) -> None:
    """In the middle of a run: the agent goes on, `flush()` is false, and the bundle says how many are missing."""
    handle = configured()
    with runbundle.start_run("r", run_id="r"):
        with runbundle.start_step("a"):
            pass
        act(handle, "r")
        with runbundle.start_step("b"):
            pass
        with runbundle.start_step("c"):
            pass
    result = handle.flush()
    assert not result
    assert (result.sealed, result.failed, result.pending) == (["r"], {}, 0)
    (lost,) = result.dropped.values()
    bundle = Bundle.open(handle.store, "r")
    assert result.dropped == {"journal_lost": lost}
    assert 1 <= lost <= 3
    assert bundle.index.completeness.dropped == {"journal": lost}
    assert bundle.index.counts.spans == 4 - lost
    assert verify(handle.store, "r").verdict == "incomplete"


@pytest.mark.parametrize("act", [_remove_spool, _remove_journals, _truncate, _replace])
def test_a_run_whose_journals_go_between_its_end_and_its_seal_has_failed(configured: Configured, act: Any) -> None:
    """Nobody has sealed it, so that nothing in the spool is no success."""
    handle = configured(grace_s=0.5)
    left = runbundle.start_step("left")
    with runbundle.start_run("r", run_id="r"):
        left.start()
    act(handle, "r")
    result = handle.flush()
    assert not result
    assert result.dropped == {"journal_lost": 1}
    if act is not _truncate:
        assert result.sealed == []
    left.finish()


def test_a_closed_journal_that_is_removed_before_the_seal_is_counted(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer has let go of it: whoever finds nothing to seal knows how many there were."""
    handle = configured()
    real = publish.publish

    def late(*args: Any, **options: Any) -> Any:
        shutil.rmtree(spool_of(handle), ignore_errors=True)
        return real(*args, **options)

    monkeypatch.setattr(publish, "publish", late)
    with runbundle.start_run("r", run_id="r"), runbundle.start_step("a"):
        pass
    result = handle.flush()
    assert not result
    assert result.dropped == {"journal_lost": 2}
    assert result.failed == {"r": "its journals are gone from the spool"}


def test_nothing_to_seal_is_a_success_if_somebody_else_has_sealed_it(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another process that was asked to recover."""
    handle = configured(recover=False)
    real = publish.publish

    def late(*args: Any, **options: Any) -> Any:
        recover(handle.store, spool_of(handle), RunKey("", "r"))
        return real(*args, **options)

    monkeypatch.setattr(publish, "publish", late)
    with runbundle.start_run("r", run_id="r"):
        pass
    assert handle.flush()
    assert Bundle.open(handle.store, "r").index.status == "ok"


def test_a_bundle_of_another_time_does_not_stand_for_records_that_are_gone(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of that id is sealed, from other traces: what was recorded now is lost all the same."""
    handle = configured()
    with runbundle.start_run("r", run_id="r"):
        pass
    assert handle.flush().sealed == ["r"]
    real = publish.publish

    def late(*args: Any, **options: Any) -> Any:
        shutil.rmtree(spool_of(handle), ignore_errors=True)
        return real(*args, **options)

    monkeypatch.setattr(publish, "publish", late)
    with runbundle.start_run("r", run_id="r"):
        pass
    result = handle.flush()
    assert result.dropped.get("journal_lost") == 1
    assert "r" in result.failed


def test_what_a_process_lost_is_said_when_it_is_gone(configured: Configured) -> None:
    """A worker loses records and is killed before anybody asks it."""
    handle = configured(recover=False)

    def work() -> None:
        with runbundle.start_run("r", run_id="r"):
            with runbundle.start_step("a"):
                pass
            _truncate(handle, "r")
            with runbundle.start_step("b"):
                pass
            waited_for(lambda: read_losses(spool_of(handle)), 5)
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(work) == -signal.SIGKILL
    store = str(handle.store.root)  # type: ignore[attr-defined]
    assert "lost: 1 record in 1 process" in CliRunner().invoke(group, ["ls", "--store", store]).output
    done = CliRunner().invoke(group, ["doctor", "--store", store])
    assert "1 journal_lost, of r" in done.output
    assert done.exit_code == 1


def test_runs_of_dead_workers_are_sealed_while_the_parent_lives(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent has recorded nothing itself; some workers just end, one is killed inside its run."""
    monkeypatch.setattr(sweep, "SWEEP_EVERY_S", 0.2)
    monkeypatch.setattr(sealer, "_QUIET_S", 0.2)
    handle = configured(grace_s=0.2)

    def task(number: int) -> None:
        with runbundle.start_run("task", run_id=f"t{number}"), runbundle.start_tool("work", {"n": number}):
            if number == 3:
                os.kill(os.getpid(), signal.SIGKILL)

    for number in range(4):
        in_child(lambda number=number: task(number))  # type: ignore[misc]
    assert waited_for(lambda: not spooled_runs(spool_of(handle)))
    result = handle.flush()
    assert sorted(result.sealed) == ["t0", "t1", "t2", "t3"]
    assert [Bundle.open(handle.store, f"t{n}").index.status for n in range(4)] == ["ok", "ok", "ok", "interrupted"]


def test_a_sweep_leaves_live_runs_alone(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this process and those of others."""
    monkeypatch.setattr(sweep, "SWEEP_EVERY_S", 0.05)
    monkeypatch.setattr(sealer, "_QUIET_S", 0.0)
    handle = configured(grace_s=0.05)
    ready, go = os.pipe(), os.pipe()

    def other() -> None:
        with runbundle.start_run("theirs", run_id="theirs"):
            os.write(ready[1], b"x")
            os.read(go[0], 1)
        assert runbundle.otel.active.get().flush()  # type: ignore[attr-defined, union-attr]

    pid = os.fork()
    if pid == 0:
        try:
            other()
        finally:
            os._exit(0)
    os.read(ready[0], 1)
    with runbundle.start_run("ours", run_id="ours"):
        time.sleep(0.5)
        assert not list(handle.store.list_dirs())
    os.write(go[1], b"x")
    os.waitpid(pid, 0)
    handle.flush()
    for run in ("ours", "theirs"):
        bundle = Bundle.open(handle.store, run)
        assert (bundle.index.status, bundle.index.revision) == ("ok", 1)


def test_a_part_that_nothing_joins_is_sealed_by_itself_in_the_end(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After a day; until then it waits, and is said to. Its bundle is incomplete, with a finding."""
    monkeypatch.setattr(sweep, "SWEEP_EVERY_S", 0.1)
    monkeypatch.setattr(sealer, "_QUIET_S", 0.1)
    handle = configured(grace_s=0.05)
    _leave_part(handle, "elsewhere")
    handle.flush()
    time.sleep(0.6)
    assert [key.run_id for key in spooled_runs(spool_of(handle))] == ["elsewhere"]
    listed = CliRunner().invoke(group, ["ls", "--store", str(tmp_path / "store"), "--format", "json"])
    assert [(row["key"], row["state"], row["part"]) for row in json.loads(listed.stdout)] == [
        ("elsewhere", "waiting", True)
    ]
    yesterday = time.time() - 90_000
    for path in (spool_of(handle) / "elsewhere").iterdir():
        os.utime(path, (yesterday, yesterday))
    monkeypatch.setattr(sweep, "_LOOK_AGAIN_S", 0.1)
    assert waited_for(lambda: not spooled_runs(spool_of(handle)))
    handle.flush()
    bundle = Bundle.open(handle.store, "elsewhere")
    assert bundle.index.status == "incomplete"
    assert verify(handle.store, "elsewhere").findings


def test_parts_are_bounded_in_number(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are sealed by themselves."""
    monkeypatch.setattr(sweep, "SWEEP_EVERY_S", 0.1)
    monkeypatch.setattr(sweep, "PARTS_KEPT", 2)
    monkeypatch.setattr(sealer, "_QUIET_S", 0.1)
    handle = configured(grace_s=0.05)
    for number in range(4):
        _leave_part(handle, f"part{number}")
        time.sleep(0.02)
    assert waited_for(lambda: len(spooled_runs(spool_of(handle))) == 2)
    time.sleep(0.5)
    assert [key.run_id for key in spooled_runs(spool_of(handle))] == ["part2", "part3"]


def _leave_part(handle: runbundle.Handle, run_id: str) -> None:
    """Record the end of a span of a run that this process did not begin."""
    record: SpanRecord = {
        "run_id": run_id, "tenant_id": "", "trace_id": os.urandom(16).hex(), "span_id": os.urandom(8).hex(),
        "parent_span_id": os.urandom(8).hex(), "remote_parent": True, "trace_state": "", "name": "t", "kind": 0,
        "start_ns": 10**18, "end_ns": 10**18 + 1, "status_code": 1, "status_message": "",
        "attributes": {"runbundle.op": "tool"}, "events": [], "links": [], "dropped": {},
        "scope": {"name": "", "version": "", "attributes": {}, "schema_url": ""},
        "resource": {"attributes": {}, "schema_url": ""},
    }  # fmt: skip
    handle.recorder.ended(line_of("span", record), is_root=False)


@pytest.mark.parametrize("code", ["EMFILE", "ENFILE", "ENOLCK", "EAGAIN", "ESTALE"])
def test_a_fault_that_passes_is_tried_again(configured: Configured, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """No descriptors, no locks, a server that has just come back: the run is sealed when it has passed."""
    monkeypatch.setattr(sealer, "_RETRY_FIRST_S", 0.05)
    handle = configured(recover=False)
    real, failures = publish.free_files, [0]

    def refused(*args: Any) -> Any:
        failures[0] += 1
        if failures[0] <= 2:
            raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))
        return real(*args)

    monkeypatch.setattr(publish, "free_files", refused)
    with runbundle.start_run("r", run_id="r"):
        pass
    assert waited_for(lambda: (spool_of(handle).parent / "r" / "run.json").exists(), 5)
    assert handle.flush()


def test_a_run_given_up_is_said_by_those_who_come_later(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is no passing fault is noted beside the run, and gone from there once somebody has sealed it."""
    handle = configured(recover=False)

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(publish, "publish", broken)
        with runbundle.start_run("r", run_id="r"):
            pass
        assert handle.flush().failed == {"r": "ZeroDivisionError while sealing"}
    handle.shutdown()
    store = str(tmp_path / "store")
    rows = json.loads(CliRunner().invoke(group, ["ls", "--store", store, "--format", "json"]).stdout)
    assert [(row["key"], row["state"], row["note"]) for row in rows] == [
        ("r", "failed", "ZeroDivisionError while sealing")
    ]
    assert CliRunner().invoke(group, ["recover", "r", "--store", store]).exit_code == 0
    rows = json.loads(CliRunner().invoke(group, ["ls", "--store", store, "--format", "json"]).stdout)
    assert [(row["key"], row["state"]) for row in rows] == [("r", "sealed")]


def test_configure_says_what_the_ground_lacks(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And records all the same: without maps by plain writes."""
    from runbundle.recording import probe

    monkeypatch.setattr(probe, "_known", {})
    monkeypatch.setattr(probe, "_maps", lambda fd: False)
    handle = configured()
    assert "RB909" in caplog.text
    with runbundle.start_run("r", run_id="r"):
        (journal,) = (spool_of(handle) / "r").iterdir()
        assert not journal.read_bytes().endswith(b"\0")
    assert handle.flush()
