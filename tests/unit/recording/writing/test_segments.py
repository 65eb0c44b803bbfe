"""A busy process puts its runs into segments, and nobody can tell by what comes of them."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.search.filters import RunFilter
from runbundle.bundle.verify import verify
from runbundle.cli.listing.tailing import Tail
from runbundle.errors import StoreUnavailable
from runbundle.format.identity import RunKey
from runbundle.inspect.snapshot import snapshot
from runbundle.journal import segment as file_of_runs
from runbundle.journal.apart import segments_in, take_apart
from runbundle.journal.spool import folder_of, spooled_runs
from runbundle.recording import sealer
from runbundle.recording.publish import publish
from runbundle.recording.recorder import Recorder
from runbundle.recording.waiting import contents, unsealed_named, unsealed_runs
from runbundle.recording.writing import segments as module
from runbundle.store import LocalStore

R = RunKey("", "r")


def late_step() -> None:
    """Be a step."""
    with runbundle.start_step("late"):
        pass


def one_run(run_id: str = "r", *, steps: int = 2, tenant_id: str | None = None) -> None:
    """Do a run."""
    with runbundle.start_run("work", run_id=run_id, tenant_id=tenant_id):
        for number in range(steps):
            with runbundle.start_tool("find", {"n": number}):
                pass


def test_a_process_is_busy_from_the_seventeenth_run_of_a_second_on(
    configured: Callable[..., runbundle.Handle], idle: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before that each run is in a place of its own, where everybody sees it at once."""
    at = time.monotonic()
    clock = SimpleNamespace(monotonic=lambda: at, sleep=time.sleep)
    monkeypatch.setattr(module, "time", clock)  # all of it is one second, however slow the machine
    handle = configured()
    for number in range(20):
        one_run(f"r{number}")
    spool = handle.recorder.spool
    assert spooled_runs(spool) == sorted(RunKey("", f"r{number}") for number in range(16))
    assert [run.key.run_id for run in unsealed_runs(spool) if run.lines] == ["r19", "r18", "r17", "r16"]
    idle()
    assert len(handle.flush().sealed) == 20
    assert list(spool.glob("*")) == []
    assert list(spool.glob(".*")) == []  # the segment, too
    assert {verify(handle.store, f"r{number}").verdict for number in range(20)} == {"verified"}


@pytest.mark.usefixtures("_busy")
def test_a_sealed_run_leaves_nothing_and_what_is_late_makes_a_revision(
    configured: Callable[..., runbundle.Handle],
) -> None:
    """As with journals."""
    handle = configured()
    with runbundle.start_run("work", run_id="r"):
        late = runbundle.in_context(late_step)
    assert handle.flush().sealed == ["r"]
    assert segments_in(handle.recorder.spool) == []
    late()
    assert handle.flush().sealed == ["r"]
    assert verify(handle.store, "r").verdict == "verified"
    assert Bundle.open(handle.store, "r").index.revision == 2
    assert list(handle.recorder.spool.iterdir()) == []


@pytest.mark.usefixtures("_busy")
def test_what_comes_before_the_seal_is_in_it(configured: Callable[..., runbundle.Handle], idle: Any) -> None:
    """A record that comes when the run has ended, and is not sealed yet: then the run leaves the segment."""
    handle = configured()
    with runbundle.start_run("work", run_id="r"):
        late = runbundle.in_context(late_step)
    late()
    idle()
    assert handle.flush().sealed == ["r"]
    assert verify(handle.store, "r").verdict == "verified"
    assert Bundle.open(handle.store, "r").index.revision == 1


@pytest.mark.usefixtures("_busy")
def test_one_run_id_twice_is_one_bundle_that_says_so(configured: Callable[..., runbundle.Handle], idle: Any) -> None:
    """The second has a journal while the first waits in the segment."""
    handle = configured()
    one_run()
    one_run()
    idle()
    result = handle.flush()
    assert result.sealed == ["r"]
    assert result.collided == {"run_begun_twice": 1}


@pytest.mark.usefixtures("_busy")
def test_a_run_that_lasts_gets_a_journal_though_nothing_else_happens(
    configured: Callable[..., runbundle.Handle],
) -> None:
    """After a second: until then the list says that it is live, and what it has is shown from the segment."""
    handle = configured()
    spool = handle.recorder.spool
    with runbundle.start_run("work", run_id="r"):
        with runbundle.start_tool("find", {"n": 1}):
            pass
        (run,) = unsealed_named(spool, "r")
        assert (run.state, run.name, contents(run).spans, contents(run).open) == ("live", "work", 1, ["run:work"])
        assert snapshot(run).index.counts.tool_calls == 1
        assert spooled_runs(spool) == []
        deadline = time.monotonic() + 30
        while not spooled_runs(spool):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (again,) = unsealed_named(spool, "r")
        assert (again.state, again.lines, contents(again).spans) == ("live", b"", 1)
        with runbundle.start_tool("find", {"n": 2}):
            pass
    assert handle.flush().sealed == ["r"]
    assert verify(handle.store, "r").verdict == "verified"


@pytest.mark.usefixtures("_busy")
def test_a_long_run_gets_a_journal(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle, with all that it had written."""
    monkeypatch.setattr(file_of_runs, "MOST_BYTES", 8192)
    handle = configured()
    with runbundle.start_run("work", run_id="r"):
        for number in range(40):
            with runbundle.start_tool("find", {"n": number}):
                pass
            if number == 2:
                assert spooled_runs(handle.recorder.spool) == []
        assert spooled_runs(handle.recorder.spool) == [R]
    assert handle.flush().sealed == ["r"]
    assert verify(handle.store, "r").verdict == "verified"
    assert Bundle.open(handle.store, "r").index.counts.spans == 41


@pytest.mark.usefixtures("_busy")
def test_a_full_segment_is_followed_by_another_and_goes_with_its_last_run(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While runs go on in the next."""
    monkeypatch.setattr(file_of_runs, "FULL_BYTES", 4096)
    handle = configured()
    spool = handle.recorder.spool
    with runbundle.start_run("work", run_id="open"):
        thread = threading.Thread(target=lambda: [one_run(f"r{number}") for number in range(6)])
        thread.start()
        thread.join()
        assert len(handle.flush().sealed) == 6
        assert len(segments_in(spool)) == 1
    assert handle.flush().sealed == ["open"]
    assert segments_in(spool) == []


@pytest.mark.usefixtures("_busy")
def test_while_the_store_is_away_runs_wait_in_journals(tmp_path: Path, idle: Any) -> None:
    """Where they wait as long as it takes, and another process may seal them."""

    class Away(LocalStore):
        away = True

        def put(self, *args: Any, **options: Any) -> None:
            if self.away:
                raise StoreUnavailable("away")
            super().put(*args, **options)

        def put_all(self, files: Any) -> None:
            for key, data in files.items():
                self.put(key, data)

    store = Away(tmp_path / "store")
    with runbundle.configure(store=store, key=b"a key of sixteen bytes or more", recover=False) as handle:
        for number in range(3):
            one_run(f"r{number}")
        idle()
        assert handle.flush().failed.keys() == {"r0", "r1", "r2"}
        spool = handle.recorder.spool
        assert spooled_runs(spool) == [RunKey("", f"r{number}") for number in range(3)]
        assert segments_in(spool) == []
        store.away = False
        assert sorted(handle.flush().sealed) == ["r0", "r1", "r2"]


@pytest.mark.usefixtures("_busy")
def test_records_that_somebody_cuts_off_are_counted(configured: Callable[..., runbundle.Handle], idle: Any) -> None:
    """Of each run in the segment as many as it lost; the rest is sealed."""
    handle = configured()
    one_run("whole")
    (segment,) = segments_in(handle.recorder.spool)
    size = len(segment.read_bytes().rstrip(b"\0"))
    one_run("cut")
    with runbundle.start_run("work", run_id="open"):
        with runbundle.start_tool("find", {"n": 1}):
            pass
        os.truncate(segment, size)
    idle()
    result = handle.flush()
    assert result.dropped == {"journal_lost": 4}  # three of one run, one of the other, whose root is in its journal
    assert sorted(result.sealed) == ["open", "whole"]
    assert verify(handle.store, "whole").verdict == "verified"
    assert verify(handle.store, "open").verdict == "incomplete"


@pytest.mark.usefixtures("_busy")
def test_a_full_disk_is_said_and_a_run_is_sealed_when_there_is_room(
    configured: Callable[..., runbundle.Handle], idle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that must leave its segment, and cannot, stays there."""
    handle = configured()
    one_run()
    folder = folder_of(handle.recorder.spool, R)
    folder.parent.joinpath("r").write_bytes(b"in the way")
    idle()
    result = handle.flush()
    assert result.failed.keys() == {"r"}
    assert len(segments_in(handle.recorder.spool)) == 1
    folder.unlink()
    assert handle.flush().sealed == ["r"]
    assert segments_in(handle.recorder.spool) == []


@pytest.mark.usefixtures("_busy")
def test_what_waits_in_segments_counts_for_the_limit_of_the_spool(
    configured: Callable[..., runbundle.Handle], idle: Any
) -> None:
    """And what is sealed does not."""
    handle = configured(spool_limit_bytes=6000)
    for number in range(8):
        one_run(f"r{number}")
    lost = handle.recorder.flush(0.0).dropped.get("spool_limit", 0)
    assert 0 < lost < 24
    idle()
    assert handle.flush().pending == 0
    one_run("after")
    result = handle.flush()
    assert "after" in result.sealed
    assert result.dropped == {"spool_limit": lost}


@pytest.mark.usefixtures("_busy")
def test_runs_that_have_not_ended_are_sealed_when_the_recorder_is_closed(
    configured: Callable[..., runbundle.Handle],
) -> None:
    """As cut off."""
    handle = configured()
    scope = runbundle.start_run("work", run_id="r")
    scope.__enter__()
    handle.recorder.close()
    assert verify(handle.store, "r").verdict == "incomplete"
    assert list(handle.recorder.spool.iterdir()) == []
    scope.__exit__(None, None, None)


@pytest.mark.usefixtures("_busy")
def test_a_segment_without_runs_does_not_stay(configured: Callable[..., runbundle.Handle]) -> None:
    """A second after the last, without a flush; a folder of segments that others have stays."""
    handle = configured()
    one_run()
    deadline = time.monotonic() + 30
    while segments_in(handle.recorder.spool) or not handle.store.exists("r/run.json"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.usefixtures("_busy")
@pytest.mark.parametrize("options", [{"durability": "fsync"}, {"durability": "fsync-batch"}])
def test_what_is_synced_is_in_journals(configured: Callable[..., runbundle.Handle], options: Any, idle: Any) -> None:
    """A segment is for records that need not survive the machine."""
    handle = configured(**options)
    one_run()
    assert spooled_runs(handle.recorder.spool) == [R]
    idle()
    assert handle.flush().sealed == ["r"]


@pytest.mark.usefixtures("_busy")
def test_no_segment_can_be_made_and_the_run_has_a_journal(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody hears of it."""

    def fail(_: Path) -> None:
        raise OSError(28, "No space left on device")

    handle = configured()
    monkeypatch.setattr(module, "Segment", fail)
    one_run()
    assert bool(handle.flush())
    assert verify(handle.store, "r").verdict == "verified"


@pytest.mark.usefixtures("_busy")
def test_a_bundle_is_the_same_whether_its_lines_were_in_a_segment_or_in_journals(
    configured: Callable[..., runbundle.Handle], tmp_path: Path, idle: Any
) -> None:
    """To the byte: of runs of several tenants whose lines are mixed, of an error, of a log."""
    handle = configured()
    with runbundle.start_run("outer", run_id="open"):
        thread = threading.Thread(target=lambda: [one_run("r", tenant_id=tenant) for tenant in ("acme", "other", None)])
        with runbundle.start_tool("find", {"n": 1}):
            thread.start()
            thread.join()
        handle.logger_provider.get_logger("agent").emit(timestamp=10**18, body="hello", event_name="said")
        with pytest.raises(KeyError), runbundle.start_tool("find", {"n": 2}):
            raise KeyError("gone")
    assert spooled_runs(handle.recorder.spool) == []
    copy, other = Path(shutil.copytree(handle.recorder.spool, tmp_path / "copy")), LocalStore(tmp_path / "other")
    take_apart(copy)
    runs = spooled_runs(copy)
    assert len(runs) == 4
    for run in runs:
        publish(other, copy, run)
    idle()
    assert sorted(handle.flush().sealed) == sorted(run.path for run in runs)
    assert {key: other.get(key) for key in other.list()} == {key: handle.store.get(key) for key in handle.store.list()}


@pytest.mark.usefixtures("_busy")
def test_a_credential_in_a_segment_is_masked_in_the_bundle(
    configured: Callable[..., runbundle.Handle], idle: Any, tmp_path: Path
) -> None:
    """One that nobody knew when it was written; nothing of it stays in the spool, nor is it shown before the seal."""
    handle = configured()
    with runbundle.start_run("work", run_id="r"), runbundle.start_step("violet-kettle-77"):
        pass
    runbundle.register_secret("violet-kettle-77")
    (run,) = unsealed_named(handle.recorder.spool, "r")
    assert b"violet-kettle-77" in run.lines
    assert not any("violet-kettle-77" in str(event) for event in snapshot(run).events())
    idle()
    assert handle.flush().masked.keys() == {"r"}
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(b"violet-kettle-77" in data for data in files)


@pytest.mark.usefixtures("_busy")
def test_following_a_run_shows_what_it_has_in_a_segment_and_what_comes_then(
    configured: Callable[..., runbundle.Handle],
) -> None:
    """Each line once, though all that was in the segment comes to the journal."""
    handle = configured()
    spool = handle.recorder.spool
    tail = Tail(handle.store, spool, RunFilter())
    with runbundle.start_run("work", run_id="r"):
        with runbundle.start_tool("find", {"n": 1}):
            pass
        tail.look()
        assert tail.following == 1
        assert "\n".join(tail.lines()).count("find") == 2
        with runbundle.start_tool("search", {"n": 1}):
            pass
        handle.recorder._open_runs.segments.tidy(now=time.monotonic() + 60)
        said = "\n".join(tail.lines())
        assert (said.count("find"), said.count("search")) == (0, 2)
    handle.flush()
    tail.lines()
    assert tail.verdicts[R].state == "sealed"
    tail.close()


@pytest.mark.usefixtures("_busy")
def test_whose_spans_come_from_elsewhere_can_ask_for_a_run_in_a_segment(
    configured: Callable[..., runbundle.Handle], tmp_path: Path, idle: Any
) -> None:
    """Of this process and of another."""
    handle = configured()
    other = Recorder(handle.store, handle.recorder.spool)
    assert not other.holds(R)
    one_run()
    assert handle.recorder.holds(R)
    assert other.holds(R)
    assert not other.holds(RunKey("acme", "r"))
    idle()
    handle.flush()
    assert other.holds(R)  # in the store
    other.close()


@pytest.mark.usefixtures("_busy")
def test_runs_in_a_segment_wait_for_others_that_end_and_a_flush_does_not(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They are sealed together, also with the ones that come while the sealer sleeps."""
    commits: list[int] = []

    class Watched(LocalStore):
        def commit(self, bundles: Any) -> Any:
            commits.append(len(bundles))
            return super().commit(bundles)

    monkeypatch.setattr(sealer, "_TOGETHER_S", 1e9)
    monkeypatch.setattr("runbundle.recording.publish._BATCH_S", 60.0)  # a busy machine takes longer for ten
    handle = configured(store=Watched(tmp_path / "store"))
    for number in range(10):
        one_run(f"r{number}")
        time.sleep(0.01)
    assert commits == []
    assert len(handle.flush().sealed) == 10
    assert commits == [10]
    monkeypatch.setattr(sealer, "_TOGETHER_S", 0.2)
    for number in range(10, 20):
        one_run(f"r{number}")
    deadline = time.monotonic() + 30
    while not all(handle.store.exists(f"r{number}/run.json") for number in range(20)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert sum(commits) == 20
    assert len(commits) <= 4
