"""The interface that every run store implements, and the functions that need nothing but that interface."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from runbundle.runstate.guard import Guard
from runbundle.runstate.records import CheckpointKey, CheckpointRecord, Lease, Payload, RunRecord, StepWrite


class RunStore(ABC):
    """Keeps what a run needs to go on: runs, leases, and checkpoints with their slots and writes.

    The data is raw, so no bundle holds it.

    A store acts for one tenant: no method finds or changes data of another tenant. Every method that writes does so in
    one transaction, so a process that dies in the middle leaves all of the change or none of it. A method given `fence`
    writes only while that lease is the latest lease of its run, and raises `StateConflict` otherwise. A lease that has
    expired but that nobody has taken over still counts as the latest.

    All methods are thread-safe. They raise `ConfigError` for ids, numbers and metadata that cannot be stored,
    `RunStateError` and its subclasses, and nothing else. No error repeats any part of a payload.
    """

    tenant: str
    """The tenant for which this store acts."""

    @abstractmethod
    def for_tenant(self, tenant: str) -> "RunStore":
        """Return a store over the same data that acts for another tenant. Closing either store closes both.

        Raises `ConfigError` if `tenant` is not a valid tenant id.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connections of the store. Data already written is not lost."""

    @abstractmethod
    def watch(self, before: Callable[[], None] | None) -> None:
        """Call `before` ahead of every statement that the store sends from now on; None ends this.

        Statements that begin and end a transaction count too. The conformance suite uses it to crash at each statement.
        """

    def guarded(self, guard: Guard) -> "RunStore | None":  # noqa: ARG002 - for those that can
        """Return this store extended by encrypted notes about its rows, or None if the store cannot keep notes.

        The guarded store is given runs with their payloads unencrypted, has `guard` encrypt them, and stores the
        result. The default returns None; `EncryptedRunStore` then works without notes.
        """
        return None

    def digest(self, data: bytes) -> str:
        """Return a digest of a payload, in hex, to use in a name or a version. The same bytes give the same digest.

        A store that encrypts must return a keyed digest, so that nobody can confirm a guess of the payload.
        """
        return hashlib.sha256(data).hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Runs

    @abstractmethod
    def create_run(self, run: RunRecord) -> RunRecord:
        """Store a new run and return it as stored, at revision 1. Raises `StateConflict` if the id is taken."""

    @abstractmethod
    def update_run(self, run: RunRecord, *, fence: Lease | None = None) -> RunRecord:
        """Replace a run if its stored revision still equals `run.revision`; return it as stored, at the next revision.

        Raises `StateConflict` if another writer has updated the run since, and `StateNotFound` if there is no such run.
        """

    @abstractmethod
    def get_run(self, run_id: str) -> RunRecord:
        """Return a run. Raises `StateNotFound` if there is no such run."""

    @abstractmethod
    def list_runs(
        self,
        *,
        thread_id: str | None = None,
        status: str | None = None,
        where: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> list[RunRecord]:
        """Return the runs that match every given condition, the most recently updated first.

        `where` maps first-level keys of the metadata to the values that they must equal, type included. `limit` is the
        greatest number of runs to return; None returns all.
        """

    @abstractmethod
    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Remove runs, the checkpoints that they made and the writes to these. Unknown ids are ignored.

        Raises `StateRefused` if a chained checkpoint would lose an ancestor, and `StateConflict` if one of the runs is
        written to at the same time. Then nothing is removed.
        """

    # Leases

    @abstractmethod
    def acquire_lease(self, run_id: str, owner: str, ttl_s: float) -> Lease:
        """Take the run for `ttl_s` seconds and return the lease. It voids every earlier lease of the same owner.

        Raises `StateConflict` while another owner holds a lease that has not expired, and `StateNotFound` if there is
        no such run.
        """

    @abstractmethod
    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """Extend a lease to `ttl_s` seconds from now and return it. Its token stays the same.

        Raises `StateConflict` if it is not the latest lease of its run.
        """

    @abstractmethod
    def release_lease(self, lease: Lease) -> None:
        """Give a lease up: its holder can no longer write with it, and anybody may acquire the run.

        Does nothing if the lease is not the latest lease of its run.
        """

    # Checkpoints

    @abstractmethod
    def put_checkpoint(
        self,
        record: CheckpointRecord,
        new_slots: Mapping[str, Payload],
        *,
        fence: Lease | None = None,
        run: RunRecord | None = None,
    ) -> None:
        """Store a checkpoint with its slots, replacing one with the same key. Idempotent.

        `new_slots` holds the contents of those slots of `record.slots` that may not be stored yet; a slot version that
        is stored already keeps its contents. `run`, if given, is updated in the same transaction, or created if its
        revision is 0. `record.slot_payloads` and `record.writes` are ignored: they are filled when a checkpoint is
        read. Raises `StateConflict` if a slot is neither stored nor in `new_slots`, and for the run what `update_run`
        and `create_run` raise.
        """

    @abstractmethod
    def append_writes(
        self, key: CheckpointKey, writes: Sequence[StepWrite], *, replace: bool = False, fence: Lease | None = None
    ) -> None:
        """Store writes to a checkpoint, which may itself be stored later.

        If a write with the same task and index is stored already it stays, unless `replace` is set: then the new one
        takes its place.
        """

    @abstractmethod
    def get_checkpoint(self, thread_id: str, ns: str = "", checkpoint_id: str | None = None) -> CheckpointRecord | None:
        """Return a checkpoint with its slots and writes, or None if there is none.

        Without `checkpoint_id` it is the one with the greatest id of the thread and namespace. The result is a
        snapshot: it never mixes two states of the store.
        """

    @abstractmethod
    def find_checkpoints(
        self,
        *,
        thread_id: str | None = None,
        ns: str | None = None,
        run_id: str | None = None,
        where: Mapping[str, Any] | None = None,
        before: str | None = None,
        limit: int | None = None,
    ) -> list[CheckpointKey]:
        """Return the keys of the checkpoints that match every given condition, the greatest id first.

        `before` keeps only ids below it. `where` and `limit` are as in `list_runs`.
        """

    # Lifecycle of threads

    @abstractmethod
    def delete_threads(self, thread_ids: Sequence[str]) -> None:
        """Remove all checkpoints and writes of threads. Their runs stay; unknown ids are ignored."""

    @abstractmethod
    def copy_thread(
        self, source: str, target: str, *, rewrite: Callable[[CheckpointRecord], CheckpointRecord] | None = None
    ) -> None:
        """Copy all checkpoints of a thread, with their writes, to a new thread.

        `rewrite` is called with each copy before it is stored and returns the record to store; encryption uses it.
        Raises `StateNotFound` if the source has no checkpoint, and `StateConflict` if the target has checkpoints or
        writes.
        """

    @abstractmethod
    def prune(self, thread_ids: Sequence[str]) -> None:
        """Remove all but the latest checkpoint of each namespace of these threads, with the writes to those removed.

        No part of a removed payload remains in a kept one. Writes to checkpoints that are not stored yet stay. Raises
        `StateRefused` if one of the threads has chained checkpoints; then no thread is pruned.
        """


def list_checkpoints(store: RunStore, **asked: Any) -> Iterator[CheckpointRecord]:
    """Yield the checkpoints that `store.find_checkpoints(**asked)` names, reading one at a time.

    A checkpoint that is deleted in the meantime is skipped.
    """
    for key in store.find_checkpoints(**asked):
        record = store.get_checkpoint(*key)
        if record is not None:
            yield record
