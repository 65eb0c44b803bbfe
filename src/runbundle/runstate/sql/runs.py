"""Runs, updated by compare-and-set, and leases, which fence writes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from runbundle.errors import StateConflict, StateNotFound
from runbundle.runstate import checks, schema
from runbundle.runstate.records import Lease, Payload, RunRecord
from runbundle.runstate.sql.transaction import SqlStore, Tx


class SqlRuns(SqlStore):
    """The methods on runs and leases."""

    def create_run(self, run: RunRecord) -> RunRecord:
        """Store a new run."""
        checks.check_run(run)
        with self._writing() as tx:
            return insert_run(tx, self.tenant, run)

    def update_run(self, run: RunRecord, *, fence: Lease | None = None) -> RunRecord:
        """Replace a run by compare-and-set."""
        checks.check_run(run)
        with self._writing() as tx:
            check_fence(tx, self.tenant, fence)
            return replace_run(tx, self.tenant, run)

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

    # Leases

    def acquire_lease(self, run_id: str, owner: str, ttl_s: float) -> Lease:
        """Take a run."""
        checks.check_text(run_id, "run id")
        checks.check_text(owner, "owner")
        checks.check_ttl(ttl_s)
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
        checks.check_ttl(ttl_s)
        with self._writing() as tx:
            check_fence(tx, self.tenant, lease)
            renewed = lease._replace(expires_at=tx.now() + ttl_s)
            tx.run(schema.SET_LEASE, lease.owner, lease.token, renewed.expires_at, self.tenant, lease.run_id)
        return renewed

    def release_lease(self, lease: Lease) -> None:
        """Give a lease up."""
        checks.check_text(lease.run_id, "run id")
        checks.check_number(lease.token, "token")
        with self._writing() as tx:
            tx.run(schema.END_LEASE, self.tenant, lease.run_id, lease.token)


def check_fence(tx: Tx, tenant: str, fence: Lease | None) -> None:
    """Raise `StateConflict` unless the fence, if there is one, is the latest lease of its run."""
    if fence is None:
        return
    held = tx.lock_run(tenant, checks.check_text(fence.run_id, "run id"))
    if held is None or held[:2] != (fence.owner, fence.token):
        raise StateConflict("this lease is no longer the latest of its run", hint="acquire it anew, and load the state")


def insert_run(tx: Tx, tenant: str, run: RunRecord) -> RunRecord:
    """Store a new run."""
    now = tx.now()
    codec, data = run.payload or (None, None)
    values = (tenant, run.run_id, run.thread_id, run.status, codec, data, checks.metadata_json(run.metadata), now, now)
    if not tx.changed(schema.INSERT_RUN, *values):
        raise StateConflict("a run goes by this id already")
    return replace(run, revision=1, created_at=now, updated_at=now)


def replace_run(tx: Tx, tenant: str, run: RunRecord) -> RunRecord:
    """Store a run in place of the revision that it was made from."""
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
