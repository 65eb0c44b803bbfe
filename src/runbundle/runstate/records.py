"""The records that a run store keeps. A payload is opaque to the store, and no `repr` shows its bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

ENCRYPTED_SUFFIX = "+aesgcm"
"""The end of every encrypted payload's codec. It is in databases: never change it.

Ciphertexts never resemble each other, so a store looks for no difference between two versions that end like this.
"""


class Payload(NamedTuple):
    """Bytes, and the codec that turns them into a value again. `repr` shows the codec and the size, never the bytes."""

    codec: str
    data: bytes

    def __repr__(self) -> str:
        return f"Payload({self.codec!r}, {len(self.data)} bytes)"


class CheckpointKey(NamedTuple):
    """The place of a checkpoint. It does not name the tenant: that is the store."""

    thread_id: str
    """The conversation (session), which one run continues after the other."""
    ns: str
    """A line of checkpoints within the thread, such as one of a sub-graph; "" is the main one."""
    checkpoint_id: str
    """Grows along a line of checkpoints, compared as bytes: the greatest id is the latest checkpoint."""


class Lease(NamedTuple):
    """The right to write to a run until somebody else acquires it.

    A lease is passed to writing methods as `fence`.
    """

    run_id: str
    owner: str
    token: int
    """Greater than the token of every lease that the store gave out before."""
    expires_at: float
    """In seconds since the epoch, by the clock of the database."""


@dataclass(frozen=True, slots=True)
class StepWrite:
    """A write of one task, kept before the step of the task is complete."""

    task_id: str
    idx: int
    """The place among the writes of the task; negative for writes that replace each other."""
    channel: str
    payload: Payload
    task_path: str = ""
    """The place of the task in its step. Writes are returned sorted by path, task and index, compared as bytes."""


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A state from which a run can go on.

    Its large parts are slots. Each version of a slot is stored once and shared by all checkpoints that have it.
    """

    key: CheckpointKey
    head: Payload
    """The small part of the state that changes with each checkpoint."""
    parent_id: str | None = None
    """The id of the checkpoint before, in the same thread and namespace."""
    engine: str = ""
    """The engine that wrote the state, such as `langgraph`."""
    run_id: str | None = None
    """The run that made the checkpoint."""
    slots: Mapping[str, str] = field(default_factory=dict[str, str])
    """Version of each slot, by name. A version of a slot is written once; the first to write it wins."""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON to search by; never encrypted."""
    chained: bool = False
    """Whether the state is rebuilt from its ancestors too; then these cannot be deleted without it."""
    slot_payloads: Mapping[str, Payload] = field(default_factory=dict[str, Payload])
    """Contents of all slots; filled on reading."""
    writes: Sequence[StepWrite] = ()
    """Writes of the steps after it, in order; filled on reading."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run: its status, the payload that its engine needs, and metadata to search by."""

    run_id: str
    thread_id: str = ""
    """The conversation it belongs to."""
    status: str = "running"
    """The status, a word that the engine chooses."""
    payload: Payload | None = None
    """The data that the engine needs to go on."""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON to search by. It is never encrypted."""
    revision: int = 0
    """The number of writes to the run so far. An update gives the revision that it was made from."""
    created_at: float = 0.0
    """When the run was created, in seconds since the epoch; set by the store, like `updated_at`."""
    updated_at: float = 0.0
    """When this revision was written, in seconds since the epoch."""
