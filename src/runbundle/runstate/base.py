"""The one interface of run stores. What can be an algorithm over it is a function."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from runbundle.runstate.guard import Guard
from runbundle.runstate.records import CheckpointKey, CheckpointRecord, Lease, Payload, RunRecord, StepWrite


class RunStore(ABC):
    """State to resume runs from: raw, and so no part of a bundle.

    A store speaks for one tenant; whatever it is asked, it neither finds nor changes what is another's. Every method
    that writes does so in one transaction: whole or not at all, also if the process dies in the middle. With `fence`,
    it writes only while that lease is the latest of its run, and raises `StateConflict` otherwise. A lease past its
    expiry that nobody has taken over still fences nobody out.

    Thread-safe. Implementations raise `ConfigError` for keys and metadata that cannot be stored, `RunStateError` and
    its kinds, and nothing else; none of them repeats anything of a payload.
    """

    tenant: str
    """Whose state this is."""

    @abstractmethod
    def for_tenant(self, tenant: str) -> "RunStore":
        """Return a store over the same data that speaks for another tenant. Closing either closes both."""

    @abstractmethod
    def close(self) -> None:
        """Close connections. Nothing is lost: what was written is written."""

    @abstractmethod
    def watch(self, before: Callable[[], None] | None) -> None:
        """Have `before` called ahead of each statement sent from now on, those that begin and end a transaction too.

        For tests, which crash there.
        """

    def guarded(self, guard: Guard) -> "RunStore | None":  # noqa: ARG002 - for those that can
        """Return this store with notes of its rows, which `guard` seals; None if it cannot keep any.

        A guarded store is given runs with their payloads in plain, and stores what the guard makes of them.
        """
        return None

    def digest(self, data: bytes) -> str:
        """Return what may stand for a payload in a name or a version. A store that encrypts must return a keyed one."""
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
        """Store a new run and return it as stored, revision 1. Raises `StateConflict` if the id is taken."""

    @abstractmethod
    def update_run(self, run: RunRecord, *, fence: Lease | None = None) -> RunRecord:
        """Replace the run if its stored revision still is `run.revision`; return it with the next.

        Raises `StateConflict` if someone was faster, `StateNotFound` if there is no such run.
        """

    @abstractmethod
    def get_run(self, run_id: str) -> RunRecord:
        """Return a run. Raises `StateNotFound`."""

    @abstractmethod
    def list_runs(
        self,
        *,
        thread_id: str | None = None,
        status: str | None = None,
        where: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> list[RunRecord]:
        """Return runs, those updated last first. `where` asks for equal values in the metadata's first level."""

    @abstractmethod
    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Remove runs, their checkpoints and the writes to these. Ids that do not exist are passed over.

        Raises `StateRefused` if it would leave a chained checkpoint without its ancestors, `StateConflict` if one of
        the runs is written to meanwhile.
        """

    # Leases

    @abstractmethod
    def acquire_lease(self, run_id: str, owner: str, ttl_s: float) -> Lease:
        """Take the run for `ttl_s` seconds; a lease that its owner had before is void from now on.

        Raises `StateConflict` while another owner holds it, `StateNotFound` if there is no such run.
        """

    @abstractmethod
    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """Extend a lease, from now, under the same token. Raises `StateConflict` if it is not the latest."""

    @abstractmethod
    def release_lease(self, lease: Lease) -> None:
        """Give the lease up: it fences its holder out, and anyone may take it. Nothing happens if it was lost."""

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
        """Store a checkpoint; once more, and it stays what it was.

        `new_slots` holds the contents of those of `record.slots` that may be new. `run` is updated (or created, at
        revision 0) in the same transaction, by compare-and-set. `record.slot_payloads` and `record.writes` are for
        reading, and not looked at. Raises `StateConflict` if a slot is neither new nor stored.
        """

    @abstractmethod
    def append_writes(
        self, key: CheckpointKey, writes: Sequence[StepWrite], *, replace: bool = False, fence: Lease | None = None
    ) -> None:
        """Keep writes for a checkpoint, which may come later.

        Of two in one place (task and index) the first stays, or the last if `replace`.
        """

    @abstractmethod
    def get_checkpoint(self, thread_id: str, ns: str = "", checkpoint_id: str | None = None) -> CheckpointRecord | None:
        """Return a checkpoint with its slots and writes, the latest if no id is given; None if there is none."""

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
        """Return keys of checkpoints, the greatest id first, ids below `before` only. `where` is as in `list_runs`."""

    # Lifecycle of threads

    @abstractmethod
    def delete_threads(self, thread_ids: Sequence[str]) -> None:
        """Remove all checkpoints and writes of threads. Runs stay; `delete_runs` removes those."""

    @abstractmethod
    def copy_thread(
        self, source: str, target: str, *, rewrite: Callable[[CheckpointRecord], CheckpointRecord] | None = None
    ) -> None:
        """Copy all checkpoints of a thread, with their writes, under another name.

        `rewrite` is given each copy before it is stored, as for a store that encrypts. Raises `StateNotFound` if
        there is no source, `StateConflict` if there is a target.
        """

    @abstractmethod
    def prune(self, thread_ids: Sequence[str]) -> None:
        """Keep of each namespace of these threads the latest checkpoint, and the writes not older than it.

        Nothing of what is removed remains in what is kept. Raises `StateRefused` if a thread has chained checkpoints;
        then no thread is pruned.
        """


def list_checkpoints(store: RunStore, **asked: Any) -> Iterator[CheckpointRecord]:
    """Yield the checkpoints that `find_checkpoints` names, one read at a time; one deleted meanwhile is passed over."""
    for key in store.find_checkpoints(**asked):
        record = store.get_checkpoint(*key)
        if record is not None:
            yield record
