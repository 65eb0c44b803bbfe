"""Operations on whole threads and runs: delete, copy and prune."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from runbundle.errors import StateConflict, StateNotFound, StateRefused
from runbundle.runstate import checks
from runbundle.runstate.records import CheckpointRecord
from runbundle.runstate.sql import statements
from runbundle.runstate.sql.checkpoints import get_record, put_record, write_rows
from runbundle.runstate.sql.ledger import LINE, RUN
from runbundle.runstate.sql.runs import SqlRuns
from runbundle.runstate.sql.slots import chain_of, rebuilt
from runbundle.runstate.sql.transaction import Transaction


class SqlThreads(SqlRuns):
    """The methods of a run store that delete, copy and prune."""

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Remove runs with their checkpoints."""
        for run_id in run_ids:
            checks.check_text(run_id, "run id")
        with self._writing() as tx:
            found = _threads_of(tx, self.tenant, run_ids)
            tx.lock_threads(self.tenant, found)
            for run_id in sorted(set(run_ids)):  # in an order that is the same for all, as with threads
                self._lock_noted(tx, run_id)
                tx.lock_run(self.tenant, run_id)
            if _threads_of(tx, self.tenant, run_ids) != found:
                raise StateConflict("a run is being written to", hint="try again")
            with self._ledger(tx).rewriting(found):
                for thread_id in found:
                    _delete_run_in_thread(tx, self.tenant, thread_id, run_ids)
            for run_id in run_ids:
                tx.run(statements.DELETE_RUN, self.tenant, run_id)
                tx.run(statements.DELETE_NOTES, self.tenant, RUN, run_id)

    def delete_threads(self, thread_ids: Sequence[str]) -> None:
        """Remove all checkpoints and writes of threads."""
        names = sorted({checks.check_text(thread_id, "thread id") for thread_id in thread_ids})
        with self._writing() as tx:
            tx.lock_threads(self.tenant, names)
            for thread_id in names:
                for statement in statements.DELETE_THREAD:
                    tx.run(statement, self.tenant, thread_id)
                tx.run(statements.DELETE_NOTES, self.tenant, LINE, thread_id)

    def copy_thread(
        self, source: str, target: str, *, rewrite: Callable[[CheckpointRecord], CheckpointRecord] | None = None
    ) -> None:
        """Copy a thread to a new one."""
        names = sorted({checks.check_text(name, "thread id") for name in (source, target)})
        with self._writing() as tx:
            tx.lock_threads(self.tenant, names)
            if tx.rows(statements.THREAD_EXISTS, self.tenant, target, self.tenant, target):
                raise StateConflict("the target thread exists already", hint="delete it first, or choose another name")
            ledger = self._ledger(tx)
            ledger.check_thread(source)
            keys = tx.rows(statements.KEYS_OF_THREAD, self.tenant, source)
            if not keys:
                raise StateNotFound("no such thread")
            with ledger.rewriting([target]):
                for key in keys:
                    record = get_record(tx, self.tenant, *key)
                    assert record is not None, "it was listed in the same transaction"
                    copied = replace(record, key=record.key._replace(thread_id=target))
                    copied = rewrite(copied) if rewrite else copied
                    put_record(tx, self._slot_cache, self.tenant, copied, copied.slot_payloads)
                    tx.many(statements.KEEP_WRITE, write_rows(self.tenant, copied.key, copied.writes))

    def prune(self, thread_ids: Sequence[str]) -> None:
        """Remove all but the latest checkpoint of each namespace."""
        names = sorted({checks.check_text(thread_id, "thread id") for thread_id in thread_ids})
        with self._writing() as tx:
            tx.lock_threads(self.tenant, names)
            for thread_id in names:
                if tx.rows(statements.CHAINED, self.tenant, thread_id):
                    raise StateRefused(
                        "a thread is rebuilt from all of its checkpoints", hint="keep it, or delete it as a whole"
                    )
                with self._ledger(tx).rewriting([thread_id]):
                    for ns, _count, latest in tx.rows(statements.COUNTS, self.tenant, thread_id):
                        for statement in statements.DELETE_OLDER:
                            tx.run(statement, self.tenant, thread_id, ns, latest)
                    _sweep(tx, self.tenant, thread_id)


def _threads_of(tx: Transaction, tenant: str, run_ids: Sequence[str]) -> list[str]:
    return sorted({row[0] for run_id in run_ids for row in tx.rows(statements.THREADS_OF_RUN, tenant, run_id)})


def _delete_run_in_thread(tx: Transaction, tenant: str, thread_id: str, run_ids: Sequence[str]) -> None:
    doomed = {tuple(key) for run_id in run_ids for key in tx.rows(statements.KEYS_OF_RUN, tenant, thread_id, run_id)}
    left = {ns: count for ns, count, _ in tx.rows(statements.COUNTS, tenant, thread_id)}
    for _, ns, _ in doomed:
        left[ns] -= 1
    for ns, _ in tx.rows(statements.CHAINED, tenant, thread_id):
        if left[ns] and any(key[1] == ns for key in doomed):
            raise StateRefused(
                "a thread is rebuilt from all of its checkpoints, those of this run among them",
                hint="delete the thread as a whole",
            )
    for key in sorted(doomed):
        tx.run(statements.DELETE_CHECKPOINT, tenant, *key)
        tx.run(statements.DELETE_WRITES, tenant, *key)
    _sweep(tx, tenant, thread_id)


def _sweep(tx: Transaction, tenant: str, thread_id: str) -> None:
    """Delete the slots that no checkpoint uses, after writing whole the used slots that are differences to them."""
    thread = (tenant, thread_id)
    for ns, name, version in tx.rows(statements.SLOTS_WITHOUT_BASE, *thread, *thread):
        slot = (tenant, thread_id, ns, name)
        tx.run(statements.FLATTEN_SLOT, rebuilt(chain_of(tx, slot, version)).data, *slot, version)
    tx.run(statements.SWEEP_SLOTS, *thread, *thread)
