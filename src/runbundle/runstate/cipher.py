"""AES-256-GCM for payloads of run state: how each is encrypted, and the data that it authenticates."""

import hmac
import logging
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import orjson

from runbundle.errors import ConfigError, StateCorrupt
from runbundle.runstate import checks
from runbundle.runstate.guard import MODULUS, NoteName, Row
from runbundle.runstate.records import ENCRYPTED_SUFFIX, CheckpointKey, CheckpointRecord, Payload, RunRecord, StepWrite

_NONCE_BYTES = 12
# Ends the codec of rows that authenticate all of their columns and are covered by a note. It is in databases:
# never change it.
_NOTED_SUFFIX = f"+2{ENCRYPTED_SUFFIX}"
_NO_PAYLOAD = "none"  # codec of the empty payload by which a run without a payload is authenticated
_log = logging.getLogger("runbundle")
_said: set[str] = set()


class Cipher:
    """Encrypts and decrypts the payloads of one tenant.

    It is also the guard (`runbundle.runstate.guard`) of the store behind. The key is derived from `key` and the tenant.
    With `times` the creation and update times of a run are authenticated too, which only a store that keeps notes
    allows. Decrypting raises `StateCorrupt` if a payload is not encrypted, was altered, stands in the place of another,
    or is under another key.
    """

    def __init__(self, tenant: str, key: bytes, *, times: bool) -> None:
        self._tenant, self._times = tenant, times
        # A key for each tenant: fewer payloads share a key, so a random nonce is less likely to repeat under one.
        self._aead = _aead(hmac.digest(key, f"runbundle/run-state/{tenant}".encode(), "sha256"))
        self._digests = hmac.digest(key, f"runbundle/run-state-digests/{tenant}".encode(), "sha256")
        self._rows = hmac.digest(key, f"runbundle/run-state-rows/{tenant}".encode(), "sha256")

    def digest(self, data: bytes) -> str:
        """Return a keyed digest in hex. Without the key nobody can confirm a guess of `data`."""
        return hmac.digest(self._digests, data, "sha256").hex()

    # Checkpoints

    def encrypted_head(self, record: CheckpointRecord) -> CheckpointRecord:
        """Return a checkpoint with its head encrypted. The head authenticates all other columns of its row."""
        checks.metadata_json(record.metadata)
        return replace(record, head=self._encrypt(record.head, _about_head(record), _NOTED_SUFFIX))

    def encrypted_slot(self, record: CheckpointRecord, name: str, slot: Payload) -> Payload:
        """Return the payload of a slot encrypted. It authenticates the line, name and version of the slot."""
        return self._encrypt(slot, _about_slot(record, name), ENCRYPTED_SUFFIX)

    def encrypted_writes(self, key: CheckpointKey, writes: Sequence[StepWrite]) -> tuple[StepWrite, ...]:
        """Return writes with their payloads encrypted. Each authenticates its checkpoint, task, index and channel."""
        return tuple(replace(w, payload=self._encrypt(w.payload, _about_write(key, w), _NOTED_SUFFIX)) for w in writes)

    def encrypted(self, record: CheckpointRecord) -> CheckpointRecord:
        """Return a checkpoint with its head, slots and writes encrypted."""
        return replace(
            self.encrypted_head(record),
            slot_payloads={
                name: self.encrypted_slot(record, name, slot) for name, slot in record.slot_payloads.items()
            },
            writes=self.encrypted_writes(record.key, record.writes),
        )

    def decrypted(self, record: CheckpointRecord) -> CheckpointRecord:
        """Return a checkpoint with its head, slots and writes decrypted. Raises `StateCorrupt`."""
        about = _about_head(record) if record.head.codec.endswith(_NOTED_SUFFIX) else _about_older_head(record)
        return replace(
            record,
            head=self._decrypt(record.head, about),
            slot_payloads={
                name: self._decrypt(slot, _about_slot(record, name)) for name, slot in record.slot_payloads.items()
            },
            writes=tuple(
                replace(w, payload=self._decrypt(w.payload, _about_write(record.key, w))) for w in record.writes
            ),
        )

    # Runs

    def encrypted_run(self, run: RunRecord) -> RunRecord:
        """Return a run with its payload encrypted. A run without a payload gets an encrypted empty one.

        The payload authenticates all other columns of the row, except those of the lease.
        """
        checks.check_run(run)
        checks.metadata_json(run.metadata)
        payload = run.payload or Payload(_NO_PAYLOAD, b"")
        return replace(run, payload=self._encrypt(payload, self._about_run(run), _NOTED_SUFFIX))

    def decrypted_run(self, run: RunRecord) -> RunRecord:
        """Return a run with its payload decrypted. Raises `StateCorrupt`."""
        if run.payload is None:
            self.warn_of_rows_without_notes()  # the store behind has checked that no note speaks of this run
            return run
        if not run.payload.codec.endswith(_NOTED_SUFFIX):
            return replace(run, payload=self._decrypt(run.payload, _about_older_run(run)))
        decrypted = self._decrypt(run.payload, self._about_run(run))
        return replace(run, payload=None if decrypted.codec == _NO_PAYLOAD else decrypted)

    def _about_run(self, run: RunRecord) -> list[Any]:
        times = [float(run.created_at).hex(), float(run.updated_at).hex()] if self._times else []
        return ["run", run.run_id, run.thread_id, run.status, run.revision, _numbered(run.metadata), times]

    # The guard

    def predates_notes(self, codec: str) -> bool:
        """Tell, from the codec of a row, whether it was written before notes were kept.

        Raises `StateCorrupt` if the row is not encrypted.
        """
        _require_encrypted(codec)
        return not codec.endswith(_NOTED_SUFFIX)

    def warn_of_rows_without_notes(self) -> None:
        """Log, once for each tenant, that rows were read whose rollback would go unnoticed: they have no note."""
        if self._tenant not in _said and len(_said) < 256:
            _said.add(self._tenant)
            _log.warning(
                "some encrypted run state was written before notes were kept: until it is written again,"
                " nobody can tell whether it was rolled back or removed"
            )

    def sum_of(self, rows: Iterable[Row]) -> int:
        """Return the sum, modulo 2**256, of the keyed digests of rows.

        A row can be added to the sum, or subtracted from it, later.
        """
        return sum(int.from_bytes(hmac.digest(self._rows, _row(row), "sha256")) for row in rows) % MODULUS

    def encrypt_note(self, name: NoteName, note: dict[str, Any]) -> Payload:
        """Return a note as an encrypted payload that authenticates the name of the note."""
        return self._encrypt(Payload("json", orjson.dumps(note)), ["note", *name], _NOTED_SUFFIX)

    def decrypt_note(self, name: NoteName, payload: Payload) -> dict[str, Any]:
        """Return the note in an encrypted payload. Raises `StateCorrupt`."""
        return orjson.loads(self._decrypt(payload, ["note", *name]).data)

    # Payloads

    def _encrypt(self, payload: Payload, about: list[Any], ending: str) -> Payload:
        codec = payload.codec + ending
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return Payload(codec, nonce + self._aead.encrypt(nonce, payload.data, self._authenticated(codec, about)))

    def _decrypt(self, payload: Payload, about: list[Any]) -> Payload:
        from cryptography.exceptions import InvalidTag

        _require_encrypted(payload.codec)
        nonce, data = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            decrypted = self._aead.decrypt(nonce, data, self._authenticated(payload.codec, about))
        except (InvalidTag, ValueError, TypeError):
            raise StateCorrupt("cannot decrypt run state: it was altered, or is under another key") from None
        return Payload(payload.codec.removesuffix(ENCRYPTED_SUFFIX).removesuffix("+2"), decrypted)

    def _authenticated(self, codec: str, about: list[Any]) -> bytes:
        return orjson.dumps([self._tenant, codec, *about], option=orjson.OPT_SORT_KEYS)


def _require_encrypted(codec: str) -> None:
    if not codec.endswith(ENCRYPTED_SUFFIX):
        raise StateCorrupt(
            "run state is stored in plain although encryption is on",
            hint="copy it to an encrypted store, or delete it",
        )


def _about_head(record: CheckpointRecord) -> list[Any]:
    return [*_about_older_head(record), _numbered(record.metadata)]


def _about_older_head(record: CheckpointRecord) -> list[Any]:
    return ["head", *record.key, record.parent_id, record.engine, record.run_id, record.chained, dict(record.slots)]


def _about_slot(record: CheckpointRecord, name: str) -> list[Any]:
    return ["slot", record.key.thread_id, record.key.ns, name, record.slots.get(name)]


def _about_write(key: CheckpointKey, write: StepWrite) -> list[Any]:
    return ["write", *key, write.task_path, write.task_id, write.idx, write.channel]


def _about_older_run(run: RunRecord) -> list[Any]:
    return ["run", run.run_id, run.thread_id, run.status, run.revision]


def _row(row: Row) -> bytes:
    return orjson.dumps([*row[:-1], row.tag.hex()])


def _numbered(value: Any) -> Any:
    """Return JSON with its numbers as text.

    PostgreSQL may return 100000 for a stored 1e5, and both must authenticate alike.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        whole = isinstance(value, int) or value.is_integer()
        return ["number", str(int(Decimal(repr(value)))) if whole else repr(value)]
    if isinstance(value, Mapping):
        return {str(key): _numbered(part) for key, part in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return ["list", *(_numbered(part) for part in cast("list[Any]", value))]
    return value


def _aead(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise ConfigError("encrypted run state needs cryptography", hint="pip install 'runbundle[debug]'") from None
    return AESGCM(key)
