"""`RunState`: the state that an engine without a framework of its own needs to go on with a run."""

import re
from typing import Any, Literal

import orjson
from pydantic import Field, ValidationError

from runbundle.errors import ConfigError, StateCorrupt, StateNotFound
from runbundle.format.base import Record
from runbundle.runstate.base import RunStore
from runbundle.runstate.checks import check_text
from runbundle.runstate.credentials import register_secrets
from runbundle.runstate.plain import json_bytes, plain_of
from runbundle.runstate.records import CheckpointKey, CheckpointRecord, Lease, Payload, RunRecord

RUN_STATE_SCHEMA = "runbundle/run-state/v1"
ENGINE = "runbundle"
_SLOTS = ("messages", "pending_approvals", "budget", "lanes", "data")
_CODEC = "json"


class RunState(Record):
    """The state of a run between two steps. Immutable; each save stores it under a new revision.

    All fields are JSON. A field that grows at its end, as `messages` does, costs only the part that was added.

        state = RunState(run_id="r", messages=[...]).save(store)
        state, lease = RunState.resume(store, "r", owner="worker-2", ttl_s=60)
        state = state.model_copy(update={"step": state.step + 1}).save(store, fence=lease)
    """

    schema_: Literal["runbundle/run-state/v1"] = Field(default=RUN_STATE_SCHEMA, alias="schema")
    """Format and version."""
    run_id: str
    """The run."""
    session_id: str = ""
    """The conversation that the run belongs to, which is its thread; if empty, the run is its own thread."""
    status: str = "running"
    """The status, a word that the engine chooses."""
    step: int = 0
    """The number of completed steps."""
    messages: list[Any] = Field(default_factory=list[Any])
    """The conversation so far."""
    pending_approvals: list[Any] = Field(default_factory=list[Any])
    """Tool calls that wait for a decision."""
    budget: dict[str, Any] = Field(default_factory=dict[str, Any])
    """The amounts that the run may still spend."""
    lanes: dict[str, int] = Field(default_factory=dict[str, int])
    """The next ordinal of each lane, so that effects after a resume are numbered on."""
    data: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Any other data that the engine needs."""
    revision: int = 0
    """The revision of the run's record; set by `save` and `load`."""
    checkpoint_id: str = ""
    """The checkpoint in which this state is stored; set by `save` and `load`."""

    @property
    def thread_id(self) -> str:
        """The thread of the store in which the checkpoints of this run lie: the session, or else the run itself."""
        return self.session_id or self.run_id

    def save(self, store: RunStore, *, fence: Lease | None = None) -> "RunState":
        """Store this state as the latest of its run, and return it as stored. The first save creates the run.

        A state of an earlier step may be saved: then the run goes back to it. Raises `StateConflict` if another writer
        has saved the run since this state was loaded, or if `fence` is no longer the latest lease; `ConfigError` if the
        state is not JSON, or JSON would not keep it: a secret type, NaN, an infinite number, two keys of one text.
        """
        revision = self.revision + 1
        saved = self.model_copy(update={"revision": revision, "checkpoint_id": f"{revision:012}"})
        register_secrets(saved.__dict__)
        body = plain_of(saved)
        slots = {name: Payload(_CODEC, json_bytes(body.pop(name))) for name in _SLOTS}
        record = CheckpointRecord(
            key=CheckpointKey(self.thread_id, self.run_id, saved.checkpoint_id),
            parent_id=self.checkpoint_id or None,
            engine=ENGINE,
            run_id=self.run_id,
            head=Payload(_CODEC, json_bytes(body)),
            # By content: what did not change keeps its version, and two versions are never mistaken for each other.
            slots={
                name: store.digest(json_bytes([self.thread_id, self.run_id, name]) + slot.data)
                for name, slot in slots.items()
            },
            metadata={"step": self.step, "status": self.status},
        )
        run = RunRecord(
            self.run_id, self.thread_id, self.status, revision=self.revision,
            metadata={"step": self.step, "checkpoint_id": saved.checkpoint_id},
        )  # fmt: skip
        store.put_checkpoint(record, slots, fence=fence, run=run)
        return saved

    @classmethod
    def load(cls, store: RunStore, run_id: str, *, step: int | None = None) -> "RunState":
        """Return the latest state of a run or, with `step`, the latest state of that step.

        Raises `StateNotFound` if there is no such run or state, `StateCorrupt` if the state cannot be read, and
        `ConfigError` if a later version of runbundle wrote it.
        """
        run = store.get_run(run_id)
        if not run.thread_id:
            raise StateNotFound("the run has no state")
        record = store.get_checkpoint(run.thread_id, run_id, _checkpoint_id(run))
        seen: set[str] = set()
        while record is not None and step is not None and record.metadata.get("step") != step:
            if record.key.checkpoint_id in seen:
                raise StateCorrupt("the checkpoints of this run form a cycle")
            seen.add(record.key.checkpoint_id)
            record = store.get_checkpoint(run.thread_id, run_id, record.parent_id) if record.parent_id else None
        if record is None:
            raise StateNotFound("the run has no state" if step is None else "the run has no state of this step")
        # The revision of the record, which others may have updated: the next save is made from this one.
        return _state_of(cls, record).model_copy(update={"revision": run.revision})

    @classmethod
    def resume(cls, store: RunStore, run_id: str, owner: str, ttl_s: float) -> tuple["RunState", Lease]:
        """Acquire the lease of a run for `ttl_s` seconds; return the latest state of the run, and the lease.

        No earlier holder can save the run after that. Raises `StateConflict` while another owner holds the lease, and
        what `load` raises; then no lease is kept.
        """
        lease = store.acquire_lease(run_id, owner, ttl_s)
        try:
            return cls.load(store, run_id), lease
        except BaseException:
            store.release_lease(lease)  # nobody will have been given it
            raise

    def fork(self, store: RunStore, run_id: str, *, session_id: str = "") -> "RunState":
        """Store this state as the first of another run, and return it. The two runs share nothing from then on.

        Raises `StateConflict` if the other run exists already, and `ConfigError` if `run_id` is the id of this run.
        """
        if run_id == self.run_id:
            raise ConfigError(
                "invalid run id: a fork cannot have the id of its origin", hint="give the fork an id of its own"
            )
        other = {"run_id": run_id, "session_id": session_id, "revision": 0, "checkpoint_id": ""}
        return self.model_copy(update=other).save(store)


def _checkpoint_id(run: RunRecord) -> str | None:
    """Return the checkpoint that a run is at; None for its latest."""
    found = run.metadata.get("checkpoint_id")
    try:
        return None if found is None else check_text(found, "checkpoint id")
    except ConfigError:
        raise StateCorrupt("the record of this run names no valid checkpoint") from None


def _state_of(kind: type[RunState], record: CheckpointRecord) -> RunState:
    try:
        body: dict[str, Any] = orjson.loads(record.head.data)
        if body.get("schema") != RUN_STATE_SCHEMA:
            if not re.fullmatch(r"runbundle/run-state/v[1-9][0-9]{0,3}", str(body.get("schema"))):
                raise StateCorrupt("the state of this run does not parse")
            raise ConfigError("the state was written by a later version of runbundle", hint="upgrade runbundle")
        found = body | {name: orjson.loads(slot.data) for name, slot in record.slot_payloads.items()}
        register_secrets(found)
        return kind.model_validate(found)
    except (orjson.JSONDecodeError, ValidationError, AttributeError, TypeError):
        raise StateCorrupt("the state of this run does not parse") from None
