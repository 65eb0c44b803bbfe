"""Checkpoints, their slots and the writes to them, in a database."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from runbundle.errors import StateConflict, StateCorrupt
from runbundle.runstate import checks
from runbundle.runstate.records import CheckpointKey, CheckpointRecord, Lease, Payload, RunRecord, StepWrite
from runbundle.runstate.sql import statements
from runbundle.runstate.sql.rows import DATA, INTEGER, MAYBE_TEXT, TEXT, accepted, checked, json_object, versions_of
from runbundle.runstate.sql.runs import SqlRuns, check_fence
from runbundle.runstate.sql.slot_cache import SlotCache
from runbundle.runstate.sql.slots import chains_of, put_slot, rebuilt
from runbundle.runstate.sql.transaction import Transaction


class SqlCheckpoints(SqlRuns):
    """The methods of a run store that concern checkpoints and writes."""

    def put_checkpoint(
        self,
        record: CheckpointRecord,
        new_slots: Mapping[str, Payload],
        *,
        fence: Lease | None = None,
        run: RunRecord | None = None,
    ) -> None:
        """Store a checkpoint with its slots and, if given, its run."""
        checks.check_record(record, new_slots)
        if run is not None:
            checks.check_run(run)
        with self._writing() as tx:
            tx.lock_threads(self.tenant, [record.key.thread_id])
            check_fence(tx, self.tenant, fence)
            with self._ledger(tx).changing(record.key):
                put_record(tx, self._slot_cache, self.tenant, record, new_slots)
            if run is not None:
                (self._replace_run if run.revision else self._insert_run)(tx, run)

    def append_writes(
        self, key: CheckpointKey, writes: Sequence[StepWrite], *, replace: bool = False, fence: Lease | None = None
    ) -> None:
        """Store writes to a checkpoint, which may itself be stored later."""
        checks.check_key(key)
        checks.check_writes(tuple(writes))
        alone = self._guard is None and fence is None and not replace and 0 < len(writes) <= statements.KEEP_AT_ONCE
        with self._writing(alone=alone) as tx:  # without notes the thread needs no lock
            if alone:
                tx.run(
                    statements.keep_writes(len(writes)),
                    *(v for row in write_rows(self.tenant, key, writes) for v in row),
                )
                return
            if self._guard is not None:
                tx.lock_threads(self.tenant, [key.thread_id])
            check_fence(tx, self.tenant, fence)
            with self._ledger(tx).changing(key):
                tx.many(
                    statements.REPLACE_WRITE if replace else statements.KEEP_WRITE, write_rows(self.tenant, key, writes)
                )

    def get_checkpoint(self, thread_id: str, ns: str = "", checkpoint_id: str | None = None) -> CheckpointRecord | None:
        """Return a checkpoint with its slots and writes, or None."""
        checks.check_key(CheckpointKey(thread_id, ns, checkpoint_id or "latest"))
        with self._reading() as tx:
            record = get_record(tx, self.tenant, thread_id, ns, checkpoint_id)
            self._ledger(tx).check_checkpoint(thread_id, ns, checkpoint_id, record)
            return record

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
        condition, values = self._where({"thread_id": thread_id, "ns": ns, "run_id": run_id}, where)
        if before is not None:
            condition += " AND checkpoint_id < ?"
            values = (*values, checks.check_text(before, "checkpoint id"))
        with self._reading() as tx:
            rows = tx.rows(
                f"{statements.FIND}{condition} ORDER BY checkpoint_id DESC, thread_id, ns LIMIT ?",
                *values, checks.check_limit(limit),
            )  # fmt: skip
            keys = [accepted(checks.check_key, CheckpointKey(*checked(row, TEXT, TEXT, TEXT))) for row in rows]
            ledger = self._ledger(tx)
            if ns is None or thread_id is None:
                ledger.check_thread(thread_id)
            if thread_id is None:
                ledger.check_keys(keys)
            elif ns is not None:
                ledger.check_keys([CheckpointKey(thread_id, ns, "")])
        return keys


def put_record(
    tx: Transaction, cache: SlotCache, tenant: str, record: CheckpointRecord, new_slots: Mapping[str, Payload]
) -> None:
    """Store a checkpoint in a transaction that holds the lock of its thread.

    Raises `StateConflict` if a slot is neither stored nor in `new_slots`.
    """
    line = (tenant, record.key.thread_id, record.key.ns)
    rows = tx.rows(statements.SLOTS_OF, *line, record.parent_id) if record.parent_id is not None else []
    before: dict[str, tuple[str, int]] = {name: (version, stamp) for name, version, stamp in rows}
    for name, version in record.slots.items():
        if name in before and before[name][0] == version:
            continue
        if name in new_slots:
            put_slot(tx, cache, (*line, name), version, new_slots[name], before.get(name))
        elif not tx.rows(statements.HAS_SLOT, *line, name, version):
            raise StateConflict("a slot of the checkpoint is not stored", hint="give its contents too")
    tx.run(
        statements.PUT_CHECKPOINT, tenant, *record.key, record.parent_id, record.engine, record.run_id,
        int(record.chained), *record.head, orjson.dumps(dict(record.slots)).decode(),
        checks.metadata_json(record.metadata),
    )  # fmt: skip


def get_record(
    tx: Transaction, tenant: str, thread_id: str, ns: str, checkpoint_id: str | None
) -> CheckpointRecord | None:
    """Return a checkpoint with its slots and writes, the latest one without an id; None if there is none.

    Raises `StateCorrupt` if one of its slots is missing or damaged.
    """
    line = (tenant, thread_id, ns)
    rows = (
        tx.rows(statements.LATEST_CHECKPOINT, *line)
        if checkpoint_id is None
        else tx.rows(statements.ONE_CHECKPOINT, *line, checkpoint_id)
    )
    if not rows:
        return None
    found, parent_id, engine, run_id, chained, codec, data, slots, metadata = checked(
        rows[0], TEXT, MAYBE_TEXT, TEXT, MAYBE_TEXT, INTEGER, TEXT, DATA, TEXT, TEXT
    )
    if parent_id is not None:
        accepted(checks.check_key, CheckpointKey(thread_id, ns, parent_id))
    versions = versions_of(slots)
    chains = chains_of(tx.rows(statements.CHECKPOINT_CHAINS, *line, found, *line, *line)) if versions else {}
    if chains.keys() != versions.keys():
        raise StateCorrupt("a checkpoint is incomplete: a slot is missing")
    return CheckpointRecord(
        key=CheckpointKey(thread_id, ns, found), parent_id=parent_id, engine=engine, run_id=run_id,
        chained=bool(chained), head=Payload(codec, data), slots=versions, metadata=json_object(metadata),
        slot_payloads={name: rebuilt(chain) for name, chain in chains.items()},
        writes=tuple(
            StepWrite(task_id, idx, channel, Payload(codec, data), task_path)
            for task_id, idx, channel, codec, data, task_path in (
                checked(row, TEXT, INTEGER, TEXT, TEXT, DATA, TEXT) for row in tx.rows(statements.WRITES, *line, found)
            )
        ),
    )  # fmt: skip


def write_rows(tenant: str, key: CheckpointKey, writes: Sequence[StepWrite]) -> list[tuple[Any, ...]]:
    """Return, for each write, the values that `statements.PUT_WRITE` binds."""
    return [(tenant, *key, w.task_path, w.task_id, w.idx, w.channel, *w.payload) for w in writes]
