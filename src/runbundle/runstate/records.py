"""What a run store keeps. Payloads are opaque: a codec's name and bytes, which no `repr` shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SEALED = "+aesgcm"
"""How the codec of an encrypted payload ends. Those never resemble each other, so no difference is looked for."""


class Payload(NamedTuple):
    """Bytes, and the name of what turns them into a value again."""

    codec: str
    data: bytes

    def __repr__(self) -> str:
        return f"Payload({self.codec!r}, {len(self.data)} bytes)"


class CheckpointKey(NamedTuple):
    """Where a checkpoint is. The tenant is the store's: no key reaches out of it."""

    thread_id: str
    """The conversation, which runs continue one after the other: a session."""
    ns: str
    """A line of checkpoints within the thread, such as one of a sub-graph; "" is the main one."""
    checkpoint_id: str
    """Grows along a line, compared as bytes: the greatest is the latest."""


class Lease(NamedTuple):
    """The right to write for a run, until someone else acquires it. It is also the fence that writes are given."""

    run_id: str
    owner: str
    token: int
    """Grows with every lease that the store gives out."""
    expires_at: float
    """In seconds since the epoch, by the clock of the database."""


@dataclass(frozen=True, slots=True)
class StepWrite:
    """What one task of a step wrote, kept before the step is complete."""

    task_id: str
    idx: int
    """The place among the task's writes; negative for those that replace each other."""
    channel: str
    payload: Payload
    task_path: str = ""
    """Where the task stands in its step; writes are returned by path, task and index, compared as bytes."""


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A state to go on from. Its large parts are slots, each stored once per version and shared by checkpoints."""

    key: CheckpointKey
    head: Payload
    """What is small and changes each time."""
    parent_id: str | None = None
    """The checkpoint before, in the same thread and namespace."""
    engine: str = ""
    """Whose state it is, such as `langgraph`."""
    run_id: str | None = None
    """The run that made it."""
    slots: Mapping[str, str] = field(default_factory=dict[str, str])
    """Version of each slot, by name. A version of a slot is written once; the first to write it wins."""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON to search by. It is never encrypted."""
    chained: bool = False
    """The state is rebuilt from its ancestors too: these may not be deleted from under it."""
    slot_payloads: Mapping[str, Payload] = field(default_factory=dict[str, Payload])
    """Contents of all slots; filled on reading."""
    writes: Sequence[StepWrite] = ()
    """Writes of the steps after it, in order; filled on reading."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run, for those who look after it."""

    run_id: str
    thread_id: str = ""
    """The conversation it belongs to."""
    status: str = "running"
    """A word of the engine's choosing."""
    payload: Payload | None = None
    """Whatever the engine needs to go on."""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON to search by. It is never encrypted."""
    revision: int = 0
    """Counts the writes. An update names the one it was made from."""
    created_at: float = 0.0
    """In seconds since the epoch; set by the store, as the next."""
    updated_at: float = 0.0
    """When the revision was written."""
