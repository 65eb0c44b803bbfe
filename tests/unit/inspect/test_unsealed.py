"""Runs that are not sealed, read by programs: what is recorded so far, or why it is not read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import runbundle
from runbundle.inspect import snapshot
from runbundle.otel.inspection.canaries import CONTRACT, RESOURCE, found_in, plant_spans
from runbundle.otel.inspection.planting import plant_own
from runbundle.recording.waiting import unsealed_runs
from runbundle.store.locations import spool_of
from tests.support.mixed_store import CRASHED, LIVE, QUARANTINED, Mixed, mixed_store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    """A store with a live run, a crashed one, and one in quarantine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("KEYS", "CACHE"):
            patch.setenv(f"RUNBUNDLE_{name}", str(tmp_path_factory.getbasetemp() / name.lower()))
        with mixed_store(tmp_path_factory.mktemp("mixed") / "s", 6) as store:
            yield store


def test_runs_are_listed_by_their_state(made: Mixed) -> None:
    """Sealed ones by default; those of the spool first, where they are wanted; a state that is none is refused."""
    store = runbundle.open_store(made.url)
    assert [run.state for run in store.runs()] == ["sealed"] * 6
    states = ["live", "crashed", "quarantined", "unsealed", *["sealed"] * 6]
    assert [run.state for run in store.runs(runbundle.RunFilter())] == states
    assert [run.state for run in store.runs(state="all")] == states
    for state, run_id in (("live", LIVE), ("crashed", CRASHED), ("quarantined", QUARANTINED)):
        (found,) = store.runs(state=state)
        assert (found.run_id, found.tenant_id, found.status, found.completeness) == (run_id, "acme", "", "")
    assert [run.state for run in store.runs(runbundle.RunFilter(tool="find_order"), limit=3)] == [
        "live", "crashed", "sealed",
    ]  # fmt: skip
    assert next(store.runs()).completeness == "complete"
    with pytest.raises(runbundle.ConfigError, match="no such state"):
        list(store.runs(state="dead"))


def test_what_a_live_run_has_recorded_is_read(made: Mixed) -> None:
    """Its open spans are open; those of a crashed run were interrupted; reading disturbs neither."""
    store = runbundle.open_store(made.url)
    before = {path: path.read_bytes() for path in Path(made.url).rglob("*") if path.is_file()}
    live, crashed = store.unsealed(LIVE[:8]), store.unsealed(f"acme/{CRASHED}")
    assert (live.key, live.state, live.name, live.note) == (f"acme/{LIVE}", "live", "support", "")
    assert [span.status for span in live.spans()] == ["open", "open", "unset", "open"]
    assert [span.status for span in crashed.spans()] == ["interrupted", "interrupted", "unset", "interrupted"]
    assert [call.tool for call in live.tool_calls()] == ["find_order", "refund"]
    assert next(event["type"] for event in live.events()) == "run.started"
    assert live.evidence() is None
    assert repr(live) == f"UnsealedRun('acme/{LIVE}', state='live')"
    assert {path: path.read_bytes() for path in Path(made.url).rglob("*") if path.is_file()} == before
    assert made.live.stdin is not None
    assert made.live.stdout is not None
    made.live.stdin.write("weather\n")
    made.live.stdin.flush()
    assert made.live.stdout.readline() == "done\n"
    assert len(list(live.spans())) == 4
    assert len(list(store.unsealed(LIVE).spans())) == 5


def test_where_a_run_cannot_be_read_the_error_says_what_to_do(made: Mixed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one in quarantine nothing is read; `run` names `unsealed`; one that is too long is for `tail`."""
    store = runbundle.open_store(made.url)
    with pytest.raises(runbundle.NotSealed, match=r"is live, not sealed \(Store.unsealed\("):
        store.run(LIVE)
    for read in (store.run, store.unsealed):
        with pytest.raises(runbundle.NotSealed, match="RB407"):
            read(QUARANTINED)
    with pytest.raises(runbundle.KeyNotFound, match=r"Store.run"):
        store.unsealed(next(store.runs()).key)
    for name in ("", "nothing", "../x"):
        with pytest.raises(runbundle.RunbundleError):
            store.unsealed(name)
    monkeypatch.setattr(snapshot, "MOST_BYTES", 100)
    with pytest.raises(runbundle.StoreUnavailable, match="runbundle tail"):
        store.unsealed(LIVE)


def test_no_canary_is_in_what_is_read_before_the_seal(tmp_path: Path) -> None:
    """Of every channel of spans, our own API's included, while the run is going on."""
    handle = runbundle.configure(
        store=tmp_path / "s", key=b"a key for tests only", resource=RESOURCE, contracts=[CONTRACT], otlp=False,
        set_global=False,
    )  # fmt: skip
    with handle, runbundle.start_run("leak", run_id="leak"):
        plant_spans(handle.tracer_provider)
        plant_own()
        handle.tracer_provider.force_flush()
        (run,) = [run for run in unsealed_runs(spool_of(handle.store)) if run.key.run_id == "leak"]
        bundle = snapshot.snapshot(run)
        assert bundle.index.counts.spans > 1
        for entry in bundle.index.files:
            assert found_in(bundle.store.get(f"{bundle.key}/{entry.path}")) == [], entry.path
        assert found_in(bundle.index_bytes) == []
