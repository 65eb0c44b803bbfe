"""The ledger: with a guard every row is covered by a note; without one nothing is noted, checked or sent."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from runbundle.errors import StateCorrupt
from runbundle.runstate import (
    CheckpointKey,
    CheckpointRecord,
    EncryptedRunStore,
    Payload,
    RunRecord,
    SqliteRunStore,
    StepWrite,
)
from runbundle.runstate.cipher import Cipher
from runbundle.runstate.sql import SqlRunStore, Transaction
from runbundle.runstate.sql.ledger import Ledger

KEY = b"a key for tests only"
LINE = CheckpointKey("t", "", "1")


@pytest.fixture
def guarded(store: SqlRunStore) -> SqlRunStore:
    """The store behind an encrypted one, which has stored a run, a checkpoint and a write."""
    encrypted = EncryptedRunStore(store, KEY)
    encrypted.create_run(RunRecord("r"))
    encrypted.put_checkpoint(CheckpointRecord(LINE, Payload("x", b"head"), run_id="r"), {})
    encrypted.append_writes(LINE, [StepWrite("task", 0, "c", Payload("x", b"w"))])
    return store.guarded(Cipher("default", KEY, times=True))  # type: ignore[return-value]


def checks(ledger: Ledger, tx: Transaction) -> dict[str, Callable[[], None]]:
    """Every question that a reader asks."""

    def rewriting() -> None:
        with ledger.rewriting(["t"]):
            pass

    run = tx.rows("SELECT codec, data FROM runbundle_runs WHERE run_id = 'r'")
    return {
        "line": lambda: ledger.check_keys([LINE]),
        "thread": lambda: ledger.check_thread("t"),
        "all threads": lambda: ledger.check_thread(None),
        "run": lambda: ledger.check_run("r", Payload(*run[0]) if run else None, there=bool(run)),
        "all runs": ledger.check_runs,
        "checkpoint": lambda: ledger.check_checkpoint("t", "", None, None),
        "rewriting": rewriting,
    }


def failing(store: SqlRunStore) -> set[str]:
    """Return the questions that find something altered."""
    found = set()
    with store._writing() as tx:
        for name, ask in checks(store._ledger(tx), tx).items():
            try:
                ask()
            except StateCorrupt:
                found.add(name)
    return found


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE runbundle_runs SET status = status", {"checkpoint"}),  # there is one, so None is not the answer
        ("DELETE FROM runbundle_writes", {"line", "thread", "rewriting", "checkpoint"}),
        ("DELETE FROM runbundle_runs", {"run", "all runs", "checkpoint"}),
        ("DELETE FROM runbundle_ledger WHERE kind = 'run'", {"run", "checkpoint"}),
        ("DELETE FROM runbundle_ledger WHERE kind = 'line'", {"line", "thread", "rewriting", "checkpoint"}),
    ],
    ids=["nothing", "a write", "a run", "a run's note", "a line's note"],
)
def test_each_question_finds_what_was_removed(guarded: SqlRunStore, statement: str, told: set[str]) -> None:
    """And finds nothing where nothing was."""
    with guarded._writing() as tx:
        tx.run(statement)
    assert failing(guarded) == told


def test_a_whole_line_that_is_missing_is_found_by_a_search_over_all_threads(guarded: SqlRunStore) -> None:
    """Its note is still there."""
    with guarded._writing() as tx:
        tx.run("DELETE FROM runbundle_writes")
        tx.run("DELETE FROM runbundle_checkpoints")
    assert {"all threads", "thread"} <= failing(guarded)


def test_notes_follow_changes_that_are_made_through_the_ledger(guarded: SqlRunStore) -> None:
    """One checkpoint at a time, whole threads, and runs."""

    def within(change: AbstractContextManager[None], tx: Transaction, statement: str) -> None:
        with change:
            tx.run(statement)

    with guarded._writing() as tx:
        ledger = guarded._ledger(tx)
        within(ledger.changing(LINE), tx, "DELETE FROM runbundle_writes")
    assert failing(guarded) == {"checkpoint"}
    with guarded._writing() as tx:
        within(guarded._ledger(tx).rewriting(["t"]), tx, "DELETE FROM runbundle_checkpoints")
    assert failing(guarded) == set()
    run = RunRecord("r", revision=1, status="done")
    cipher = Cipher("default", KEY, times=True)
    with guarded._writing() as tx:
        stored = cipher.encrypted_run(run).payload
        assert stored is not None
        tx.run("UPDATE runbundle_runs SET codec = ?, data = ?", *stored)
        guarded._ledger(tx).note_run("r", stored)
    assert failing(guarded) == set()


def test_without_a_guard_nothing_is_sent() -> None:
    """A store that does not encrypt pays nothing for notes."""
    with SqliteRunStore("plain.sqlite") as store:
        store.create_run(RunRecord("r"))
        with store._writing() as tx:
            asked = checks(store._ledger(tx), tx)
            sent: list[int] = []
            tx._before = lambda: sent.append(1)  # type: ignore[attr-defined]
            for ask in asked.values():
                ask()
            with store._ledger(tx).changing(LINE):
                pass
            store._ledger(tx).note_run("r", Payload("x", b""))
            assert sent == []
            tx._before = None  # type: ignore[attr-defined]
        assert store.guarded(Cipher("default", KEY, times=True)) is not store
