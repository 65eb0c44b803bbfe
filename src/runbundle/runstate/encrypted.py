"""Encryption of payloads, in front of any run store: AES-256-GCM (`runbundle[debug]`).

Payloads are what is encrypted: heads, slots, writes, and what runs carry. Names, versions, metadata and sizes are not;
they are authenticated: a head and a run vouch for all other columns of their row, but for the lease. What a payload
belongs to is authenticated with it, the tenant first, so that none can be put in another's place.

A store in SQLite or PostgreSQL also keeps a sealed note of what rows a thread has, and of a run's latest revision. So a
row that is put back to what it was, or a checkpoint, a write or a run that is removed, is `StateCorrupt` when it, or
its thread, is read. What cannot be found out: that a thread with its note, or the whole database, was put back or
removed; who holds a lease; and of rows that were written before there were notes, anything but their payloads.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from runbundle.keyring.given_key import require_key
from runbundle.runstate import checks
from runbundle.runstate.base import RunStore
from runbundle.runstate.encryption import Sealer
from runbundle.runstate.records import CheckpointKey, CheckpointRecord, Lease, Payload, RunRecord, StepWrite

_log = logging.getLogger("runbundle")


class EncryptedRunStore(RunStore):
    """A run store that sees no payload in plain. What it holds in plain already is refused: `StateCorrupt`."""

    def __init__(self, store: RunStore, key: bytes) -> None:
        require_key(key, "the key of run state", in_code=True)
        self.store, self._key = store, key
        self.tenant = store.tenant
        sealer = Sealer(self.tenant, key, times=True)
        noting = store.guarded(sealer)
        self._notes = noting is not None
        self._sealer = sealer if noting is not None else Sealer(self.tenant, key, times=False)
        self._behind = noting or store
        if noting is None:
            _log.warning(
                "%s keeps no notes: of run state in it, rows that are put back are not told", type(store).__name__
            )

    def for_tenant(self, tenant: str) -> "EncryptedRunStore":
        """Return a store under the same key that speaks for another tenant."""
        return EncryptedRunStore(self.store.for_tenant(tenant), self._key)

    def close(self) -> None:
        """Close the store behind."""
        self._behind.close()

    def watch(self, before: Callable[[], None] | None) -> None:
        """Watch the store behind."""
        self._behind.watch(before)

    def digest(self, data: bytes) -> str:
        """Return a keyed digest: guesses cannot be checked against it."""
        return self._sealer.digest(data)

    # Runs

    def create_run(self, run: RunRecord) -> RunRecord:
        """Store a new run."""
        stored = self._behind.create_run(self._sealed_run(replace(run, revision=0)))
        return self._sealer.opened_run(stored)

    def update_run(self, run: RunRecord, *, fence: Lease | None = None) -> RunRecord:
        """Replace a run by compare-and-set."""
        return self._sealer.opened_run(self._behind.update_run(self._sealed_run(run), fence=fence))

    def get_run(self, run_id: str) -> RunRecord:
        """Return a run."""
        return self._sealer.opened_run(self._behind.get_run(run_id))

    def list_runs(
        self,
        *,
        thread_id: str | None = None,
        status: str | None = None,
        where: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> list[RunRecord]:
        """Return runs, those updated last first."""
        runs = self._behind.list_runs(thread_id=thread_id, status=status, where=where, limit=limit)
        return [self._sealer.opened_run(run) for run in runs]

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Remove runs with their checkpoints."""
        self._behind.delete_runs(run_ids)

    # Leases

    def acquire_lease(self, run_id: str, owner: str, ttl_s: float) -> Lease:
        """Take a run."""
        return self._behind.acquire_lease(run_id, owner, ttl_s)

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """Extend a lease."""
        return self._behind.renew_lease(lease, ttl_s)

    def release_lease(self, lease: Lease) -> None:
        """Give a lease up."""
        self._behind.release_lease(lease)

    # Checkpoints

    def put_checkpoint(
        self,
        record: CheckpointRecord,
        new_slots: Mapping[str, Payload],
        *,
        fence: Lease | None = None,
        run: RunRecord | None = None,
    ) -> None:
        """Store a checkpoint."""
        checks.check_record(record, new_slots)
        self._behind.put_checkpoint(
            self._sealer.sealed_head(record),
            {name: self._sealer.sealed_slot(record, name, slot) for name, slot in new_slots.items()},
            fence=fence,
            run=None if run is None else self._sealed_run(run),
        )

    def append_writes(
        self, key: CheckpointKey, writes: Sequence[StepWrite], *, replace: bool = False, fence: Lease | None = None
    ) -> None:
        """Keep writes for a checkpoint."""
        checks.check_key(key)
        checks.check_writes(tuple(writes))
        self._behind.append_writes(key, self._sealer.sealed_writes(key, writes), replace=replace, fence=fence)

    def get_checkpoint(self, thread_id: str, ns: str = "", checkpoint_id: str | None = None) -> CheckpointRecord | None:
        """Return a checkpoint with its slots and writes."""
        record = self._behind.get_checkpoint(thread_id, ns, checkpoint_id)
        return None if record is None else self._sealer.opened(record)

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
        """Return keys of checkpoints, the greatest id first."""
        return self._behind.find_checkpoints(
            thread_id=thread_id, ns=ns, run_id=run_id, where=where, before=before, limit=limit
        )

    # Threads

    def delete_threads(self, thread_ids: Sequence[str]) -> None:
        """Remove threads."""
        self._behind.delete_threads(thread_ids)

    def copy_thread(
        self, source: str, target: str, *, rewrite: Callable[[CheckpointRecord], CheckpointRecord] | None = None
    ) -> None:
        """Copy a thread: each payload is opened as the source's and sealed as the target's."""

        def resealed(record: CheckpointRecord) -> CheckpointRecord:
            opened = self._sealer.opened(replace(record, key=record.key._replace(thread_id=source)))
            copied = replace(opened, key=record.key)
            return self._sealer.sealed(rewrite(copied) if rewrite else copied)

        self._behind.copy_thread(source, target, rewrite=resealed)

    def prune(self, thread_ids: Sequence[str]) -> None:
        """Keep the latest checkpoint of each namespace."""
        self._behind.prune(thread_ids)

    def _sealed_run(self, run: RunRecord) -> RunRecord:
        """Return a run to be stored: as it is, if the store behind has it sealed once it knows the times of the row."""
        checks.check_run(run)
        if self._notes:
            return run
        sealed = self._sealer.sealed_run(replace(run, revision=run.revision + 1))
        return replace(sealed, revision=run.revision)
