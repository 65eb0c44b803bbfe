"""RunState: saving, loading, resuming and forking runs without a framework."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from runbundle.errors import ConfigError, StateConflict, StateCorrupt, StateNotFound
from runbundle.runstate import CheckpointRecord, Payload, RunRecord, RunState, RunStore, SqliteRunStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    """A store on disk."""
    with SqliteRunStore(tmp_path / "s.sqlite") as opened:
        yield opened


def stepped(state: RunState, message: str) -> RunState:
    """Return the state after one more step."""
    lanes = {**state.lanes, "run": state.lanes.get("run", 0) + 1}
    return state.model_copy(update={"step": state.step + 1, "messages": [*state.messages, message], "lanes": lanes})


def test_what_is_saved_is_loaded(store: RunStore) -> None:
    """All fields, under the next revision; the state given is as it was."""
    state = RunState(
        run_id="r", session_id="s", status="waiting", step=3, messages=[{"role": "user", "content": "hä?"}],
        pending_approvals=[{"tool": "refund", "id": 1}], budget={"usd": 1.5}, lanes={"run/tool:b": 2}, data={"x": None},
    )  # fmt: skip
    saved = state.save(store)
    assert (state.revision, saved.revision) == (0, 1)
    assert RunState.load(store, "r") == saved
    assert saved.model_copy(update={"revision": 0, "checkpoint_id": ""}) == state
    run = store.get_run("r")
    assert (run.thread_id, run.status, run.metadata["step"]) == ("s", "waiting", 3)
    assert store.find_checkpoints(run_id="r", where={"step": 3})[0].thread_id == "s"


def test_of_two_savers_one_is_first(store: RunStore) -> None:
    """Who saves what was made from an old state is told, and changes nothing."""
    first = RunState(run_id="r").save(store)
    won = stepped(first, "won").save(store)
    for late in (stepped(first, "late"), RunState(run_id="r")):
        with pytest.raises(StateConflict):
            late.save(store)
    assert RunState.load(store, "r") == won


def test_another_owner_resumes(store: RunStore) -> None:
    """After the lease is taken over the old owner saves nothing more, and the new one goes on."""
    saved = RunState(run_id="r").save(store)
    state, old = RunState.resume(store, "r", "a", 60)
    assert state == saved
    with pytest.raises(StateConflict):
        RunState.resume(store, "r", "b", 60)
    store.release_lease(old)
    state, lease = RunState.resume(store, "r", "b", 60)
    with pytest.raises(StateConflict):
        stepped(state, "too late").save(store, fence=old)
    assert stepped(state, "on").save(store, fence=lease).messages == ["on"]
    with pytest.raises(StateNotFound):
        RunState.resume(store, "none", "a", 60)


def test_a_run_that_cannot_be_resumed_is_left_to_others(store: RunStore) -> None:
    """Where there is no state to go on from, no lease stays behind that nobody holds."""
    store.create_run(RunRecord("bare"))
    store.create_run(RunRecord("empty", "s"))
    for run_id in ("bare", "empty"):
        with pytest.raises(StateNotFound):
            RunState.load(store, run_id)
        for owner in ("a", "b"):
            with pytest.raises(StateNotFound):
                RunState.resume(store, run_id, owner, 60)


def test_earlier_steps_are_loaded_and_forked(store: RunStore) -> None:
    """A fork begins with the state of its step and leaves the original alone; so does deleting either."""
    state = RunState(run_id="r", session_id="s").save(store)
    for number in range(5):
        state = stepped(state, f"m{number}").save(store)
    earlier = RunState.load(store, "r", step=2)
    assert earlier.messages == ["m0", "m1"]
    with pytest.raises(StateNotFound):
        RunState.load(store, "r", step=9)
    with pytest.raises(ConfigError):
        earlier.fork(store, "r")
    fork = earlier.fork(store, "f", session_id="s")
    with pytest.raises(StateConflict):
        earlier.fork(store, "f")
    other = stepped(fork, "other").save(store)
    assert RunState.load(store, "r") == state
    assert RunState.load(store, "f") == other
    assert other.messages == ["m0", "m1", "other"]
    store.prune(["s"])
    assert (RunState.load(store, "r"), RunState.load(store, "f")) == (state, other)
    store.delete_runs(["r"])
    assert RunState.load(store, "f") == other
    with pytest.raises(StateNotFound):
        RunState.load(store, "r")


def test_a_run_goes_back_to_an_earlier_step(store: RunStore) -> None:
    """An earlier state saved anew is the latest; what was in between is not lost."""
    state = RunState(run_id="r").save(store)
    for number in range(3):
        state = stepped(state, f"m{number}").save(store)
    back = stepped(RunState.load(store, "r", step=1), "instead").save(store)
    assert RunState.load(store, "r") == back
    assert back.messages == ["m0", "instead"]
    assert len(store.find_checkpoints(run_id="r")) == 5


def test_the_record_may_be_updated_by_others(store: RunStore) -> None:
    """A service that notes a status on the run's record does not make the state unfindable."""
    first = RunState(run_id="r").save(store)
    store.update_run(replace(store.get_run("r"), status="paused"))
    with pytest.raises(StateConflict):
        stepped(first, "x").save(store)
    loaded = RunState.load(store, "r")
    assert (loaded.messages, loaded.revision) == ([], 2)
    assert stepped(loaded, "x").save(store).revision == 3


def test_growing_messages_cost_what_was_added(store: RunStore, tmp_path: Path) -> None:
    """A hundred steps take a few times what the last one's messages take, not fifty times."""
    state = RunState(run_id="r").save(store)
    for number in range(100):
        state = stepped(state, f"{number:04}" * 250).save(store)
    with closing(sqlite3.connect(tmp_path / "s.sqlite")) as connection:
        stored = connection.execute("SELECT sum(length(data)) FROM runbundle_slots").fetchone()[0]
    assert stored < 500_000 < 100 * 101 / 2 * 1000
    assert RunState.load(store, "r") == state


def test_only_a_state_is_loaded(store: RunStore) -> None:
    """A later format, bytes that do not parse, and what is not JSON are errors that name no content."""
    saved = RunState(run_id="r").save(store)
    record = store.get_checkpoint("r", "r")
    assert record is not None

    def with_head(data: bytes) -> CheckpointRecord:
        return replace(record, head=Payload("json", data))

    for data, error in (
        (b'{"schema":"runbundle/run-state/v2"}', ConfigError), (b"CANARY", StateCorrupt), (b"[]", StateCorrupt),
        (b'{"schema":"runbundle/run-state/v1","run_id":["CANARY"]}', StateCorrupt),
    ):  # fmt: skip
        store.put_checkpoint(with_head(data), {})
        with pytest.raises(error) as caught:
            RunState.load(store, "r")
        assert "CANARY" not in str(caught.value)
    for wrong in ({1: 2**70}, object(), b"\xff CANARY"):
        with pytest.raises(ConfigError) as refused:
            saved.model_copy(update={"messages": [wrong]}).save(store)
        assert "CANARY" not in str(refused.value)
        assert refused.value.__suppress_context__
