"""Encryption of payloads, in front of any run store: AES-256-GCM (`runbundle[debug]`).

Encrypted are the payloads: heads, slots, writes, and the payloads of runs. Names, versions, metadata and sizes are not
encrypted but authenticated: a head and a run authenticate all other columns of their row, except those of the lease.
Each payload authenticates where it belongs, the tenant included, so none can be put in the place of another.

A store in SQLite or PostgreSQL also keeps an encrypted note of the rows of each thread, and of the latest revision of
each run. If a row is put back to an earlier state, or a checkpoint, a write or a run is removed, reading it or its
thread raises `StateCorrupt`.

Not detected: a thread put back or removed together with its note, or a whole database; a change of who holds a lease;
and, in rows written before notes were kept, any change outside the payloads.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from runbundle.keyring.given_key import require_key
from runbundle.runstate import checks
from runbundle.runstate.base import RunStore
from runbundle.runstate.cipher import Cipher
from runbundle.runstate.records import CheckpointKey, CheckpointRecord, Lease, Payload, RunRecord, StepWrite

_log = logging.getLogger("runbundle")


class EncryptedRunStore(RunStore):
    """A run store that passes only encrypted payloads to the store behind it.

    Payloads that the store behind holds unencrypted are refused with `StateCorrupt`. Raises `ConfigError` if the key is
    too short or `cryptography` is not installed. If the store behind cannot keep notes, a warning is logged: then rows
    that are put back to an earlier state are not detected.

        store = EncryptedRunStore(from_url("state.sqlite"), key)
    """

    def __init__(self, store: RunStore, key: bytes) -> None:
        require_key(key, "the key of run state", in_code=True)
        self.store, self._key = store, key
        self.tenant = store.tenant
        cipher = Cipher(self.tenant, key, times=True)
        noting = store.guarded(cipher)
        self._notes = noting is not None
        self._cipher = cipher if noting is not None else Cipher(self.tenant, key, times=False)
        self._behind = noting or store
        if noting is None:
            _log.warning(
                "%s keeps no notes: rows of run state put back to an earlier state are not detected",
                type(store).__name__,
            )

    def for_tenant(self, tenant: str) -> "EncryptedRunStore":
        """Return a store over the same data, with the same key, that acts for another tenant."""
        return EncryptedRunStore(self.store.for_tenant(tenant), self._key)

    def close(self) -> None:
        """Close the store behind."""
        self._behind.close()

    def watch(self, before: Callable[[], None] | None) -> None:
        """Call `before` ahead of every statement of the store behind."""
        self._behind.watch(before)

    def digest(self, data: bytes) -> str:
        """Return a keyed digest in hex. Without the key nobody can confirm a guess of `data`."""
        return self._cipher.digest(data)

    # Runs

    def create_run(self, run: RunRecord) -> RunRecord:
        """Store a new run, encrypted; return it decrypted."""
        stored = self._behind.create_run(self._encrypted_run(replace(run, revision=0)))
        return self._cipher.decrypted_run(stored)

    def update_run(self, run: RunRecord, *, fence: Lease | None = None) -> RunRecord:
        """Replace a run, encrypted, if its revision is unchanged; return it decrypted."""
        return self._cipher.decrypted_run(self._behind.update_run(self._encrypted_run(run), fence=fence))

    def get_run(self, run_id: str) -> RunRecord:
        """Return a run, decrypted. Raises `StateCorrupt` if it was altered."""
        return self._cipher.decrypted_run(self._behind.get_run(run_id))

    def list_runs(
        self,
        *,
        thread_id: str | None = None,
        status: str | None = None,
        where: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> list[RunRecord]:
        """Return the matching runs, decrypted, the most recently updated first."""
        runs = self._behind.list_runs(thread_id=thread_id, status=status, where=where, limit=limit)
        return [self._cipher.decrypted_run(run) for run in runs]

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Remove runs with their checkpoints."""
        self._behind.delete_runs(run_ids)

    # Leases

    def acquire_lease(self, run_id: str, owner: str, ttl_s: float) -> Lease:
        """Take a run. Leases are not encrypted."""
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
        """Store a checkpoint, its head, slots and run encrypted."""
        checks.check_record(record, new_slots)
        self._behind.put_checkpoint(
            self._cipher.encrypted_head(record),
            {name: self._cipher.encrypted_slot(record, name, slot) for name, slot in new_slots.items()},
            fence=fence,
            run=None if run is None else self._encrypted_run(run),
        )

    def append_writes(
        self, key: CheckpointKey, writes: Sequence[StepWrite], *, replace: bool = False, fence: Lease | None = None
    ) -> None:
        """Store writes to a checkpoint, encrypted."""
        checks.check_key(key)
        checks.check_writes(tuple(writes))
        self._behind.append_writes(key, self._cipher.encrypted_writes(key, writes), replace=replace, fence=fence)

    def get_checkpoint(self, thread_id: str, ns: str = "", checkpoint_id: str | None = None) -> CheckpointRecord | None:
        """Return a checkpoint, decrypted. Raises `StateCorrupt` if a part of it was altered."""
        record = self._behind.get_checkpoint(thread_id, ns, checkpoint_id)
        return None if record is None else self._cipher.decrypted(record)

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
        """Return the keys of the matching checkpoints, the greatest id first."""
        return self._behind.find_checkpoints(
            thread_id=thread_id, ns=ns, run_id=run_id, where=where, before=before, limit=limit
        )

    # Threads

    def delete_threads(self, thread_ids: Sequence[str]) -> None:
        """Remove all checkpoints and writes of threads."""
        self._behind.delete_threads(thread_ids)

    def copy_thread(
        self, source: str, target: str, *, rewrite: Callable[[CheckpointRecord], CheckpointRecord] | None = None
    ) -> None:
        """Copy a thread to a new one.

        Each payload is decrypted as the source's and encrypted as the target's.
        """

        def re_encrypted(record: CheckpointRecord) -> CheckpointRecord:
            decrypted = self._cipher.decrypted(replace(record, key=record.key._replace(thread_id=source)))
            copied = replace(decrypted, key=record.key)
            return self._cipher.encrypted(rewrite(copied) if rewrite else copied)

        self._behind.copy_thread(source, target, rewrite=re_encrypted)

    def prune(self, thread_ids: Sequence[str]) -> None:
        """Remove all but the latest checkpoint of each namespace."""
        self._behind.prune(thread_ids)

    def _encrypted_run(self, run: RunRecord) -> RunRecord:
        """Return a run to hand to the store behind.

        A store with notes gets the run as it is and has it encrypted itself, once it knows the times of the row.
        """
        checks.check_run(run)
        if self._notes:
            return run
        encrypted = self._cipher.encrypted_run(replace(run, revision=run.revision + 1))
        return replace(encrypted, revision=run.revision)
