"""The hooks that the author of a run store provides, and the records that the suite stores."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from runbundle.errors import StateNotFound
from runbundle.runstate import CheckpointKey, CheckpointRecord, Payload, RunStore, StepWrite


class RunStoreHooks(ABC):
    """How the suite gets stores. All three hooks are abstract."""

    @abstractmethod
    def make_store(self) -> RunStore:
        """Return a new, empty store."""

    @abstractmethod
    def reopen(self, store: RunStore) -> RunStore:
        """Return another store over the same data, with its own connections, as another process would open it."""

    @abstractmethod
    def code_to_open(self, store: RunStore) -> str:
        """Return Python code that binds `store` to a store over the same data. Another process runs it."""


def refused(error: type[Exception] | tuple[type[Exception], ...], calls: Sequence[Callable[[], object]]) -> str:
    """Assert that each call raises `error`, and return the text of all errors.

    An error must not be chained to the one that it was made from, which may quote a payload.
    """
    shown: list[str] = []
    for call in calls:
        with pytest.raises(error) as caught:
            call()
        shown.append(f"{caught.value!r} {caught.value}")
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return "\n".join(shown)


def record(thread_id: str = "t", number: int = 1, ns: str = "", **fields: Any) -> CheckpointRecord:
    """Return a checkpoint without slots; `fields` replace those of the record."""
    key = CheckpointKey(thread_id, ns, f"{number:04}")
    return replace(CheckpointRecord(key, Payload("x", b"head %d" % number)), **fields)


def write(task_id: str = "task", idx: int = 0, data: bytes = b"w", path: str = "") -> StepWrite:
    """Return a write of a task."""
    return StepWrite(task_id, idx, "c", Payload("x", data), path)


def crash_snapshot(store: RunStore, thread_id: str) -> tuple[Any, ...]:
    """Return all data of a thread, its copy and its run, without their names and times, to compare."""
    try:
        run = store.get_run(f"{thread_id}/run")
        seen = (run.status, run.revision, run.payload)
    except StateNotFound:
        seen = None
    threads: list[Any] = []
    for name in (thread_id, f"{thread_id}/copy"):
        found = [store.get_checkpoint(*key) for key in store.find_checkpoints(thread_id=name)]
        threads.append([(r.key[1:], r.parent_id, r.head, r.slots, r.slot_payloads, r.writes) for r in found if r])
    return (*threads, seen)
