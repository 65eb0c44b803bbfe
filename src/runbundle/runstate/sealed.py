"""Encryption of payloads, in front of any run store: AES-256-GCM (`runbundle[debug]`).

Payloads are what is encrypted: heads, slots, writes, and what runs carry. Names, versions, metadata and sizes are not.
What a payload belongs to is authenticated with it, the tenant first, so that none can be put in another's place; a
checkpoint's head also vouches for its parent, its run and the versions of its slots.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from runbundle.errors import ConfigError, StateCorrupt
from runbundle.redaction.given_key import require_key
from runbundle.runstate import checks
from runbundle.runstate.base import RunStore
from runbundle.runstate.records import SEALED, CheckpointKey, CheckpointRecord, Lease, Payload, RunRecord, StepWrite

_NONCE_BYTES = 12


class EncryptedRunStore(RunStore):
    """A run store that sees no payload in plain. What it holds in plain already is refused: `StateCorrupt`."""

    def __init__(self, store: RunStore, key: bytes) -> None:
        require_key(key, "the key of run state", in_code=True)
        self.store, self._key = store, key
        self.tenant = store.tenant
        # A key for each tenant: what is drawn at random is then drawn for fewer payloads.
        self._cipher = _cipher(hmac.digest(key, f"runbundle/run-state/{self.tenant}".encode(), "sha256"))
        self._digests = hmac.digest(key, f"runbundle/run-state-digests/{self.tenant}".encode(), "sha256")

    def for_tenant(self, tenant: str) -> "EncryptedRunStore":
        """Return a store under the same key that speaks for another tenant."""
        return EncryptedRunStore(self.store.for_tenant(tenant), self._key)

    def close(self) -> None:
        """Close the store behind."""
        self.store.close()

    def watch(self, before: Callable[[], None] | None) -> None:
        """Watch the store behind."""
        self.store.watch(before)

    def digest(self, data: bytes) -> str:
        """Return a keyed digest: guesses cannot be checked against it."""
        return hmac.digest(self._digests, data, "sha256").hex()

    # Runs

    def create_run(self, run: RunRecord) -> RunRecord:
        """Store a new run."""
        return self._opened_run(self.store.create_run(self._sealed_run(replace(run, revision=0))))

    def update_run(self, run: RunRecord, *, fence: Lease | None = None) -> RunRecord:
        """Replace a run by compare-and-set."""
        return self._opened_run(self.store.update_run(self._sealed_run(run), fence=fence))

    def get_run(self, run_id: str) -> RunRecord:
        """Return a run."""
        return self._opened_run(self.store.get_run(run_id))

    def list_runs(
        self,
        *,
        thread_id: str | None = None,
        status: str | None = None,
        where: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> list[RunRecord]:
        """Return runs, those updated last first."""
        runs = self.store.list_runs(thread_id=thread_id, status=status, where=where, limit=limit)
        return [self._opened_run(run) for run in runs]

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Remove runs with their checkpoints."""
        self.store.delete_runs(run_ids)

    # Leases

    def acquire_lease(self, run_id: str, owner: str, ttl_s: float) -> Lease:
        """Take a run."""
        return self.store.acquire_lease(run_id, owner, ttl_s)

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """Extend a lease."""
        return self.store.renew_lease(lease, ttl_s)

    def release_lease(self, lease: Lease) -> None:
        """Give a lease up."""
        self.store.release_lease(lease)

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
        self.store.put_checkpoint(
            replace(record, head=self._seal(record.head, self._about_head(record))),
            {name: self._seal(slot, self._about_slot(record, name)) for name, slot in new_slots.items()},
            fence=fence,
            run=None if run is None else self._sealed_run(run),
        )

    def append_writes(
        self, key: CheckpointKey, writes: Sequence[StepWrite], *, replace: bool = False, fence: Lease | None = None
    ) -> None:
        """Keep writes for a checkpoint."""
        checks.check_key(key)
        checks.check_writes(tuple(writes))
        self.store.append_writes(key, self._sealed_writes(key, writes), replace=replace, fence=fence)

    def get_checkpoint(self, thread_id: str, ns: str = "", checkpoint_id: str | None = None) -> CheckpointRecord | None:
        """Return a checkpoint with its slots and writes."""
        record = self.store.get_checkpoint(thread_id, ns, checkpoint_id)
        return None if record is None else self._opened(record)

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
        return self.store.find_checkpoints(
            thread_id=thread_id, ns=ns, run_id=run_id, where=where, before=before, limit=limit
        )

    # Threads

    def delete_threads(self, thread_ids: Sequence[str]) -> None:
        """Remove threads."""
        self.store.delete_threads(thread_ids)

    def copy_thread(
        self, source: str, target: str, *, rewrite: Callable[[CheckpointRecord], CheckpointRecord] | None = None
    ) -> None:
        """Copy a thread: each payload is opened as the source's and sealed as the target's."""

        def resealed(record: CheckpointRecord) -> CheckpointRecord:
            opened = self._opened(replace(record, key=record.key._replace(thread_id=source)))
            copied = replace(opened, key=record.key)
            return self._sealed(rewrite(copied) if rewrite else copied)

        self.store.copy_thread(source, target, rewrite=resealed)

    def prune(self, thread_ids: Sequence[str]) -> None:
        """Keep the latest checkpoint of each namespace."""
        self.store.prune(thread_ids)

    # Payloads

    def _seal(self, payload: Payload, about: list[Any]) -> Payload:
        codec = payload.codec + SEALED
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return Payload(codec, nonce + self._cipher.encrypt(nonce, payload.data, self._authenticated(codec, about)))

    def _open(self, payload: Payload, about: list[Any]) -> Payload:
        from cryptography.exceptions import InvalidTag

        if not payload.codec.endswith(SEALED):
            raise StateCorrupt("run state is stored in plain, and encryption is on", hint="move it over, or delete it")
        nonce, data = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            opened = self._cipher.decrypt(nonce, data, self._authenticated(payload.codec, about))
        except (InvalidTag, ValueError):
            raise StateCorrupt("run state cannot be opened: it was altered, or is under another key") from None
        return Payload(payload.codec.removesuffix(SEALED), opened)

    def _authenticated(self, codec: str, about: list[Any]) -> bytes:
        return orjson.dumps([self.tenant, codec, *about], option=orjson.OPT_SORT_KEYS)

    def _sealed(self, record: CheckpointRecord) -> CheckpointRecord:
        return replace(
            record,
            head=self._seal(record.head, self._about_head(record)),
            slot_payloads={
                name: self._seal(slot, self._about_slot(record, name)) for name, slot in record.slot_payloads.items()
            },
            writes=self._sealed_writes(record.key, record.writes),
        )

    def _opened(self, record: CheckpointRecord) -> CheckpointRecord:
        return replace(
            record,
            head=self._open(record.head, self._about_head(record)),
            slot_payloads={
                name: self._open(slot, self._about_slot(record, name)) for name, slot in record.slot_payloads.items()
            },
            writes=tuple(
                replace(write, payload=self._open(write.payload, _about_write(record.key, write)))
                for write in record.writes
            ),
        )

    def _sealed_writes(self, key: CheckpointKey, writes: Sequence[StepWrite]) -> tuple[StepWrite, ...]:
        return tuple(replace(write, payload=self._seal(write.payload, _about_write(key, write))) for write in writes)

    def _sealed_run(self, run: RunRecord) -> RunRecord:
        checks.check_run(run)
        if run.payload is None:
            return run
        return replace(run, payload=self._seal(run.payload, _about_run(run, run.revision + 1)))

    def _opened_run(self, run: RunRecord) -> RunRecord:
        if run.payload is None:
            return run
        return replace(run, payload=self._open(run.payload, _about_run(run, run.revision)))

    def _about_head(self, record: CheckpointRecord) -> list[Any]:
        return [
            "head", *record.key, record.parent_id, record.engine, record.run_id, record.chained, dict(record.slots)
        ]  # fmt: skip

    def _about_slot(self, record: CheckpointRecord, name: str) -> list[Any]:
        return ["slot", record.key.thread_id, record.key.ns, name, record.slots.get(name)]


def _about_write(key: CheckpointKey, write: StepWrite) -> list[Any]:
    return ["write", *key, write.task_path, write.task_id, write.idx, write.channel]


def _about_run(run: RunRecord, revision: int) -> list[Any]:
    return ["run", run.run_id, run.thread_id, run.status, revision]


def _cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise ConfigError("encrypted run state needs cryptography", hint="pip install 'runbundle[debug]'") from None
    return AESGCM(key)
