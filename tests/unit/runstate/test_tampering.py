"""Encrypted run state vouches for its history: what is rolled back, removed or damaged in the database is detected."""

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbundle.errors import StateConflict, StateCorrupt, StateNotFound
from runbundle.runstate import (
    CheckpointKey,
    CheckpointRecord,
    EncryptedRunStore,
    Payload,
    PostgresRunStore,
    RunRecord,
    RunState,
    RunStore,
    SqliteRunStore,
    StepWrite,
    cipher,
    list_checkpoints,
)

KEY = b"a key for tests only"
TABLES = ("runs", "checkpoints", "slots", "writes", "ledger")


def fill(store: RunStore, thread: str = "t", steps: int = 3) -> None:
    """A run of three steps, in its thread."""
    run = RunRecord(f"{thread}/run", thread, metadata={"step": 0, "cost": 1e5})
    run = store.create_run(run)
    for number in range(1, steps + 1):
        put(store, thread, number)
    store.update_run(
        RunRecord(run.run_id, thread, "done", Payload("x", b"end"), {"step": steps}, revision=run.revision)
    )


def put(store: RunStore, thread: str, number: int) -> None:
    """One step."""
    key = CheckpointKey(thread, "", f"{number:04}")
    parent = f"{number - 1:04}" if number > 1 else None
    record = CheckpointRecord(
        key, Payload("x", b"head"), parent, "e", f"{thread}/run", {"a": str(number)}, {"step": number}
    )
    store.put_checkpoint(record, {"a": Payload("x", b"slot %d" % number)})
    store.append_writes(key, [StepWrite("task", n, "c", Payload("x", b"write")) for n in range(2)])


def read_all(store: RunStore) -> list[Any]:
    """Read whatever there is, in every way there is."""
    found: list[Any] = [store.list_runs(), store.get_run("t/run"), store.get_checkpoint("t")]
    found += list(list_checkpoints(store, thread_id="t"))
    found += list(list_checkpoints(store))
    found += [store.get_checkpoint("t", "", f"{number:04}") for number in (1, 2, 3)]
    return found


def change(path: Path, statement: str, *values: Any) -> int:
    """Change the database behind the store's back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement, values).rowcount


def rows_of(path: Path, table: str) -> list[tuple[Any, ...]]:
    """All rows."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT rowid, * FROM runbundle_{table}").fetchall()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file."""
    return tmp_path / "s.sqlite"


def opened(path: Path) -> EncryptedRunStore:
    """A store over it."""
    return EncryptedRunStore(SqliteRunStore(path), KEY)


ALTERED = {
    "a run's metadata": "UPDATE runbundle_runs SET metadata = '{\"step\":0}'",
    "a run's status": "UPDATE runbundle_runs SET status = 'running'",
    "a run's thread": "UPDATE runbundle_runs SET thread_id = 'u'",
    "a run's revision": "UPDATE runbundle_runs SET revision = 1",
    "when a run began": "UPDATE runbundle_runs SET created_at = created_at - 1",
    "when a run was updated": "UPDATE runbundle_runs SET updated_at = updated_at + 1",
    "a run's payload": "UPDATE runbundle_runs SET codec = NULL, data = NULL",
    "a run's id": "UPDATE runbundle_runs SET run_id = 'other'",
    "a run": "DELETE FROM runbundle_runs",
    "a step": "UPDATE runbundle_checkpoints SET metadata = '{\"step\":1}'",
    "a parent": "UPDATE runbundle_checkpoints SET parent_id = '0001' WHERE checkpoint_id = '0003'",
    "an id": "UPDATE runbundle_checkpoints SET checkpoint_id = '0004' WHERE checkpoint_id = '0003'",
    "an engine": "UPDATE runbundle_checkpoints SET engine = 'other'",
    "a tenant": "UPDATE runbundle_checkpoints SET tenant = 'other'",
    "chained": "UPDATE runbundle_checkpoints SET chained = 1",
    "the first": "DELETE FROM runbundle_checkpoints WHERE checkpoint_id = '0001'",
    "one in the middle": "DELETE FROM runbundle_checkpoints WHERE checkpoint_id = '0002'",
    "the last": "DELETE FROM runbundle_checkpoints WHERE checkpoint_id = '0003'",
    "all": "DELETE FROM runbundle_checkpoints",
    "a write": "DELETE FROM runbundle_writes WHERE checkpoint_id = '0003' AND idx = 1",
    "all writes": "DELETE FROM runbundle_writes",
    "a write's place": "UPDATE runbundle_writes SET task_path = 'z' WHERE checkpoint_id = '0003' AND idx = 1",
    "the notes": "DELETE FROM runbundle_ledger",
    "a note in place of another": "UPDATE runbundle_ledger SET data ="
    " (SELECT data FROM runbundle_ledger WHERE kind = 'run')",
}  # fmt: skip


@pytest.mark.parametrize("statement", ALTERED.values(), ids=ALTERED.keys())
def test_every_alteration_and_removal_is_detected(path: Path, statement: str) -> None:
    """Every plain column, every row, by a store that has read it before and by one that has not."""
    with opened(path) as store:
        fill(store)
        read_all(store)
        assert change(path, statement)
        with pytest.raises(StateCorrupt):
            read_all(store)
    with opened(path) as store, pytest.raises(StateCorrupt):
        read_all(store)


@pytest.mark.parametrize("table", [table for table in TABLES if table != "slots"])
def test_a_row_that_is_put_back_is_detected(path: Path, table: str) -> None:
    """Whole, as it was a moment ago, with all that authenticated it then."""
    with opened(path) as store:
        fill(store)
        old = rows_of(path, table)
        put(store, "t", 3)
        replaced = [StepWrite("task", 0, "c", Payload("x", b"other"))]
        store.append_writes(CheckpointKey("t", "", "0003"), replaced, replace=True)
        store.update_run(RunRecord("t/run", "t", "again", revision=2))
        read_all(store)
        new = rows_of(path, table)
    changed = [row for row in old if row not in new]
    assert changed
    for row in changed:
        with closing(sqlite3.connect(path)) as connection, connection:
            kept = connection.execute(f"SELECT * FROM runbundle_{table} WHERE rowid = ?", row[:1]).fetchone()
            marks = ", ".join("?" * len(row))
            names = [c[1] for c in connection.execute(f"PRAGMA table_info(runbundle_{table})")]
            put_back = f"INSERT OR REPLACE INTO runbundle_{table} (rowid, {', '.join(names)}) VALUES ({marks})"
            connection.execute(put_back, row)
        with opened(path) as store, pytest.raises(StateCorrupt):
            read_all(store)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(put_back, (row[0], *kept))
        with opened(path) as store:
            read_all(store)


def test_a_run_whose_metadata_were_put_back_does_not_go_back(path: Path) -> None:
    """What it may still spend, and what waits for approval, is the latest or nothing."""
    with opened(path) as store:
        state = RunState(run_id="r", budget={"usd": 100}, pending_approvals=["refund"]).save(store)
        (old,) = rows_of(path, "runs")
        state.model_copy(update={"budget": {"usd": 0}, "pending_approvals": [], "step": 1}).save(store)
        change(path, "UPDATE runbundle_runs SET metadata = ?", old[7])
        with pytest.raises(StateCorrupt):
            RunState.load(store, "r")
        with pytest.raises(StateCorrupt):
            RunState.resume(store, "r", "me", 5)


WRITES: dict[str, Callable[[RunStore], Any]] = {
    "update": lambda store: store.update_run(RunRecord("t/run", "t", revision=1)),
    "create": lambda store: store.create_run(RunRecord("t/run", "t")),
    "prune": lambda store: store.prune(["t"]),
    "copy": lambda store: store.copy_thread("t", "u"),
    "delete a run": lambda store: store.delete_runs(["t/run"]),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_no_write_makes_what_was_altered_good(path: Path, write: Callable[[RunStore], Any]) -> None:
    """What is made from rows that are not the latest is refused, and the history stays told as altered."""
    with opened(path) as store:
        fill(store)
        for statement in ("the last", "a run"):
            change(path, ALTERED[statement])
        with pytest.raises(StateCorrupt):
            write(store)
        put(store, "t", 4)
        with pytest.raises(StateCorrupt):
            read_all(store)
        store.delete_threads(["t"])  # the way out
        assert store.get_checkpoint("t") is None


def test_a_deleted_note_is_not_made_again_by_a_write(path: Path) -> None:
    """Rows that are noted, without a note, stay refused."""
    with opened(path) as store:
        fill(store)
        change(path, ALTERED["the notes"])
        with pytest.raises(StateCorrupt):
            put(store, "t", 4)
        with pytest.raises(StateCorrupt):
            store.update_run(RunRecord("t/run", "t", revision=2))


def test_the_history_follows_what_is_done_to_it(path: Path) -> None:
    """Put again, replaced, copied, pruned, removed: whatever is done by the store, everything stays readable."""
    with opened(path) as store:
        fill(store)
        put(store, "t", 3)
        store.append_writes(CheckpointKey("t", "", "0009"), [StepWrite("early", 0, "c", Payload("x", b"w"))])
        store.copy_thread("t", "u")
        read_all(store)
        store.prune(["t"])
        assert [key.checkpoint_id for key in store.find_checkpoints(thread_id="t")] == ["0003"]
        store.delete_runs(["t/run"])
        with pytest.raises(StateNotFound):
            store.get_run("t/run")
        assert store.find_checkpoints() == []  # of the copy, too: they were of that run
        store.delete_threads(["t", "u"])
        assert rows_of(path, "ledger") == []
        fill(store)
        with pytest.raises(StateConflict):
            store.update_run(RunRecord("t/run", "t", revision=1))
        read_all(store)


def test_what_was_written_before_there_were_notes_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once that it is older, and from the next write on its rows are noted too."""
    cipher._said.clear()
    with monkeypatch.context() as patched:
        patched.setattr(cipher, "_NOTED_SUFFIX", cipher.ENCRYPTED_SUFFIX)
        patched.setattr(cipher, "_about_head", cipher._about_older_head)
        patched.setattr(cipher.Cipher, "_about_run", lambda self, run: cipher._about_older_run(run))
        with opened(path) as store:
            fill(store)
    change(path, "DELETE FROM runbundle_ledger")
    change(path, "UPDATE runbundle_runs SET codec = NULL, data = NULL")
    with opened(path) as store, caplog.at_level(logging.WARNING, "runbundle"):
        first, second = read_all(store), read_all(store)
        assert first == second
        assert len([record for record in caplog.records if "before notes were kept" in record.getMessage()]) == 1
        put(store, "t", 4)
        store.update_run(RunRecord("t/run", "t", revision=2))
        read_all(store)
        change(path, ALTERED["the first"])
        with pytest.raises(StateCorrupt):
            read_all(store)


def columns(path: Path) -> list[tuple[str, int, str]]:
    """Each column of each row."""
    with closing(sqlite3.connect(path)) as connection:
        names = {t: [row[1] for row in connection.execute(f"PRAGMA table_info(runbundle_{t})")] for t in TABLES}
    return [(table, row[0], name) for table in TABLES for row in rows_of(path, table) for name in names[table]]


LEASE = {"lease_owner", "lease_token", "lease_expires"}  # who may write, not what is written
# Of a slot: which other it is a difference to, and its stamp, by which versions are remembered.
FREE = LEASE | {"stamp"}
DAMAGES = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.binary(max_size=40),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    st.sampled_from(["x", "{}", "[]", "1", '{"a":1}', '{"a":"9"}', '{"checkpoint_id":7}', "{" * 50]),
    st.tuples(st.just("flip"), st.integers(0, 500), st.integers(1, 255)), st.tuples(st.just("cut"), st.integers(0, 60)),
)  # fmt: skip


def damaged(value: Any, damage: Any) -> Any:
    """A value after what was done to it."""
    if not isinstance(damage, tuple):
        return damage
    if not isinstance(value, str | bytes):
        return 7
    data = bytearray(value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value)
    if damage[0] == "cut":
        data = data[: damage[1]]
    elif data:
        data[damage[1] % len(data)] ^= damage[2]
    return bytes(data) if isinstance(value, bytes) else data.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("kind", ["encrypted", "plain"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(where=st.integers(0, 10_000), damage=DAMAGES)
def test_a_damaged_column_is_never_another_error(path: Path, kind: str, where: int, damage: Any) -> None:
    """Cut, flipped, of another type or NULL, in tables that enforce nothing: encrypted, it is always detected."""
    store: RunStore = opened(path) if kind == "encrypted" else SqliteRunStore(path)
    if not path.exists():
        fill(store)
        RunState(run_id="s", session_id="s", data={"a": "b"}).save(store)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for table in TABLES:
                names = ", ".join(row[1] for row in connection.execute(f"PRAGMA table_info(runbundle_{table})"))
                connection.execute(f"ALTER TABLE runbundle_{table} RENAME TO strict_{table}")
                connection.execute(f"CREATE TABLE runbundle_{table} ({names})")
                connection.execute(f"INSERT INTO runbundle_{table} SELECT * FROM strict_{table}")
    with store:
        places = columns(path)
        table, rowid, column = places[where % len(places)]
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
            select = f"SELECT {column} FROM runbundle_{table} WHERE rowid = ?"
            (value,) = connection.execute(select, (rowid,)).fetchone()
            new = damaged(value, damage)
            update = f"UPDATE runbundle_{table} SET {column} = ? WHERE rowid = ?"
            bound = new
            if isinstance(new, str):
                update, bound = update.replace("= ?", "= CAST(? AS TEXT)", 1), new.encode("utf-8", "surrogateescape")
            connection.execute(update, (bound, rowid))
        same = type(new) is type(value) and new == value
        told = False
        try:
            for read in (
                lambda: read_all(store),
                lambda: RunState.load(store, "s"),
                lambda: RunState.load(store, "s", step=0),
            ):
                try:
                    read()
                except StateCorrupt:
                    told = True
                except StateNotFound:
                    assert kind == "plain"
            if kind == "encrypted" and not same and column not in FREE and table != "slots":
                assert told, (table, column, value, new)
        finally:
            with closing(sqlite3.connect(path)) as connection, connection:
                old = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
                cast = "CAST(? AS TEXT)" if isinstance(value, str) else "?"
                connection.execute(f"UPDATE runbundle_{table} SET {column} = {cast} WHERE rowid = ?", (old, rowid))


def test_a_store_that_keeps_no_notes_still_vouches_for_its_columns(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as one of somebody else's; what that leaves open is said."""
    monkeypatch.setattr(SqliteRunStore, "guarded", lambda self, guard: None)
    with opened(path) as store:
        assert "keeps no notes" in caplog.text
        fill(store)
        read_all(store)
        store.copy_thread("t", "u")
        for name in ("a step", "a parent", "a run's status", "a run's revision"):
            with opened(path.with_name(name)) as other:
                fill(other)
                change(path.with_name(name), ALTERED[name])
                with pytest.raises(StateCorrupt):
                    read_all(other)


@pytest.mark.parametrize(
    "name", ["a run's metadata", "when a run was updated", "one in the middle", "a write", "the notes"]
)
def test_postgresql_detects_the_same(postgres_url: str, name: str) -> None:
    """Numbers come back from there in another form, and are the same numbers."""
    import psycopg

    with EncryptedRunStore(PostgresRunStore(postgres_url), KEY) as store:
        fill(store)
        store.copy_thread("t", "u")
        numbers = {"a": 1e5, "b": 2.0**60, "c": [1e22, -0.0, 0.1, 2**63], "d": 1.5e300, "e": 5e-324}
        store.update_run(RunRecord("t/run", "t", metadata=numbers, revision=2))
        found = store.get_run("t/run").metadata
        assert {key: float(found[key]) for key in "abde"} == {key: numbers[key] for key in "abde"}
        read_all(store)
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(ALTERED[name])
        with pytest.raises(StateCorrupt):
            read_all(store)
