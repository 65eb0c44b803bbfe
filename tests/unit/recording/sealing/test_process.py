"""A process of ours that seals: it does what a thread does, and if it does not, a thread does."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.errors import ConfigError
from runbundle.journal.segment import SegmentLines, SegmentWriter
from runbundle.journal.spool import spooled_runs
from runbundle.recording import sealer
from runbundle.recording.results import Wanted
from runbundle.recording.sealing import process as module
from runbundle.recording.sealing import publisher
from runbundle.recording.sealing.process import SEAL_PROCESS, SealProcess
from runbundle.recording.sealing.publisher import Publisher
from runbundle.recording.writing.segments import Segments
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.store import LocalStore

Configured = Callable[..., runbundle.Handle]
TOKEN = "ghp_" + "Zq7Xw2Vt" * 4 + "Zq7X"
CONTRACT = {"name": "search", "data": {"rules": [{"selector": "/query", "target": "input", "action": "keep"}]}}


@pytest.fixture(scope="module", autouse=True)
def _stays() -> Iterator[None]:
    """Keep the process from test to test."""
    SEAL_PROCESS.join()
    yield
    SEAL_PROCESS.leave()
    assert SEAL_PROCESS.pid == 0


@pytest.fixture
def process(_clean_process: None) -> SealProcess:
    """The process that seals, ready."""
    SEAL_PROCESS._starts = 0  # pyright: ignore[reportPrivateUsage]
    assert SEAL_PROCESS.ready(60)
    return SEAL_PROCESS


def some_runs(number: int = 4) -> None:
    """Do runs of several kinds."""
    for one in range(number):
        with runbundle.start_run("work", run_id=f"r{one}", tenant_id="acme" if one % 2 else None):
            call = runbundle.start_tool("search", {"query": "q", "n": one})
            with runbundle.start_agent("planner"), call:
                call.set_output({"hits": ["a"]})
            try:
                with runbundle.start_step("fails"):
                    raise ValueError
            except ValueError:
                pass


def counts_of(handle: runbundle.Handle) -> dict[str, int]:
    """Return how many runs were sealed by whom."""
    return dict(handle.recorder._sealer._publisher.counts)  # pyright: ignore[reportPrivateUsage]


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files of a store."""
    store = LocalStore(folder)
    return {key: store.get(key) for key in store.list()}


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged of the process."""
    return [record.getMessage() for record in caplog.records if "process that seals" in record.getMessage()]


def waits_for_seal(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, work: Callable[[], Any]
) -> Path:
    """Leave runs in a spool that nobody seals; return it."""
    with monkeypatch.context() as patch:
        patch.setattr(sealer.Sealer, "_start_thread", lambda _: None)
        patch.setattr(sealer.Sealer, "flush", lambda *_, **__: sealer.FlushResult())
        handle = configured(contracts=[CONTRACT], store=tmp_path / "first", recover=False)
        work()
        handle.shutdown()
    return tmp_path / "first" / ".spool"


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("ours", [False, True])
def test_the_bundles_are_the_same_byte_for_byte(
    together: bool,
    ours: bool,
    process: SealProcess,
    configured: Configured,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Of several tenants, alone and together, of this process and of another, and with the revision of one."""
    first = waits_for_seal(configured, monkeypatch, tmp_path, some_runs)
    runs = spooled_runs(first)
    assert len(runs) == 4
    own = str(os.getpid()) if ours else ""
    late = waits_for_seal(configured, monkeypatch, tmp_path / "late", lambda: some_runs(1))
    made: list[dict[str, bytes]] = []
    for by in ("thread", "process"):
        who, root = Publisher(by), tmp_path / by
        outcomes: list[Any] = []
        for spool, number in ((first, 4), (late, 1)):
            copied = shutil.copytree(spool, root / "spool", dirs_exist_ok=True)
            assert len(spooled_runs(copied)) == number
            if together and number > 1:
                wanted = [Wanted(run, True, None) for run in runs]
                outcomes.append(who.publish_together(LocalStore(root / "store"), copied, wanted, own=own))
            else:
                each = spooled_runs(copied)
                outcomes += [who.publish(LocalStore(root / "store"), copied, run, own=own) for run in each]
        assert dict(who.counts) == {by: 5}
        assert spooled_runs(root / "spool") == []
        made.append(files_of(root / "store") | {"outcomes": repr(outcomes).encode()})
        who.close()
    assert made[0] == made[1]
    assert any(name.startswith("r0/revisions/") for name in made[0])
    assert {verify(LocalStore(tmp_path / "process" / "store"), run.path).verdict for run in runs[1:]} == {"verified"}
    assert process.pid


def test_it_reads_runs_in_a_segment_where_they_are(
    process: SealProcess, configured: Configured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Their bundles are those of a thread; a run whose lines it cannot read there gets a journal."""
    monkeypatch.setattr(Segments, "_is_busy", lambda of, now: of._begun.append(now) or True)
    made: list[list[str]] = []
    for by in ("thread", "process"):
        handle = configured(contracts=[CONTRACT], store=tmp_path / by, recover=False, seal=by)
        some_runs()
        made.append(sorted(handle.flush().sealed))
        assert counts_of(handle) == {by: 4}
        assert list((tmp_path / by / ".spool").iterdir()) == []
        assert {verify(handle.store, key).verdict for key in made[-1]} == {"verified"}
        if by == "process":
            monkeypatch.setattr(SegmentWriter, "place", lambda of: SegmentLines(tmp_path / "gone", (), of.size_bytes))
            with runbundle.start_run("work", run_id="elsewhere"):
                pass
            assert handle.flush().sealed == ["elsewhere"]
            assert counts_of(handle) == {by: 5}
        handle.shutdown()
    assert made[0] == made[1]


def test_it_has_nothing_of_the_agent_but_what_it_needs(
    process: SealProcess, configured: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file of its, no variable, no secret in what others may read; no signal for the agent ends it."""
    handle = configured(seal="process")
    about = Path(f"/proc/{process.pid}")
    runbundle.register_secret("a secret of the agent's")
    with (tmp_path / "open").open("w"), runbundle.start_run("r"):
        pass
    assert handle.flush()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(process.pid, number)
    with runbundle.start_run("r"):
        pass
    assert handle.flush()
    assert counts_of(handle) == {"process": 2}
    shown = (about / "cmdline").read_bytes() + (about / "environ").read_bytes()
    assert b"secret" not in shown
    assert {part.partition(b"=")[0].decode() for part in (about / "environ").read_bytes().split(b"\0")} <= {
        *module._ENVIRONMENT, "", "LC_CTYPE"  # pyright: ignore[reportPrivateUsage]
    }  # fmt: skip
    files = {path.readlink().as_posix().partition(":")[0] for path in (about / "fd").iterdir()}
    assert files - {os.devnull, "socket"} <= {path for path in files if "cache" in path}  # the index is open


def test_a_known_secret_is_found_there(
    process: SealProcess, configured: Configured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: Any
) -> None:
    """One that was registered after the process was started; what it logs is logged here."""

    def leak() -> None:
        with (
            runbundle.start_run("work", run_id="leaks", config={"x": 1}) as run,
            runbundle.start_step("violet-kettle-77"),
        ):
            assert run

    spool = waits_for_seal(configured, monkeypatch, tmp_path, leak)
    runbundle.register_secret("violet-kettle-77")
    who, store = Publisher("process"), LocalStore(tmp_path / "store")
    published = [who.publish(store, spool, run) for run in spooled_runs(spool)]
    assert [one.key for one in published if one] == ["leaks"]
    assert dict(who.counts) == {"process": 1}
    assert b"violet-kettle-77" not in b"".join(files_of(tmp_path / "store").values())
    assert KNOWN.after(0)
    who.close()


def test_killed_it_is_missed_by_nobody(
    process: SealProcess, configured: Configured, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread does its work, and says so once; another is started."""
    handle = configured(seal="process")
    for number in range(3):
        os.kill(process.pid, signal.SIGKILL)
        with runbundle.start_run("work", run_id=f"r{number}"):
            pass
        assert handle.flush().sealed == [f"r{number}"]
        assert process.ready(60) or number == 2
    assert counts_of(handle) == {"thread": 3}
    assert said(caplog) == ["the process that seals ended; its work is done by a thread of this process"]
    handle.shutdown()


def test_stopped_it_is_waited_for_so_long_and_then_killed(
    process: SealProcess, configured: Configured, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left of it."""
    monkeypatch.setattr(publisher, "_WAIT_S", 0.3)
    handle, pid = configured(seal="process"), process.pid
    os.kill(pid, signal.SIGSTOP)
    some_runs()
    assert len(handle.flush().sealed) == 4
    assert counts_of(handle) == {"thread": 4}
    assert said(caplog) == [
        "the process that seals did not answer in time; its work is done by a thread of this process"
    ]
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import sys; sys.stdin.readline(); print('hello', flush=True); sys.stdin.readline()", "answered nonsense"),
        ("import sys; sys.stdin.readline(); print({ready!r}, end='', flush=True); sys.stdin.readline(); print('[1]')",
         "answered nonsense"),
        ("raise SystemExit", "ended"),
    ],
)  # fmt: skip
def test_nonsense_is_taken_for_no_answer(
    program: str, why: str, configured: Configured, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the other end is."""
    mine = SealProcess()
    monkeypatch.setattr(module, "SEAL_PROCESS", mine)
    monkeypatch.setattr(module, "_PROGRAM", program.format(ready=module.READY.decode()))
    handle = configured(seal="process")
    for number in range(60):
        with runbundle.start_run("work", run_id=f"r{number}"):
            pass
        assert handle.flush().sealed == [f"r{number}"]
        if said(caplog):
            break
        time.sleep(0.1)
    assert said(caplog) == [f"the process that seals {why}; its work is done by a thread of this process"]
    assert set(counts_of(handle)) == {"thread"}
    handle.shutdown()


class Own(LocalStore):
    """A store of somebody's own, which may do anything."""


def test_a_store_of_anybodys_own_is_sealed_by_a_thread(
    process: SealProcess, configured: Configured, tmp_path: Path
) -> None:
    """The process would open another."""
    handle = configured(seal="process", store=Own(tmp_path / "own"))
    some_runs(2)
    assert len(handle.flush().sealed) == 2
    assert counts_of(handle) == {"thread": 2}


def test_an_agent_that_is_its_own_interpreter_is_not_started_again(
    configured: Configured, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one program in one file, or where Python is embedded."""
    monkeypatch.setattr(module, "SEAL_PROCESS", SealProcess())
    monkeypatch.setattr(sys, "executable", "/usr/sbin/a-web-server")
    handle = configured(seal="process")
    some_runs(2)
    assert len(handle.flush().sealed) == 2
    assert said(caplog) == [
        "the process that seals could not be started (ValueError); its work is done by a thread of this process"
    ]


def test_it_ends_with_the_last_who_needs_it(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves no zombie; what is sealed later is sealed by who asks."""
    mine = SealProcess()
    monkeypatch.setattr(module, "SEAL_PROCESS", mine)
    handle = configured(seal="process")
    other = Publisher("process")
    assert mine.ready(60)
    pid = mine.pid
    other.close()
    assert mine.pid == pid
    handle.shutdown()
    assert mine.pid == 0
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_a_forked_process_has_one_of_its_own(process: SealProcess, configured: Configured) -> None:
    """It leaves its parent's alone, and the parent's goes on."""
    handle, pid = configured(seal="process"), process.pid
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert process.pid == 0
            assert process.ready(60)
            with runbundle.start_run("work", run_id="forked"):
                pass
            assert handle.flush().sealed == ["forked"]
            assert counts_of(handle) == {"process": 1}
            os.write(writes, str(process.pid).encode())
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert os.read(reads, 20) != str(pid).encode()
    os.close(reads)
    os.close(writes)
    with runbundle.start_run("work", run_id="mine"):
        pass
    assert handle.flush().sealed == ["mine"]
    assert counts_of(handle) == {"process": 1}
    assert process.pid == pid
    assert Bundle.open(handle.store, "forked").index.status == "ok"


def test_the_variable_says_who_seals(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the argument does; another word is refused."""
    monkeypatch.setenv("RUNBUNDLE_SEAL", "process")
    assert publisher.sealed_by() == "process"
    assert publisher.sealed_by("thread") == "thread"
    monkeypatch.setenv("RUNBUNDLE_SEAL", "processes")
    with pytest.raises(ConfigError, match="RUNBUNDLE_SEAL"):
        configured()
