"""Tests of runs and leases: compare-and-set, expiry, fences."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from runbundle.errors import ConfigError, StateConflict, StateNotFound
from runbundle.runstate import Lease, Payload, RunRecord
from runbundle.testing.runstores.hooks import RunStoreHooks, record, refused, write


class RunTests(RunStoreHooks):
    """The guarantees of every store about runs and leases."""

    def test_runs_are_created_once_and_updated_by_compare_and_set(self) -> None:
        """A taken id, an old revision and an unknown run are refused; what is stored is what was given."""
        store = self.make_store()
        given = RunRecord("r", "t", payload=Payload("x", b"one"), metadata={"a": [1, {"b": None}], "c": 1.5})
        first = store.create_run(given)
        assert first.revision == 1
        assert 0 < first.created_at == first.updated_at
        assert replace(first, revision=0, created_at=0, updated_at=0) == given
        with pytest.raises(StateConflict):
            store.create_run(given)
        second = store.update_run(replace(first, status="done", payload=None))
        assert (second.revision, second.status, second.payload) == (2, "done", None)
        assert second.created_at == first.created_at <= second.updated_at
        with pytest.raises(StateConflict):
            store.update_run(first)
        assert self.reopen(store).get_run("r") == second
        refused(StateNotFound, [lambda: store.get_run("s"), lambda: store.update_run(replace(first, run_id="s"))])

    def test_runs_are_listed_as_asked(self) -> None:
        """By thread, status and metadata, the latest first."""
        store = self.make_store()
        for name, thread_id, status in (("a", "t", "running"), ("b", "t", "done"), ("c", "u", "running")):
            store.create_run(RunRecord(name, thread_id, status, metadata={"name": name, "even": name == "b"}))

        def found(**asked: Any) -> list[str]:
            return [run.run_id for run in store.list_runs(**asked)]

        assert found() == ["c", "b", "a"]
        assert found(limit=2) == ["c", "b"]
        assert found(thread_id="t") == ["b", "a"]
        assert found(thread_id="t", status="running") == ["a"]
        assert found(where={"even": True}) == ["b"]
        assert found(where={"even": True, "name": "a"}) == []

    # Leases

    def test_a_lease_is_one_owners_until_it_expires(self) -> None:
        """Another is refused meanwhile; each lease has a greater token, also that of a run made anew."""
        store = self.make_store()
        with pytest.raises(StateNotFound):
            store.acquire_lease("r", "a", 60)
        store.create_run(RunRecord("r"))
        first = store.acquire_lease("r", "a", 60)
        assert (first.run_id, first.owner) == ("r", "a")
        other = self.reopen(store)
        with pytest.raises(StateConflict):
            other.acquire_lease("r", "b", 60)
        again = store.acquire_lease("r", "a", 0.05)
        time.sleep(0.1)
        taken = other.acquire_lease("r", "b", 60)
        other.release_lease(first)  # lost long ago: nothing happens
        other.release_lease(taken)
        last = store.acquire_lease("r", "a", 60)
        store.delete_runs(["r"])
        store.create_run(RunRecord("r"))
        anew = store.acquire_lease("r", "a", 60)
        tokens = [lease.token for lease in (first, again, taken, last, anew)]
        assert tokens == sorted(set(tokens))

    def test_a_lease_is_renewed_by_its_holder_only(self) -> None:
        """The expiry moves, the token stays; who lost it is told."""
        store = self.make_store()
        store.create_run(RunRecord("r"))
        lease = store.acquire_lease("r", "a", 1)
        renewed = store.renew_lease(lease, 60)
        assert renewed.token == lease.token
        assert renewed.expires_at > lease.expires_at
        with pytest.raises(StateConflict):
            store.acquire_lease("r", "b", 1)
        store.release_lease(renewed)
        with pytest.raises(StateConflict):
            store.renew_lease(renewed, 60)

    def test_what_is_no_time_and_no_number_is_refused(self) -> None:
        """A lease is for some seconds, neither none nor for ever; numbers have 64 bits."""
        store = self.make_store()
        run = store.create_run(RunRecord("r"))
        lease = store.acquire_lease("r", "a", 60)
        wrong: list[Callable[[], object]] = [
            lambda: store.update_run(replace(run, revision=2**70)),
            lambda: store.release_lease(lease._replace(token=2**70)),
            lambda: store.put_checkpoint(record(), {}, run=replace(run, revision=2**70)),
        ]
        for ttl_s in (float("nan"), float("inf"), 0.0, -1.0):
            wrong.append(lambda ttl_s=ttl_s: store.acquire_lease("r", "a", ttl_s))
            wrong.append(lambda ttl_s=ttl_s: store.renew_lease(lease, ttl_s))
        refused(ConfigError, wrong)
        assert store.renew_lease(lease, 60).token == lease.token
        assert store.find_checkpoints() == []

    def test_a_stale_fence_writes_nothing(self) -> None:
        """After another has taken the run over, each write of the old holder is refused and leaves no trace."""
        store = self.make_store()
        run = store.create_run(RunRecord("r"))
        stale = store.acquire_lease("r", "a", 60)
        store.put_checkpoint(record(), {}, fence=stale)
        store.release_lease(stale)

        def writes(fence: Lease) -> list[Callable[[], object]]:
            return [
                lambda: store.put_checkpoint(record(number=2), {}, fence=fence),
                lambda: store.put_checkpoint(record(number=2), {}, fence=fence, run=run),
                lambda: store.append_writes(record().key, [write()], fence=fence),
                lambda: store.append_writes(record().key, [write()], replace=True, fence=fence),
                lambda: store.update_run(run, fence=fence),
            ]

        refused(StateConflict, writes(stale))
        taken = self.reopen(store).acquire_lease("r", "b", 60)
        for lease in (stale, taken._replace(owner="a"), taken._replace(token=stale.token)):
            refused(StateConflict, writes(lease))
        assert store.get_checkpoint("t") == record()
        assert store.get_run("r") == run
