"""Runs, updated by compare-and-set, and the leases that fence writes, in a database."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runbundle.errors import StateConflict, StateCorrupt, StateNotFound
from runbundle.runstate import checks
from runbundle.runstate.records import Lease, Payload, RunRecord
from runbundle.runstate.sql import statements
from runbundle.runstate.sql.base import SqlStore
from runbundle.runstate.sql.rows import INTEGER, MAYBE_DATA, MAYBE_TEXT, NUMBER, TEXT, accepted, checked, json_object
from runbundle.runstate.sql.transaction import Transaction


class SqlRuns(SqlStore):
    """The methods of a run store that concern runs and leases."""

    def create_run(self, run: RunRecord) -> RunRecord:
        """Store a new run."""
        checks.check_run(run)
        with self._writing() as tx:
            return self._insert_run(tx, run)

    def update_run(self, run: RunRecord, *, fence: Lease | None = None) -> RunRecord:
        """Replace a run if its revision is unchanged."""
        checks.check_run(run)
        with self._writing() as tx:
            check_fence(tx, self.tenant, fence)
            return self._replace_run(tx, run)

    def get_run(self, run_id: str) -> RunRecord:
        """Return a run."""
        checks.check_text(run_id, "run id")
        with self._reading() as tx:
            return self._get_run(tx, run_id)

    def list_runs(
        self,
        *,
        thread_id: str | None = None,
        status: str | None = None,
        where: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> list[RunRecord]:
        """Return the matching runs, the most recently updated first."""
        condition, values = self._where({"thread_id": thread_id, "status": status}, where)
        with self._reading() as tx:
            rows = tx.rows(
                f"{statements.RUN} FROM runbundle_runs WHERE {condition} ORDER BY updated_at DESC, run_id LIMIT ?",
                *values, checks.check_limit(limit),
            )  # fmt: skip
            runs = [_run_of(row) for row in rows]
            ledger = self._ledger(tx)
            ledger.check_runs()
            for run in runs:
                ledger.check_run(run.run_id, run.payload, there=True)
        return runs

    # Leases

    def acquire_lease(self, run_id: str, owner: str, ttl_s: float) -> Lease:
        """Take a run for `ttl_s` seconds."""
        checks.check_text(run_id, "run id")
        checks.check_text(owner, "owner")
        checks.check_ttl(ttl_s)
        with self._writing() as tx:
            held = tx.lock_run(self.tenant, run_id)
            if held is None:
                raise StateNotFound("no such run", hint="list_runs() names the runs of this tenant")
            now = tx.now()
            if held[0] not in (None, owner) and held[2] > now:
                raise StateConflict(
                    "another owner holds the lease of this run", hint=f"it expires in {held[2] - now:.1f} s"
                )
            lease = Lease(run_id, owner, tx.next_token(), now + ttl_s)
            tx.run(statements.SET_LEASE, owner, lease.token, lease.expires_at, self.tenant, run_id)
        return lease

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """Extend a lease."""
        checks.check_ttl(ttl_s)
        with self._writing() as tx:
            check_fence(tx, self.tenant, lease)
            renewed = lease._replace(expires_at=tx.now() + ttl_s)
            tx.run(statements.SET_LEASE, lease.owner, lease.token, renewed.expires_at, self.tenant, lease.run_id)
        return renewed

    def release_lease(self, lease: Lease) -> None:
        """Give a lease up."""
        checks.check_text(lease.run_id, "run id")
        checks.check_number(lease.token, "token")
        with self._writing() as tx:
            tx.run(statements.END_LEASE, self.tenant, lease.run_id, lease.token)

    # Rows

    def _insert_run(self, tx: Transaction, run: RunRecord) -> RunRecord:
        """Store a new run."""
        ledger = self._ledger(tx)
        if self._guard is not None:
            self._lock_noted(tx, run.run_id)
            rows = tx.rows(statements.GET_RUN, self.tenant, run.run_id)
            ledger.check_run(run.run_id, _run_of(rows[0]).payload if rows else None, there=bool(rows))
        now = tx.now()
        run = replace(run, revision=1, created_at=now, updated_at=now)
        run = run if self._guard is None else self._guard.encrypted_run(run)
        codec, data = run.payload or (None, None)
        metadata = checks.metadata_json(run.metadata)
        values = (run.run_id, run.thread_id, run.status, codec, data, metadata, now, now)
        if not tx.changed(statements.INSERT_RUN, self.tenant, *values):
            raise StateConflict("a run with this id exists already")
        ledger.note_run(run.run_id, run.payload)
        return run

    def _replace_run(self, tx: Transaction, run: RunRecord) -> RunRecord:
        """Store a run in place of the revision that it was made from."""
        stored, now = run, tx.now()
        if self._guard is not None:
            self._lock_noted(tx, run.run_id)
            before = self._get_run(tx, run.run_id)
            times = {"created_at": before.created_at, "updated_at": now}
            stored = self._guard.encrypted_run(replace(run, revision=run.revision + 1, **times))
        codec, data = stored.payload or (None, None)
        values = (run.thread_id, run.status, codec, data, checks.metadata_json(run.metadata), now)
        if not tx.changed(statements.UPDATE_RUN, *values, self.tenant, run.run_id, run.revision):
            self._get_run(tx, run.run_id)
            raise StateConflict("the run was updated by someone else", hint="read it again")
        self._ledger(tx).note_run(run.run_id, stored.payload)
        return self._get_run(tx, run.run_id)

    def _get_run(self, tx: Transaction, run_id: str) -> RunRecord:
        rows = tx.rows(statements.GET_RUN, self.tenant, run_id)
        run = _run_of(rows[0]) if rows else None
        self._ledger(tx).check_run(run_id, run.payload if run else None, there=run is not None)
        if run is None:
            raise StateNotFound("no such run", hint="list_runs() names the runs of this tenant")
        return run

    def _lock_noted(self, tx: Transaction, run_id: str) -> None:
        """Lock a run and its note, whether or not the run exists."""
        if self._guard is not None:
            tx.lock_threads(self.tenant, [f"run {run_id}"])


def check_fence(tx: Transaction, tenant: str, fence: Lease | None) -> None:
    """Raise `StateConflict` if a fence is given that is not the latest lease of its run."""
    if fence is None:
        return
    held = tx.lock_run(tenant, checks.check_text(fence.run_id, "run id"))
    if held is None or held[:2] != (fence.owner, fence.token):
        raise StateConflict(
            "this lease is no longer the latest of its run", hint="acquire the run again, and load its state"
        )


def _run_of(row: tuple[Any, ...]) -> RunRecord:
    run_id, thread_id, status, codec, data, metadata, revision, created_at, updated_at = checked(
        row, TEXT, TEXT, TEXT, MAYBE_TEXT, MAYBE_DATA, TEXT, INTEGER, NUMBER, NUMBER
    )
    if (codec is None) != (data is None):
        raise StateCorrupt(
            "a row of the run state is damaged: it has a payload without a codec, or a codec without a payload"
        )
    run = RunRecord(
        run_id=run_id, thread_id=thread_id, status=status,
        payload=None if codec is None else Payload(codec, data), metadata=json_object(metadata),
        revision=revision, created_at=created_at, updated_at=updated_at,
    )  # fmt: skip
    return accepted(checks.check_run, run)
