"""Compares a run store with a model made of dictionaries, in random sequences of steps. Needs hypothesis."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from runbundle.errors import StateConflict, StateNotFound, StateRefused
from runbundle.runstate import CheckpointKey, CheckpointRecord, Payload, RunRecord, RunStore, StepWrite

EXAMPLES, STEPS = 20, 25
_BLOCKS = [hashlib.sha256(bytes([n])).digest() * 16 for n in range(8)]


def _grown(count: int, end: bytes) -> bytes:
    return b"".join(_BLOCKS[:count]) + end


_tenants = st.sampled_from(["default", "other"])
_threads = st.sampled_from(["t", "u", "v"])
_namespaces = st.sampled_from(["", "sub"])
_numbers = st.integers(1, 6).map(lambda n: f"{n:02}")
_runs = st.sampled_from(["r", "s"])
# The empty, the small, and those that are differences to each other.
_slots = st.one_of(
    st.binary(max_size=3),
    st.builds(_grown, st.integers(0, 8), st.binary(max_size=3)),
)  # fmt: skip


@dataclass
class Model:
    """The data that a tenant must have."""

    checkpoints: dict[CheckpointKey, CheckpointRecord] = field(default_factory=dict[CheckpointKey, CheckpointRecord])
    writes: dict[CheckpointKey, dict[tuple[str, int], StepWrite]] = field(
        default_factory=dict[CheckpointKey, dict[tuple[str, int], StepWrite]]
    )
    runs: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])

    def drop(self, key: CheckpointKey) -> None:
        """Remove a checkpoint and its writes."""
        self.checkpoints.pop(key, None)
        self.writes.pop(key, None)

    def written(self, key: CheckpointKey) -> tuple[StepWrite, ...]:
        """Return the writes of a checkpoint, in the order in which a store returns them."""
        found = self.writes.get(key, {}).values()
        return tuple(sorted(found, key=lambda w: (w.task_path.encode(), w.task_id.encode(), w.idx)))


class RunStoreMachine(RuleBasedStateMachine):
    """Two tenants of one store, each with a model. Each rule does the same to the store and to the model."""

    def __init__(self, store: RunStore) -> None:
        super().__init__()
        self.stores = {"default": store, "other": store.for_tenant("other")}
        self.models = {name: Model() for name in self.stores}
        for each in self.stores.values():
            each.delete_threads(["t", "u", "v"])
            each.delete_runs(["r", "s"])

    @rule(
        tenant=_tenants, thread=_threads, ns=_namespaces, number=_numbers, parent=st.none() | _numbers, run_id=_runs,
        a=_slots, b=_slots, chained=st.sampled_from([False, False, False, True]),
    )  # fmt: skip
    def put(
        self, tenant: str, thread: str, ns: str, number: str, parent: str | None, run_id: str, a: bytes, b: bytes,
        chained: bool,
    ) -> None:  # fmt: skip
        """Store a checkpoint, perhaps in place of another, whose parent may not exist."""
        payloads = {"a": Payload("x", a), "b": Payload("x", b)}
        put = CheckpointRecord(
            key=CheckpointKey(thread, ns, number), head=Payload("x", a[:2]), parent_id=parent, run_id=run_id,
            slots={name: hashlib.sha256(slot.data).hexdigest() for name, slot in payloads.items()},
            metadata={"run": run_id, "size": len(a)}, chained=chained,
        )  # fmt: skip
        self.stores[tenant].put_checkpoint(put, payloads)
        self.models[tenant].checkpoints[put.key] = replace(put, slot_payloads=payloads)

    @rule(
        tenant=_tenants, thread=_threads, ns=_namespaces, number=_numbers, again=st.booleans(),
        places=st.lists(st.tuples(st.sampled_from(["", "Z", "ä"]), st.sampled_from("xyX"), st.integers(-2, 2))),
        data=st.binary(max_size=3),
    )  # fmt: skip
    def write(
        self,
        tenant: str,
        thread: str,
        ns: str,
        number: str,
        again: bool,
        places: list[tuple[str, str, int]],
        data: bytes,
    ) -> None:
        """Store writes to a checkpoint that may be stored later."""
        key = CheckpointKey(thread, ns, number)
        writes = [StepWrite(task, idx, "c", Payload("x", data), path) for path, task, idx in places]
        self.stores[tenant].append_writes(key, writes, replace=again)
        kept = self.models[tenant].writes.setdefault(key, {})
        for each in writes:
            if again or (each.task_id, each.idx) not in kept:
                kept[each.task_id, each.idx] = each

    @rule(tenant=_tenants, thread=_threads)
    def delete_thread(self, tenant: str, thread: str) -> None:
        """Delete a thread."""
        self.stores[tenant].delete_threads([thread])
        model = self.models[tenant]
        for key in [*model.checkpoints, *model.writes]:
            if key.thread_id == thread:
                model.drop(key)

    @rule(tenant=_tenants, run_id=_runs)
    def delete_run(self, tenant: str, run_id: str) -> None:
        """Delete a run, or find that chained checkpoints forbid it."""
        model = self.models[tenant]
        doomed = [key for key, put in model.checkpoints.items() if put.run_id == run_id]
        lines = {key[:2] for key in doomed}
        line_of = [put for key, put in model.checkpoints.items() if key[:2] in lines]
        stuck = any(
            any(put.chained for put in line_of if put.key[:2] == line)
            and any(put.run_id != run_id for put in line_of if put.key[:2] == line)
            for line in lines
        )
        if stuck:
            with pytest.raises(StateRefused):
                self.stores[tenant].delete_runs([run_id])
            return
        self.stores[tenant].delete_runs([run_id])
        model.runs.pop(run_id, None)
        for key in doomed:
            model.drop(key)

    @rule(tenant=_tenants, threads=st.sets(_threads))
    def prune(self, tenant: str, threads: set[str]) -> None:
        """Prune threads, or find that chained checkpoints forbid it."""
        model = self.models[tenant]
        if any(put.chained for key, put in model.checkpoints.items() if key.thread_id in threads):
            with pytest.raises(StateRefused):
                self.stores[tenant].prune(sorted(threads))
            return
        self.stores[tenant].prune(sorted(threads))
        latest = {key[:2]: max(k for k in model.checkpoints if k[:2] == key[:2]) for key in model.checkpoints}
        for key in [*model.checkpoints, *model.writes]:
            if key.thread_id in threads and key[:2] in latest and key < latest[key[:2]]:
                model.drop(key)

    @rule(tenant=_tenants, source=_threads, into=_threads)
    def copy(self, tenant: str, source: str, into: str) -> None:
        """Copy a thread that may not exist to one that may exist."""
        store, model = self.stores[tenant], self.models[tenant]
        written = {key for key, kept in model.writes.items() if kept}
        if any(key.thread_id == into for key in {*model.checkpoints, *written}):
            with pytest.raises(StateConflict):
                store.copy_thread(source, into)
            return
        found = [put for key, put in model.checkpoints.items() if key.thread_id == source]
        if not found:
            with pytest.raises(StateNotFound):
                store.copy_thread(source, into)
            return
        store.copy_thread(source, into)
        for put in found:
            key = put.key._replace(thread_id=into)
            model.checkpoints[key] = replace(put, key=key)
            model.writes[key] = dict(model.writes.get(put.key, {}))

    @rule(tenant=_tenants, run_id=_runs, revision=st.integers(0, 3), status=st.sampled_from(["a", "b"]))
    def save_run(self, tenant: str, run_id: str, revision: int, status: str) -> None:
        """Create a run at revision 0, or update it at another."""
        store, runs = self.stores[tenant], self.models[tenant].runs
        run = RunRecord(run_id, status=status, revision=revision)
        if revision and run_id not in runs:
            with pytest.raises(StateNotFound):
                store.update_run(run)
        elif revision != runs.get(run_id, (0,))[0]:
            with pytest.raises(StateConflict):
                (store.update_run if revision else store.create_run)(run)
        else:
            (store.update_run if revision else store.create_run)(run)
            runs[run_id] = (revision + 1, status)

    @invariant()
    def agrees(self) -> None:
        """Assert that the store returns the data of the models."""
        for tenant, store in self.stores.items():
            model = self.models[tenant]
            found = store.find_checkpoints()
            assert found == sorted(sorted(model.checkpoints), key=lambda key: key.checkpoint_id, reverse=True)
            for key in found:
                expected = replace(model.checkpoints[key], writes=model.written(key))
                assert store.get_checkpoint(*key) == expected
            assert {run.run_id: (run.revision, run.status) for run in store.list_runs()} == model.runs


def check_against_dicts(store: RunStore, *, examples: int = EXAMPLES, steps: int = STEPS) -> None:
    """Run `examples` random sequences of up to `steps` steps on a store.

    Raises `AssertionError` where it differs from its model.
    """
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    limits = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=slow)
    machine: Any = partial(RunStoreMachine, store)
    run_state_machine_as_test(machine, settings=limits)
