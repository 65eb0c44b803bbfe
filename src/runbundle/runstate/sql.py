"""Run stores in a database: every algorithm once, over what little SQLite and PostgreSQL do differently.

Three laws keep it right. A checkpoint is only stored when each of its slots is, so whatever is stored can be read. A
slot is only stored as the difference to another in the transaction that read that other, with the thread locked, so
the version that it is made from is the one that stays. And before unused slots are deleted, slots in use that are
differences to them are written whole.
"""

import secrets
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol

import orjson

from runbundle.errors import StateConflict, StateCorrupt, StateNotFound, StateRefused
from runbundle.models.identity import require_run_id
from runbundle.runstate import checks, delta, schema
from runbundle.runstate.base import RunStore
from runbundle.runstate.recent import Known, Recent
from runbundle.runstate.records import CheckpointKey, CheckpointRecord, Lease, Payload, RunRecord, StepWrite

SEALED = "+aesgcm"
"""How the codec of an encrypted payload ends. Those never resemble each other, so no difference is looked for."""


class Tx(Protocol):
    """A transaction of a backend: `?` in a statement stands for the next value."""

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        ...

    def run(self, statement: str, *values: Any) -> None:
        """Execute a statement; if it fails, this or a later one says so."""
        ...

    def changed(self, statement: str, *values: Any) -> int:
        """Execute a statement; return how many rows it changed."""
        ...

    def many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute a statement for each row of values."""
        ...

    def lock_threads(self, tenant: str, thread_ids: Sequence[str]) -> None:
        """Keep others from writing to these threads until the end."""
        ...

    def lock_run(self, tenant: str, run_id: str) -> tuple[str | None, int, float] | None:
        """Return owner, token and expiry of a run's lease; none may change until the end."""
        ...

    def now(self) -> float:
        """Return seconds since the epoch, by the clock that all users of the database share."""
        ...

    def next_token(self) -> int:
        """Return a number greater than all it has returned."""
        ...


class SqlRunStore(RunStore):
    """What SQLite and PostgreSQL have in common: everything but how to connect."""

    def __init__(self, tenant: str) -> None:
        self.tenant = require_run_id(tenant, "tenant")
        self._before: Callable[[], None] | None = None
        self._recent = Recent()

    def watch(self, before: Callable[[], None] | None) -> None:
        """Have `before` called ahead of each statement."""
        self._before = before

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Tx]:
        """Begin a transaction that sees one state of the database."""

    @abstractmethod
    def _writing(self, *, alone: bool = False) -> AbstractContextManager[Tx]:
        """Begin a transaction that is committed at the end, or rolled back on an error.

        `alone` promises a single statement, which is a transaction already.
        """

    @abstractmethod
    def _equals(self, key: str, value: Any) -> tuple[str, tuple[Any, ...]]:
        """Return a condition on `metadata`, without any of the caller's text, and the values to bind."""

    # Runs

    def create_run(self, run: RunRecord) -> RunRecord:
        """Store a new run."""
        checks.check_run(run)
        with self._writing() as tx:
            return _create_run(tx, self.tenant, run)

    def update_run(self, run: RunRecord, *, fence: Lease | None = None) -> RunRecord:
        """Replace a run by compare-and-set."""
        checks.check_run(run)
        with self._writing() as tx:
            _check_fence(tx, self.tenant, fence)
            return _update_run(tx, self.tenant, run)

    def get_run(self, run_id: str) -> RunRecord:
        """Return a run."""
        checks.check_text(run_id, "run id")
        with self._reading() as tx:
            return _get_run(tx, self.tenant, run_id)

    def list_runs(
        self,
        *,
        thread_id: str | None = None,
        status: str | None = None,
        where: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> list[RunRecord]:
        """Return runs, those updated last first."""
        condition, values = self._where({"thread_id": thread_id, "status": status}, where)
        with self._reading() as tx:
            rows = tx.rows(
                f"{schema.RUN} FROM runbundle_runs WHERE {condition} ORDER BY updated_at DESC, run_id LIMIT ?",
                *values, checks.check_limit(limit),
            )  # fmt: skip
        return [_run_of(row) for row in rows]

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Remove runs with their checkpoints."""
        for run_id in run_ids:
            checks.check_text(run_id, "run id")
        with self._writing() as tx:
            found = {row[0] for run_id in run_ids for row in tx.rows(schema.THREADS_OF_RUN, self.tenant, run_id)}
            tx.lock_threads(self.tenant, sorted(found))
            for thread_id in sorted(found):
                _delete_run_in_thread(tx, self.tenant, thread_id, run_ids)
            for run_id in run_ids:
                tx.run(schema.DELETE_RUN, self.tenant, run_id)

    # Leases

    def acquire_lease(self, run_id: str, owner: str, ttl_s: float) -> Lease:
        """Take a run."""
        checks.check_text(run_id, "run id")
        checks.check_text(owner, "owner")
        with self._writing() as tx:
            held = tx.lock_run(self.tenant, run_id)
            if held is None:
                raise StateNotFound("no run goes by this id")
            now = tx.now()
            if held[0] not in (None, owner) and held[2] > now:
                raise StateConflict(
                    "another owner holds the lease of this run", hint=f"it expires in {held[2] - now:.1f} s"
                )
            lease = Lease(run_id, owner, tx.next_token(), now + ttl_s)
            tx.run(schema.SET_LEASE, owner, lease.token, lease.expires_at, self.tenant, run_id)
        return lease

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """Extend a lease."""
        with self._writing() as tx:
            _check_fence(tx, self.tenant, lease)
            renewed = lease._replace(expires_at=tx.now() + ttl_s)
            tx.run(schema.SET_LEASE, lease.owner, lease.token, renewed.expires_at, self.tenant, lease.run_id)
        return renewed

    def release_lease(self, lease: Lease) -> None:
        """Give a lease up."""
        checks.check_text(lease.run_id, "run id")
        with self._writing() as tx:
            tx.run(schema.END_LEASE, self.tenant, lease.run_id, lease.token)

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
        if run is not None:
            checks.check_run(run)
        with self._writing() as tx:
            tx.lock_threads(self.tenant, [record.key.thread_id])
            _check_fence(tx, self.tenant, fence)
            _put(tx, self._recent, self.tenant, record, new_slots)
            if run is not None:
                (_update_run if run.revision else _create_run)(tx, self.tenant, run)

    def append_writes(
        self, key: CheckpointKey, writes: Sequence[StepWrite], *, replace: bool = False, fence: Lease | None = None
    ) -> None:
        """Keep writes for a checkpoint."""
        checks.check_key(key)
        checks.check_writes(tuple(writes))
        alone = fence is None and not replace and 0 < len(writes) <= schema.KEEP_AT_ONCE
        with self._writing(alone=alone) as tx:  # no lock on the thread: nothing else is made from writes
            if alone:
                tx.run(schema.keep_writes(len(writes)), *(v for row in _rows(self.tenant, key, writes) for v in row))
                return
            _check_fence(tx, self.tenant, fence)
            tx.many(schema.REPLACE_WRITE if replace else schema.KEEP_WRITE, _rows(self.tenant, key, writes))

    def get_checkpoint(self, thread_id: str, ns: str = "", checkpoint_id: str | None = None) -> CheckpointRecord | None:
        """Return a checkpoint with its slots and writes."""
        checks.check_key(CheckpointKey(thread_id, ns, checkpoint_id or "latest"))
        with self._reading() as tx:
            return _get(tx, self.tenant, thread_id, ns, checkpoint_id)

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
        condition, values = self._where({"thread_id": thread_id, "ns": ns, "run_id": run_id}, where)
        if before is not None:
            condition += " AND checkpoint_id < ?"
            values = (*values, checks.check_text(before, "checkpoint id"))
        with self._reading() as tx:
            rows = tx.rows(
                f"{schema.FIND}{condition} ORDER BY checkpoint_id DESC, thread_id, ns LIMIT ?",
                *values, checks.check_limit(limit),
            )  # fmt: skip
        return [CheckpointKey(*row) for row in rows]

    # Threads

    def delete_threads(self, thread_ids: Sequence[str]) -> None:
        """Remove threads."""
        names = sorted({checks.check_text(thread_id, "thread id") for thread_id in thread_ids})
        with self._writing() as tx:
            tx.lock_threads(self.tenant, names)
            for thread_id in names:
                for statement in schema.DELETE_THREAD:
                    tx.run(statement, self.tenant, thread_id)

    def copy_thread(
        self, source: str, target: str, *, rewrite: Callable[[CheckpointRecord], CheckpointRecord] | None = None
    ) -> None:
        """Copy a thread."""
        names = sorted({checks.check_text(name, "thread id") for name in (source, target)})
        with self._writing() as tx:
            tx.lock_threads(self.tenant, names)
            if tx.rows(schema.TAKEN, self.tenant, target, self.tenant, target):
                raise StateConflict("the thread to copy to exists", hint="delete it first, or choose another name")
            keys = tx.rows(schema.KEYS_OF_THREAD, self.tenant, source)
            if not keys:
                raise StateNotFound("no thread goes by this id")
            for key in keys:
                record = _get(tx, self.tenant, *key)
                assert record is not None, "it was listed in the same transaction"
                copied = replace(record, key=record.key._replace(thread_id=target))
                copied = rewrite(copied) if rewrite else copied
                _put(tx, self._recent, self.tenant, copied, copied.slot_payloads)
                tx.many(schema.KEEP_WRITE, _rows(self.tenant, copied.key, copied.writes))

    def prune(self, thread_ids: Sequence[str]) -> None:
        """Keep the latest checkpoint of each namespace."""
        names = sorted({checks.check_text(thread_id, "thread id") for thread_id in thread_ids})
        with self._writing() as tx:
            tx.lock_threads(self.tenant, names)
            for thread_id in names:
                if tx.rows(schema.CHAINED, self.tenant, thread_id):
                    raise StateRefused(
                        "a thread is rebuilt from all of its checkpoints", hint="keep it, or delete it as a whole"
                    )
                for ns, _count, latest in tx.rows(schema.COUNTS, self.tenant, thread_id):
                    for statement in schema.DELETE_OLDER:
                        tx.run(statement, self.tenant, thread_id, ns, latest)
                _sweep(tx, self.tenant, thread_id)

    def _where(self, columns: Mapping[str, str | None], where: Mapping[str, Any] | None) -> tuple[str, tuple[Any, ...]]:
        """Return conditions and the values to bind; `columns` are named here, `where` by whoever calls."""
        conditions, values = ["tenant = ?"], [self.tenant]
        for column, value in columns.items():
            if value is not None:
                conditions.append(f"{column} = ?")
                values.append(checks.check_text(value, column, limit=checks.MAX_NS_BYTES, empty=True))
        for key, value in (where or {}).items():
            checks.check_text(key, "key of metadata", empty=True)
            condition, bound = self._equals(key, orjson.loads(checks.metadata_json({"": value}))[""])
            conditions.append(condition)
            values.extend(bound)
        return " AND ".join(conditions), tuple(values)


# One transaction's parts


def _check_fence(tx: Tx, tenant: str, fence: Lease | None) -> None:
    if fence is None:
        return
    held = tx.lock_run(tenant, checks.check_text(fence.run_id, "run id"))
    if held is None or held[:2] != (fence.owner, fence.token):
        raise StateConflict("this lease is no longer the latest of its run", hint="acquire it anew, and load the state")


def _create_run(tx: Tx, tenant: str, run: RunRecord) -> RunRecord:
    now = tx.now()
    codec, data = run.payload or (None, None)
    values = (tenant, run.run_id, run.thread_id, run.status, codec, data, checks.metadata_json(run.metadata), now, now)
    if not tx.changed(schema.INSERT_RUN, *values):
        raise StateConflict("a run goes by this id already")
    return replace(run, revision=1, created_at=now, updated_at=now)


def _update_run(tx: Tx, tenant: str, run: RunRecord) -> RunRecord:
    codec, data = run.payload or (None, None)
    values = (run.thread_id, run.status, codec, data, checks.metadata_json(run.metadata), tx.now())
    if not tx.changed(schema.UPDATE_RUN, *values, tenant, run.run_id, run.revision):
        _get_run(tx, tenant, run.run_id)
        raise StateConflict("the run was updated by someone else", hint="read it again")
    return _get_run(tx, tenant, run.run_id)


def _get_run(tx: Tx, tenant: str, run_id: str) -> RunRecord:
    rows = tx.rows(schema.GET_RUN, tenant, run_id)
    if not rows:
        raise StateNotFound("no run goes by this id")
    return _run_of(rows[0])


def _run_of(row: tuple[Any, ...]) -> RunRecord:
    run_id, thread_id, status, codec, data, metadata, revision, created_at, updated_at = row
    return RunRecord(
        run_id=run_id, thread_id=thread_id, status=status,
        payload=None if codec is None else Payload(codec, data), metadata=orjson.loads(metadata),
        revision=revision, created_at=created_at, updated_at=updated_at,
    )  # fmt: skip


def _put(tx: Tx, recent: Recent, tenant: str, record: CheckpointRecord, new_slots: Mapping[str, Payload]) -> None:
    line = (tenant, record.key.thread_id, record.key.ns)
    rows = tx.rows(schema.SLOTS_OF, *line, record.parent_id) if record.parent_id is not None else []
    before: dict[str, tuple[str, int]] = {name: (version, stamp) for name, version, stamp in rows}
    for name, version in record.slots.items():
        if name in before and before[name][0] == version:
            continue
        if name in new_slots:
            _put_slot(tx, recent, (*line, name), version, new_slots[name], before.get(name))
        elif not tx.rows(schema.HAS_SLOT, *line, name, version):
            raise StateConflict("a slot of the checkpoint is not stored", hint="give its contents too")
    tx.run(
        schema.PUT_CHECKPOINT, tenant, *record.key, record.parent_id, record.engine, record.run_id,
        int(record.chained), *record.head, orjson.dumps(dict(record.slots)).decode(),
        checks.metadata_json(record.metadata),
    )  # fmt: skip


def _put_slot(
    tx: Tx, recent: Recent, slot: tuple[str, str, str, str], version: str, payload: Payload,
    before: tuple[str, int] | None,
) -> None:  # fmt: skip
    """Store a new version, as the difference to the one before where that is worth while."""
    base, depth, data = None, 0, payload.data
    stamp = secrets.randbits(63)
    if len(data) >= delta.MIN_BYTES and not payload.codec.endswith(SEALED):
        known = _known(tx, recent, slot, *before) if before else None
        if before and known and known.depth < delta.MAX_CHAIN and known.payload.codec == payload.codec:
            difference = delta.difference(known.payload.data, data)
            if difference is not None:
                base, depth, data = before[0], known.depth + 1, difference
        recent.put(slot, Known(version, stamp, depth, payload))
    tx.run(schema.PUT_SLOT, *slot, version, base, stamp, payload.codec, data)


def _known(tx: Tx, recent: Recent, slot: tuple[str, str, str, str], version: str, stamp: int) -> Known:
    """Return a stored version: as this process remembers it if it is the same row, else as the database has it."""
    known = recent.get(slot, version, stamp)
    if known is None:
        chain = _chain(tx, slot, version)
        known = Known(version, stamp, len(chain) - 1, _rebuilt(chain))
    return known


def _chain(tx: Tx, slot: tuple[str, str, str, str], version: str) -> list[tuple[str | None, str, bytes]]:
    return _chains(tx.rows(schema.SLOT_CHAIN, *slot, version, *slot[:3], *slot[:3]))[slot[3]]


def _chains(rows: list[tuple[Any, ...]]) -> dict[str, list[tuple[str | None, str, bytes]]]:
    """Return the chains of (base, codec, bytes) by slot, from rows of name, place, base, codec and bytes."""
    chains: dict[str, list[tuple[str | None, str, bytes]]] = {}
    for name, _, base, codec, data in sorted(rows, key=lambda row: row[:2]):
        chains.setdefault(name, []).append((base, codec, data))
    return chains


def _rebuilt(chain: Sequence[tuple[str | None, str, bytes]]) -> Payload:
    """Return the first version of a chain of (base, codec, bytes), each a difference to the next, the last whole."""
    if chain[-1][0] is not None:
        raise StateCorrupt("a slot is incomplete: the version that it is a difference to is missing")
    data = bytes(chain[-1][2])
    try:
        for _, _, difference in reversed(chain[:-1]):
            data = delta.apply(data, bytes(difference))
    except ValueError:
        raise StateCorrupt("a slot does not fit the version that it is a difference to") from None
    return Payload(chain[0][1], data)


def _get(tx: Tx, tenant: str, thread_id: str, ns: str, checkpoint_id: str | None) -> CheckpointRecord | None:
    line = (tenant, thread_id, ns)
    rows = (
        tx.rows(schema.LATEST_CHECKPOINT, *line)
        if checkpoint_id is None
        else tx.rows(schema.ONE_CHECKPOINT, *line, checkpoint_id)
    )
    if not rows:
        return None
    found, parent_id, engine, run_id, chained, codec, data, slots, metadata = rows[0]
    versions: dict[str, str] = orjson.loads(slots)
    chains = _chains(tx.rows(schema.CHECKPOINT_CHAINS, *line, found, *line, *line)) if versions else {}
    if chains.keys() != versions.keys():
        raise StateCorrupt("a checkpoint is incomplete: a slot is missing")
    return CheckpointRecord(
        key=CheckpointKey(thread_id, ns, found), parent_id=parent_id, engine=engine, run_id=run_id,
        chained=bool(chained), head=Payload(codec, data), slots=versions, metadata=orjson.loads(metadata),
        slot_payloads={name: _rebuilt(chain) for name, chain in chains.items()},
        writes=tuple(
            StepWrite(task_id, idx, channel, Payload(codec, data), task_path)
            for task_id, idx, channel, codec, data, task_path in tx.rows(schema.WRITES, *line, found)
        ),
    )  # fmt: skip


def _rows(tenant: str, key: CheckpointKey, writes: Sequence[StepWrite]) -> list[tuple[Any, ...]]:
    return [(tenant, *key, w.task_path, w.task_id, w.idx, w.channel, *w.payload) for w in writes]


def _delete_run_in_thread(tx: Tx, tenant: str, thread_id: str, run_ids: Sequence[str]) -> None:
    doomed = {tuple(key) for run_id in run_ids for key in tx.rows(schema.KEYS_OF_RUN, tenant, thread_id, run_id)}
    left = {ns: count for ns, count, _ in tx.rows(schema.COUNTS, tenant, thread_id)}
    for _, ns, _ in doomed:
        left[ns] -= 1
    for ns, _ in tx.rows(schema.CHAINED, tenant, thread_id):
        if left[ns] and any(key[1] == ns for key in doomed):
            raise StateRefused(
                "a thread is rebuilt from all of its checkpoints, those of this run among them",
                hint="delete the thread as a whole",
            )
    for key in sorted(doomed):
        tx.run(schema.DELETE_CHECKPOINT, tenant, *key)
        tx.run(schema.DELETE_WRITES, tenant, *key)
    _sweep(tx, tenant, thread_id)


def _sweep(tx: Tx, tenant: str, thread_id: str) -> None:
    """Delete the slots that no checkpoint has any more; first write whole what is a difference to one of them."""
    thread = (tenant, thread_id)
    for ns, name, version in tx.rows(schema.UPROOTED, *thread, *thread):
        slot = (tenant, thread_id, ns, name)
        tx.run(schema.FLATTEN_SLOT, _rebuilt(_chain(tx, slot, version)).data, *slot, version)
    tx.run(schema.SWEEP_SLOTS, *thread, *thread)
