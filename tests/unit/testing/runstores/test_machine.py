"""The comparison of a run store with dictionaries finds a store that is wrong."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runbundle.runstate import RunRecord, SqliteRunStore, StepWrite
from runbundle.runstate.records import CheckpointKey
from runbundle.testing.runstores.machine import Model, RunStoreMachine, check_against_dicts


class Behind(SqliteRunStore):
    """Lists runs as they were one revision ago."""

    def list_runs(self, **asked: Any) -> list[RunRecord]:
        """List."""
        return [replace(run, revision=run.revision - 1) for run in super().list_runs(**asked)]


class Mixes(SqliteRunStore):
    """Gives every tenant the same data."""

    def for_tenant(self, tenant: str) -> "Mixes":
        """Return itself."""
        return self


@pytest.mark.parametrize("make", [Behind, Mixes])
def test_a_wrong_store_is_found_out(make: type[SqliteRunStore], tmp_path: Path) -> None:
    """Within the number of sequences that the suite tries."""
    with make(tmp_path / "s.sqlite") as store, pytest.raises((AssertionError, ExceptionGroup)):
        check_against_dicts(store, examples=20, steps=6)


def test_the_model_follows_each_step(tmp_path: Path) -> None:
    """Of two tenants apart; a run that was updated or deleted by others in between is refused by both."""
    with SqliteRunStore(tmp_path / "s.sqlite") as store:
        machine = RunStoreMachine(store)
        machine.save_run(tenant="default", run_id="r", revision=0, status="a")
        machine.save_run(tenant="default", run_id="r", revision=0, status="b")
        machine.save_run(tenant="other", run_id="r", revision=1, status="b")
        machine.agrees()
        assert machine.models["default"].runs == {"r": (1, "a")}
        assert machine.models["other"].runs == {}
        machine.delete_run(tenant="default", run_id="r")
        machine.agrees()
        assert machine.models["default"].runs == {}
        store.create_run(RunRecord("unexpected"))
        with pytest.raises(AssertionError):
            machine.agrees()


def test_writes_are_in_the_order_of_their_places() -> None:
    """By path, task and index, as bytes."""
    key = CheckpointKey("t", "", "1")
    model = Model()
    places = [("", "b", 1), ("", "B", 0), ("ä", "a", 0), ("Z", "a", -1)]
    writes = [StepWrite(task, idx, "c", None, path) for path, task, idx in places]  # type: ignore[arg-type]
    model.writes[key] = {(w.task_id, w.idx): w for w in writes}
    assert [w.task_path + w.task_id for w in model.written(key)] == ["B", "b", "Za", "äa"]
    model.drop(key)
    assert model.written(key) == ()
