"""What an acknowledged record survives by each policy, and what happens when there is no room for it."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.format.identity import RunKey
from runbundle.journal.mapped import MappedFile
from runbundle.journal.spool import spooled_runs
from runbundle.otel.belonging import membership
from runbundle.recording import sealer
from runbundle.recording.recovery import recover
from runbundle.recording.writing import spool_limit
from runbundle.store import LocalStore
from tests.conftest import left_open, sealed

Configured = Callable[..., runbundle.Handle]


class Disk:
    """Counts what is synced, and can hold a sync up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced = threading.Event()
        self.files: set[int] = set()
        real = os.fsync

        def fsync(fd: int) -> None:
            real(fd)
            self.files.add(os.fstat(fd).st_ino)
            self.synced.set()

        monkeypatch.setattr(os, "fsync", fsync)


def test_with_os_no_record_waits_for_the_disk(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is synced before the seal."""
    handle = configured()
    disk = Disk(monkeypatch)
    with runbundle.start_run("r"), runbundle.start_tool("t"):
        assert not disk.files
    assert sealed(handle).index.completeness.state == "complete"
    assert disk.files


def test_with_fsync_each_record_is_on_the_disk_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is flushed before `append` returns; one that the disk refuses is not there afterwards."""
    file = MappedFile(tmp_path / "f", sync_each=True)
    file.append(b"one\n")
    inner, calls = file._map, []

    class Watched:
        def __setitem__(self, place: slice, data: bytes) -> None:
            inner[place] = data  # type: ignore[index]

        def flush(self, start: int, length: int) -> None:
            calls.append((start, length))
            if len(calls) == 2:
                raise OSError(5, "Input/output error")

        def close(self) -> None:
            inner.close()  # type: ignore[union-attr]

    file._map = Watched()  # type: ignore[assignment]
    file.append(b"two\n")
    with pytest.raises(OSError, match="Input/output"):
        file.append(b"lost\n")
    file.append(b"three\n")
    file.close()
    assert [start + length for start, length in calls] == [8, 13, 14]
    assert (tmp_path / "f").read_bytes() == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("durability", ["os", "fsync-batch", "fsync"])
def test_every_policy_gives_the_same_bundle(configured: Configured, durability: str) -> None:
    """Only the time of the writing differs."""
    handle = configured(durability=durability)
    with runbundle.start_run("r"), runbundle.start_tool("t"):
        pass
    assert sealed(handle).index.completeness.state == "complete"


def test_with_fsync_batch_the_disk_follows_by_itself(
    configured: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open run's journal is synced without a flush, and so is its name."""
    disk = Disk(monkeypatch)
    configured(durability="fsync-batch")
    with runbundle.start_run("r", run_id="open"):
        folder = tmp_path / "store" / ".spool" / "open"
        [journal] = folder.glob("*.jsonl")
        wanted = {journal.stat().st_ino, folder.stat().st_ino}
        deadline = time.monotonic() + 30
        while not wanted <= disk.files and time.monotonic() < deadline:
            disk.synced.wait(1)
            disk.synced.clear()
        assert wanted <= disk.files


def test_an_unknown_policy_is_refused(configured: Configured) -> None:
    """The message names those there are."""
    with pytest.raises(runbundle.ConfigError, match="fsync-batch"):
        configured(durability="always")


def test_a_full_spool_holds_up_then_drops_and_counts(
    configured: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callers wait once; then each record lost is counted in flush() and in the bundle, and room ends it."""
    monkeypatch.setattr(spool_limit, "HOLD_UP_S", 0.05)
    handle = configured(spool_limit_bytes=100_000)
    with runbundle.start_run("r", run_id="big"):
        for _ in range(400):
            with runbundle.start_tool("t", {"n": 1}):
                pass
    result = handle.flush()
    lost = result.dropped["spool_limit"]
    bundle = Bundle.open(handle.store, "big").index
    assert lost > 0
    assert not result
    # The run's own span found no room either: what remains is sealed as cut off, with the open spans it knows of.
    assert bundle.counts.spans == 401
    assert len(bundle.completeness.open_spans) == lost
    with runbundle.start_run("r", run_id="small"):
        pass
    result = handle.flush()
    assert (result.sealed, result.dropped) == (["small"], {"spool_limit": lost})


def test_room_that_comes_in_time_loses_nothing(
    configured: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run's records wait for the seal that frees the spool, here until they are seen to wait."""
    waits = threading.Event()
    real = spool_limit.SpoolLimit.make_room

    def make_room(self: spool_limit.SpoolLimit, step_aside: Any) -> None:
        waits.set()
        real(self, step_aside)

    class Slow(LocalStore):
        def put_all(self, files: Any) -> None:
            waits.wait(30)
            super().put_all(files)

    monkeypatch.setattr(spool_limit, "HOLD_UP_S", 30.0)
    monkeypatch.setattr(spool_limit.SpoolLimit, "make_room", make_room)
    handle = configured(store=Slow(tmp_path / "store"), spool_limit_bytes=200_000)
    for number in range(6):
        with runbundle.start_run("r", run_id=f"r{number}"):
            for _ in range(80):
                with runbundle.start_tool("t", {"n": 1}):
                    pass
    result = handle.flush()
    assert (waits.is_set(), result.dropped) == (True, {})
    assert {key: Bundle.open(handle.store, key).index.completeness.state for key in result.sealed} == {
        f"r{number}": "complete" for number in range(6)
    }


def test_a_store_that_comes_back_gets_its_bundles(
    configured: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is away flush() says so at once; when it is back the runs are sealed without being asked for."""
    away = threading.Event()
    away.set()

    class Remote(LocalStore):
        def put_all(self, files: Any) -> None:
            if away.is_set():
                raise runbundle.StoreUnavailable("no network")
            super().put_all(files)

    monkeypatch.setattr(sealer, "_RETRY_FIRST_S", 0.01)
    handle = configured(store=Remote(tmp_path / "store"))
    with runbundle.start_run("r", run_id="patient"):
        pass
    assert "no network" in handle.flush().failed["patient"]
    away.clear()
    deadline = time.monotonic() + 30
    while not handle.store.exists("patient/run.json") and time.monotonic() < deadline:
        time.sleep(0.01)
    result = handle.flush()
    assert (result.sealed, result.failed, result.pending) == (["patient"], {}, 0)


def test_too_many_open_spans_are_counted(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that never ends its spans costs bounded memory, and the bundle says what is missing."""
    monkeypatch.setattr(membership, "_LIVE_LIMIT", 5)
    handle = configured()
    with runbundle.start_run("r"):
        spans = [handle.tracer.start_span(f"s{n}") for n in range(10)]
        for span in spans:
            span.end()
    result = handle.flush()
    assert result.dropped == {"live_spans": 6}
    said = Bundle.open(handle.store, result.sealed[0]).index.completeness
    assert (said.state, said.spans_expected, said.spans_seen) == ("lossy", 11, 5)
    assert said.dropped == {"live_spans": 6}


def test_spans_outside_any_run_are_counted(configured: Configured) -> None:
    """A raw thread's span is in no run and counted; one that is given its parent is in its parent's run."""
    handle = configured()
    with runbundle.start_run("r"):
        parent = trace.set_span_in_context(trace.get_current_span())

        def work() -> None:
            handle.tracer.start_span("lost").end()
            handle.tracer.start_span("found", context=parent).end()

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    result = handle.flush()
    assert (result.outside, bool(result)) == (1, True)
    assert Bundle.open(handle.store, result.sealed[0]).index.counts.spans == 2


def test_flush_says_how_much_was_written(configured: Configured) -> None:
    """Spans and logs that reached a journal are counted; what is still open is pending."""
    handle = configured()
    with runbundle.start_run("r"):
        handle.logger_provider.get_logger("t").emit(event_name="e")
        with runbundle.start_tool("t"):
            pass
        result = handle.flush()
        assert (result.written, result.pending, bool(result)) == (2, 1, False)
    result = handle.flush()
    assert (result.written, result.pending, bool(result)) == (3, 0, True)


class _Odd(Sampler):
    """Drops spans called `gone`, and only records those called `quiet`."""

    def should_sample(
        self, parent_context: Any, trace_id: int, name: str, kind: Any = None, attributes: Any = None, links: Any = None
    ) -> SamplingResult:
        """Decide by name."""
        odd = {"gone": Decision.DROP, "quiet": Decision.RECORD_ONLY}
        return SamplingResult(odd.get(name, Decision.RECORD_AND_SAMPLE), attributes)

    def get_description(self) -> str:
        """Return a name."""
        return "odd"


def test_a_bundle_is_whole_where_otlp_is_sampled(configured: Configured) -> None:
    """Spans that are recorded and not sampled are in the bundle; of those that are dropped, their children tell."""
    handle = configured(tracer_provider=TracerProvider(sampler=_Odd()))
    with runbundle.start_run("r"), handle.tracer.start_as_current_span("quiet"):
        pass
    bundle = sealed(handle)
    assert (bundle.index.completeness.state, bundle.index.counts.spans) == ("complete", 2)
    with runbundle.start_run("r"), handle.tracer.start_as_current_span("gone"), runbundle.start_tool("t"):
        pass
    bundle = sealed(handle)
    assert bundle.index.completeness.state == "lossy"
    assert bundle.index.completeness.dropped == {"parents": 1}
    assert [e.get("parent_missing") for e in bundle.events() if e.get("op") == "tool"] == [True, True]


def test_a_run_below_a_server_span_misses_no_parent(configured: Configured) -> None:
    """What is above a run is not part of it, so nothing is missing."""
    handle = configured()
    with handle.tracer_provider.get_tracer("web").start_as_current_span("GET /"), runbundle.start_run("r"):
        assert trace.get_current_span().is_recording()
    assert sealed(handle).index.completeness.dropped == {}


def test_configure_recovers_what_the_dead_left(configured: Configured, tmp_path: Path) -> None:
    """A child is killed within a run; the next process that configures seals it, without being asked."""
    child = os.fork()
    if child == 0:
        configured(recover=False)
        runbundle.start_run("r", run_id="orphan", config={"kept": True}, session_id="s").__enter__()
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    handle = configured()
    deadline = time.monotonic() + 30
    while spooled_runs(tmp_path / "store" / ".spool") and time.monotonic() < deadline:
        handle.flush(0.1)
    bundle = Bundle.open(handle.store, "orphan")
    assert (bundle.index.completeness.state, bundle.index.session_id) == ("crashed", "s")
    assert bundle.config().config == {"kept": True}


def test_a_run_that_is_open_at_the_end_is_sealed_as_cut_off(configured: Configured) -> None:
    """shutdown() with open spans leaves a bundle that says so, and nothing in the spool."""
    handle = configured()
    left_open(lambda: runbundle.start_run("r", run_id="open"), lambda: runbundle.start_tool("t"))
    handle.shutdown()
    bundle = Bundle.open(handle.store, "open").index
    assert (bundle.status, bundle.completeness.state, len(bundle.completeness.open_spans)) == (
        "interrupted", "crashed", 2,
    )  # fmt: skip


def test_a_journal_that_an_assembler_reads_is_not_written_to(tmp_path: Path) -> None:
    """A writer that comes back meanwhile takes another file; nothing it writes is removed with the first."""
    from runbundle.journal.lines import start_line
    from runbundle.journal.locks import free_files
    from runbundle.journal.reader import JournalReader, journal_files
    from runbundle.journal.writer import JournalWriter

    folder = tmp_path / "run"
    line = start_line("0" * 32, "1" * 16, "", 1, "")
    writer = JournalWriter.open_in(folder, "w")
    writer.append(line)
    writer.close()
    with free_files(journal_files(folder)) as free:
        writer = JournalWriter.open_in(folder, "w")
        writer.append(line)
        free[0].unlink()
    writer.close()
    assert len(list(JournalReader(journal_files(folder)))) == 1
    assert recover(LocalStore(tmp_path / "s"), tmp_path, RunKey("", "run"), parts=True).outcome == "recovered"
