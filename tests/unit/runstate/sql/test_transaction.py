"""A transaction is the same to its user in SQLite and in PostgreSQL."""

import threading

import pytest

from runbundle.runstate import RunRecord
from runbundle.runstate.sql import SqlRunStore, Transaction, statements
from runbundle.runstate.sql.base import SqlStore
from runbundle.runstate.sql.checkpoints import SqlCheckpoints
from runbundle.runstate.sql.runs import SqlRuns
from runbundle.runstate.sql.threads import SqlThreads


def test_an_error_within_a_transaction_takes_all_of_it_back(store: SqlRunStore) -> None:
    """Statements before it, too; the store works on."""

    def fail(tx: Transaction) -> None:
        tx.run(statements.INSERT_RUN, "default", "r", "", "running", None, None, "{}", 1.0, 1.0)
        assert len(tx.rows(statements.GET_RUN, "default", "r")) == 1
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"), store._writing() as tx:
        fail(tx)
    assert store.list_runs() == []
    assert store.create_run(RunRecord("r")).revision == 1


def test_statements_say_how_many_rows_they_changed(store: SqlRunStore) -> None:
    """`many` runs once for each row of values, `changed` counts."""
    rows = [("default", name, "", "running", None, None, "{}", 1.0, 1.0) for name in "abc"]
    with store._writing() as tx:
        tx.many(statements.INSERT_RUN, rows)
        assert tx.changed(statements.INSERT_RUN, *rows[0]) == 0
        assert tx.changed(statements.DELETE_RUN, "default", "a") == 1
    assert sorted(run.run_id for run in store.list_runs()) == ["b", "c"]


def test_tokens_grow_and_the_clock_is_in_seconds(store: SqlRunStore) -> None:
    """Across transactions, and also if one of them is rolled back and its token is used again."""
    tokens = []
    for _ in range(3):
        with store._writing() as tx:
            tokens += [tx.next_token(), tx.next_token()]
            assert 1_700_000_000 < tx.now() < 10_000_000_000
    assert tokens == sorted(set(tokens))


def test_lock_run_returns_the_lease_that_is_stored(store: SqlRunStore) -> None:
    """None for a run that does not exist, or is another tenant's; no owner before the first lease."""
    store.create_run(RunRecord("r"))
    with store._writing() as tx:
        assert tx.lock_run("default", "none") is None
        assert tx.lock_run("other", "r") is None
        assert tx.lock_run("default", "r") == (None, 0, 0.0)
    lease = store.acquire_lease("r", "me", 60)
    with store._writing() as tx:
        assert tx.lock_run("default", "r") == ("me", lease.token, lease.expires_at)


def test_a_locked_thread_keeps_the_next_writer_waiting(store: SqlRunStore) -> None:
    """Until the transaction that locked it has ended."""
    order: list[str] = []

    def second() -> None:
        with store._writing() as tx:
            tx.lock_threads("default", ["t", "u"])
            tx.rows(statements.GET_RUN, "default", "r")
            order.append("second")

    store.list_runs()  # the tables are there
    writer = threading.Thread(target=second)
    with store._writing() as tx:
        tx.lock_threads("default", ["s", "t"])
        tx.rows(statements.GET_RUN, "default", "r")  # PostgreSQL has the lock at the latest now
        writer.start()
        writer.join(0.3)
        order.append("first")
    writer.join(30)
    assert order == ["first", "second"]


def test_a_store_of_a_database_has_each_subject_in_one_class() -> None:
    """No two of the classes that make it up define the same method."""
    subjects = (SqlStore, SqlRuns, SqlCheckpoints, SqlThreads)
    defined = [name for kind in subjects for name in vars(kind) if not name.startswith("_")]
    assert len(defined) == len(set(defined))
    assert all(issubclass(SqlRunStore, kind) for kind in subjects)
