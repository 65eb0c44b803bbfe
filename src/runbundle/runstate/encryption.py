"""How records are sealed and opened: AES-256-GCM, and what each payload is authenticated together with."""

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
from runbundle.runstate.records import SEALED, CheckpointKey, CheckpointRecord, Payload, RunRecord, StepWrite

_NONCE_BYTES = 12
_NOTED = f"+2{SEALED}"  # ends the codec of rows that are authenticated with all of their columns, and are noted
_NOTHING = "none"  # the codec of a run that has no payload, and is authenticated all the same
_log = logging.getLogger("runbundle")
_said: set[str] = set()


class Sealer:
    """Seals and opens what belongs to one tenant. It is the guard (`runbundle.runstate.guard`) of the store behind."""

    def __init__(self, tenant: str, key: bytes, *, times: bool) -> None:
        self._tenant, self._times = tenant, times
        # A key for each tenant: what is drawn at random is then drawn for fewer payloads.
        self._cipher = _cipher(hmac.digest(key, f"runbundle/run-state/{tenant}".encode(), "sha256"))
        self._digests = hmac.digest(key, f"runbundle/run-state-digests/{tenant}".encode(), "sha256")
        self._rows = hmac.digest(key, f"runbundle/run-state-rows/{tenant}".encode(), "sha256")

    def digest(self, data: bytes) -> str:
        """Return a keyed digest: guesses cannot be checked against it."""
        return hmac.digest(self._digests, data, "sha256").hex()

    # Checkpoints

    def sealed_head(self, record: CheckpointRecord) -> CheckpointRecord:
        """Return a checkpoint with its head sealed; the head vouches for all other columns."""
        checks.metadata_json(record.metadata)
        return replace(record, head=self._seal(record.head, _about_head(record), _NOTED))

    def sealed_slot(self, record: CheckpointRecord, name: str, slot: Payload) -> Payload:
        """Return a sealed slot of a checkpoint."""
        return self._seal(slot, _about_slot(record, name), SEALED)

    def sealed_writes(self, key: CheckpointKey, writes: Sequence[StepWrite]) -> tuple[StepWrite, ...]:
        """Return sealed writes."""
        return tuple(replace(w, payload=self._seal(w.payload, _about_write(key, w), _NOTED)) for w in writes)

    def sealed(self, record: CheckpointRecord) -> CheckpointRecord:
        """Return a checkpoint with all that is in it sealed."""
        return replace(
            self.sealed_head(record),
            slot_payloads={name: self.sealed_slot(record, name, slot) for name, slot in record.slot_payloads.items()},
            writes=self.sealed_writes(record.key, record.writes),
        )

    def opened(self, record: CheckpointRecord) -> CheckpointRecord:
        """Return a checkpoint with all that is in it opened."""
        about = _about_head(record) if record.head.codec.endswith(_NOTED) else _about_older_head(record)
        return replace(
            record,
            head=self._open(record.head, about),
            slot_payloads={
                name: self._open(slot, _about_slot(record, name)) for name, slot in record.slot_payloads.items()
            },
            writes=tuple(replace(w, payload=self._open(w.payload, _about_write(record.key, w))) for w in record.writes),
        )

    # Runs

    def sealed_run(self, run: RunRecord) -> RunRecord:
        """Return a run with its payload sealed, or with one that says that it has none."""
        checks.check_run(run)
        checks.metadata_json(run.metadata)
        payload = run.payload or Payload(_NOTHING, b"")
        return replace(run, payload=self._seal(payload, self._about_run(run), _NOTED))

    def opened_run(self, run: RunRecord) -> RunRecord:
        """Return a run with its payload opened."""
        if run.payload is None:
            self.say_older()  # the store behind has found that no note speaks of it
            return run
        if not run.payload.codec.endswith(_NOTED):
            return replace(run, payload=self._open(run.payload, _about_older_run(run)))
        opened = self._open(run.payload, self._about_run(run))
        return replace(run, payload=None if opened.codec == _NOTHING else opened)

    def _about_run(self, run: RunRecord) -> list[Any]:
        times = [float(run.created_at).hex(), float(run.updated_at).hex()] if self._times else []
        return ["run", run.run_id, run.thread_id, run.status, run.revision, _numbered(run.metadata), times]

    # What the store behind asks

    def is_older(self, codec: str) -> bool:
        """Tell whether a row was written before there were notes. Raises `StateCorrupt` if it is in plain."""
        _require_sealed(codec)
        return not codec.endswith(_NOTED)

    def say_older(self) -> None:
        """Say once that rows were read that no note speaks of."""
        if self._tenant not in _said and len(_said) < 256:
            _said.add(self._tenant)
            _log.warning(
                "encrypted run state is older than this check: of rows that are not written again it is not known"
                " whether they were rolled back or removed"
            )

    def sum_of(self, rows: Iterable[Row]) -> int:
        """Return a keyed sum over rows."""
        return sum(int.from_bytes(hmac.digest(self._rows, _row(row), "sha256")) for row in rows) % MODULUS

    def seal_note(self, name: NoteName, note: dict[str, Any]) -> Payload:
        """Return a sealed note."""
        return self._seal(Payload("json", orjson.dumps(note)), ["note", *name], _NOTED)

    def open_note(self, name: NoteName, payload: Payload) -> dict[str, Any]:
        """Return a note."""
        return orjson.loads(self._open(payload, ["note", *name]).data)

    # Payloads

    def _seal(self, payload: Payload, about: list[Any], ending: str) -> Payload:
        codec = payload.codec + ending
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return Payload(codec, nonce + self._cipher.encrypt(nonce, payload.data, self._authenticated(codec, about)))

    def _open(self, payload: Payload, about: list[Any]) -> Payload:
        from cryptography.exceptions import InvalidTag

        _require_sealed(payload.codec)
        nonce, data = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            opened = self._cipher.decrypt(nonce, data, self._authenticated(payload.codec, about))
        except (InvalidTag, ValueError, TypeError):
            raise StateCorrupt("run state cannot be opened: it was altered, or is under another key") from None
        return Payload(payload.codec.removesuffix(SEALED).removesuffix("+2"), opened)

    def _authenticated(self, codec: str, about: list[Any]) -> bytes:
        return orjson.dumps([self._tenant, codec, *about], option=orjson.OPT_SORT_KEYS)


def _require_sealed(codec: str) -> None:
    if not codec.endswith(SEALED):
        raise StateCorrupt("run state is stored in plain, and encryption is on", hint="move it over, or delete it")


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
    """Return JSON with its numbers as text: a database may give 100000 for 1e5, by the digits that were written."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        whole = isinstance(value, int) or value.is_integer()
        return ["number", str(int(Decimal(repr(value)))) if whole else repr(value)]
    if isinstance(value, Mapping):
        return {str(key): _numbered(part) for key, part in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return ["list", *(_numbered(part) for part in cast("list[Any]", value))]
    return value


def _cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise ConfigError("encrypted run state needs cryptography", hint="pip install 'runbundle[debug]'") from None
    return AESGCM(key)
