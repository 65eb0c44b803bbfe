"""Encryption of run state: nothing in plain, and nothing in another's place."""

import hashlib
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runbundle.errors import ConfigError, StateCorrupt
from runbundle.runstate import (
    CheckpointKey,
    CheckpointRecord,
    EncryptedRunStore,
    Payload,
    RunRecord,
    RunState,
    RunStore,
    SqliteRunStore,
    StepWrite,
)
from tests.conftest import all_bytes

CANARY = b"CANARY-of-run-state"
KEY = b"a key for tests only"


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[SqliteRunStore]:
    """The store behind."""
    with SqliteRunStore(tmp_path / "s.sqlite") as opened:
        yield opened


def fill(store: RunStore, name: str = "t") -> None:
    """Put the canary into every place that holds a payload."""
    canary = Payload("x", CANARY)
    for number in (1, 2):
        key = CheckpointKey(name, "", str(number))
        record = CheckpointRecord(key, canary, run_id="r", slots={"a": str(number), "b": str(number)})
        store.put_checkpoint(record, {"a": canary, "b": canary})
        store.append_writes(key, [StepWrite("x", 0, "c", canary), StepWrite("y", 0, "c", canary)])
    store.create_run(RunRecord(f"{name}/run", payload=canary))


def test_nothing_is_stored_in_plain(plain: SqliteRunStore, tmp_path: Path) -> None:
    """No payload is in the files, none is encrypted the same way twice, and all come back."""
    store = EncryptedRunStore(plain, KEY)
    fill(store)
    assert CANARY not in all_bytes(tmp_path)
    with closing(sqlite3.connect(plain.path)) as connection:
        for table in ("checkpoints", "slots", "writes", "runs"):
            found = [row[0] for row in connection.execute(f"SELECT data FROM runbundle_{table}")]
            assert len(found) == len(set(found)) > 0
    read = store.get_checkpoint("t")
    assert read is not None
    assert read.head.data == read.slot_payloads["a"].data == read.writes[0].payload.data == CANARY
    assert store.list_runs() == [store.get_run("t/run")]
    assert store.get_run("t/run").payload == Payload("x", CANARY)


READS: dict[str, Callable[[RunStore], Any]] = {
    "checkpoints": lambda store: store.get_checkpoint("t"),
    "slots": lambda store: store.get_checkpoint("t"),
    "writes": lambda store: store.get_checkpoint("t"),
    "runs": lambda store: store.get_run("t/run"),
}


@pytest.mark.parametrize("table", READS)
def test_plain_rows_are_refused(plain: SqliteRunStore, table: str) -> None:
    """A row that is in plain is an error once encryption is on, be it the only one."""
    store = EncryptedRunStore(plain, KEY)
    fill(store)
    READS[table](store)
    with closing(sqlite3.connect(plain.path)) as connection, connection:
        connection.execute(f"UPDATE runbundle_{table} SET codec = 'x', data = ?", (CANARY,))
    with pytest.raises(StateCorrupt, match="in plain") as caught:
        READS[table](store)
    assert CANARY.decode() not in str(caught.value)


MOVES = {
    "a head to another checkpoint": "UPDATE runbundle_checkpoints SET data ="
    " (SELECT data FROM runbundle_checkpoints WHERE checkpoint_id = '1' AND tenant = 'default')",
    "a head to other slots": 'UPDATE runbundle_checkpoints SET slots = \'{"a":"1","b":"2"}\'',
    "a head to another parent": "UPDATE runbundle_checkpoints SET parent_id = '1'",
    "a head to another run": "UPDATE runbundle_checkpoints SET run_id = 'other'",
    "a slot to another version": "UPDATE runbundle_slots SET data ="
    " (SELECT data FROM runbundle_slots WHERE name = 'a' AND version = '1' AND tenant = 'default')",
    "a slot to another name": "UPDATE runbundle_slots SET data ="
    " (SELECT data FROM runbundle_slots WHERE name = 'b' AND version = '2' AND tenant = 'default') WHERE name = 'a'",
    "a write to another task": "UPDATE runbundle_writes SET data ="
    " (SELECT data FROM runbundle_writes WHERE task_id = 'x' AND checkpoint_id = '2' AND tenant = 'default')",
    "a thread to another": "UPDATE runbundle_checkpoints SET data = (SELECT data FROM runbundle_checkpoints"
    " WHERE thread_id = 'u' AND checkpoint_id = '2')",
    "another tenant's head": "UPDATE runbundle_checkpoints SET data = (SELECT data FROM runbundle_checkpoints"
    " WHERE tenant = 'other' AND checkpoint_id = '2')",
    "another codec": "UPDATE runbundle_checkpoints SET codec = 'y+aesgcm'",
    # Another byte than the one that is there: ciphertext is drawn at random, and may be any.
    "a byte": "UPDATE runbundle_checkpoints SET data = CAST(substr(data, 1, 20) ||"
    " CASE substr(data, 21, 1) WHEN x'00' THEN x'01' ELSE x'00' END || substr(data, 22) AS blob)",
    "less than a nonce": "UPDATE runbundle_slots SET data = x'00'",
}


@pytest.mark.parametrize("statement", MOVES.values(), ids=MOVES.keys())
def test_nothing_decrypts_in_the_place_of_another(plain: SqliteRunStore, statement: str) -> None:
    """What is moved, mixed or altered in the database does not authenticate."""
    store = EncryptedRunStore(plain, KEY)
    fill(store)
    fill(store, "u")
    fill(store.for_tenant("other"))
    assert store.get_checkpoint("t") is not None
    with closing(sqlite3.connect(plain.path)) as connection, connection:
        connection.execute(statement)
    with pytest.raises(StateCorrupt, match="altered"):
        store.get_checkpoint("t")


def test_an_older_payload_of_a_run_does_not_decrypt(plain: SqliteRunStore) -> None:
    """A payload put back to what it was is told from the one that belongs to the revision."""
    store = EncryptedRunStore(plain, KEY)
    run = store.create_run(RunRecord("r", payload=Payload("x", b"one")))
    with closing(sqlite3.connect(plain.path)) as connection, connection:
        old = connection.execute("SELECT data FROM runbundle_runs").fetchone()
        store.update_run(run)
        connection.execute("UPDATE runbundle_runs SET data = ?", old)
    with pytest.raises(StateCorrupt):
        store.get_run("r")


def test_a_run_of_another_store_is_created_anew(plain: SqliteRunStore) -> None:
    """A record that was read elsewhere, at whatever revision, opens after it was created here."""
    store = EncryptedRunStore(plain, KEY)
    created = store.create_run(RunRecord("r", payload=Payload("x", b"moved"), revision=5))
    assert (created.revision, created.payload) == (1, Payload("x", b"moved"))
    assert store.get_run("r") == created


def test_versions_of_slots_say_nothing_of_what_is_in_them(plain: SqliteRunStore) -> None:
    """What can be guessed cannot be confirmed by its digest, nor by saving the guess in another session."""
    found: dict[str, set[str]] = {}
    stores = (plain, EncryptedRunStore(plain, KEY), EncryptedRunStore(plain, KEY + b"!"))
    for number, store in enumerate(stores):
        for name in ("a", "b"):
            state = RunState(run_id=f"{name}{number}", session_id=name, budget={"usd": 1}).save(store)
            again = state.model_copy(update={"step": 1}).save(store)
            assert RunState.load(store, again.run_id) == again
            first, second = (store.get_checkpoint(name, state.run_id, at.checkpoint_id) for at in (state, again))
            assert first is not None
            assert second is not None
            assert first.slots == second.slots
            assert len(set(first.slots.values())) == len(first.slots)  # although three of them are `{}`, and two `[]`
            found[state.run_id] = set(first.slots.values())
    guesses = {hashlib.sha256(guess).hexdigest() for guess in (b"{}", b"[]", b'{"usd":1}')}
    for run_id in ("a1", "b1", "a2", "b2"):
        assert not found[run_id] & guesses.union(*(found[other] for other in found if other != run_id))


def test_another_key_decrypts_nothing(plain: SqliteRunStore) -> None:
    """A wrong key is told as such, a short one refused at once."""
    fill(EncryptedRunStore(plain, KEY))
    with pytest.raises(StateCorrupt, match="another key"):
        EncryptedRunStore(plain, KEY + b"!").get_checkpoint("t")
    with pytest.raises(ConfigError, match="16 bytes"):
        EncryptedRunStore(plain, b"short")


def test_without_cryptography_the_extra_is_named(plain: SqliteRunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ConfigError, match=r"runbundle\[debug\]"):
        EncryptedRunStore(plain, KEY)
