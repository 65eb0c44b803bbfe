"""What is particular to each backend: files and their modes, servers and their clocks, URLs, errors."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from runbundle.errors import ConfigError, StateConflict, StateCorrupt, StateUnavailable
from runbundle.runstate import (
    CheckpointKey,
    CheckpointRecord,
    Payload,
    PostgresRunStore,
    RunRecord,
    SqliteRunStore,
    from_url,
    list_checkpoints,
)
from runbundle.runstate.sql import sqlite_file
from runbundle.store import LocalStore, MemoryStore
from runbundle.store.locations import run_state_of
from runbundle.testing.runstores import crash


def test_the_files_are_private(tmp_path: Path) -> None:
    """Nothing is made before the first use; then the folder is 0700, and each file 0600, whatever it was."""
    path = tmp_path / "new" / "s.sqlite"
    with SqliteRunStore(path) as store:
        assert not path.parent.exists()
        store.create_run(RunRecord("r"))
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {
            "s.sqlite": 0o600, "s.sqlite-wal": 0o600, "s.sqlite-shm": 0o600
        }  # fmt: skip
    path.chmod(0o644)
    with SqliteRunStore(path) as store:
        assert store.get_run("r").revision == 1
        assert path.stat().st_mode & 0o777 == 0o600


def test_commits_are_synced(tmp_path: Path) -> None:
    """The connection is in write-ahead mode, syncs every commit, and overwrites what is deleted."""
    with SqliteRunStore(tmp_path / "s.sqlite") as store:
        store.list_runs()
        connection = store._file._connection
        assert connection is not None
        found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        assert found == ["wal", 2]
        assert connection.execute("PRAGMA secure_delete").fetchone()[0] == 1


def test_what_was_pruned_is_not_in_what_is_kept(tmp_path: Path) -> None:
    """A slot that was a difference to a pruned version is whole, and nothing of that version is in the file."""
    path = tmp_path / "s.sqlite"
    with SqliteRunStore(path) as store:
        tail = b"".join(b"%06d" % n for n in range(1000))
        for number, data in enumerate((b"CANARY" * 200 + tail, tail, tail + b"!"), 1):
            key = CheckpointKey("t", "", str(number))
            parent = str(number - 1) if number > 1 else None
            record = CheckpointRecord(key, Payload("x", b""), parent_id=parent, slots={"a": str(number)})
            store.put_checkpoint(record, {"a": Payload("x", data)})
        with closing(sqlite3.connect(path)) as connection:
            bases = [row[0] for row in connection.execute("SELECT base FROM runbundle_slots ORDER BY version")]
            assert bases == [None, None, "2"]
        store.prune(["t"])
        found = store.get_checkpoint("t")
        assert found is not None
        assert found.slot_payloads["a"].data == tail + b"!"
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT version, base FROM runbundle_slots").fetchall() == [("3", None)]
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"CANARY" not in path.read_bytes()


def test_versions_that_another_process_replaced_are_not_mistaken(tmp_path: Path) -> None:
    """What this process remembers of a slot is not used for a row that was deleted and written anew elsewhere."""
    with SqliteRunStore(tmp_path / "s.sqlite") as one, SqliteRunStore(tmp_path / "s.sqlite") as two:
        crash.put(one, "t", 1, size=7)
        two.delete_threads(["t"])
        other = b"".join(b"%06d" % n for n in range(1000))
        record = CheckpointRecord(
            CheckpointKey("t", "", "0001"), Payload("x", b""), slots={"log": "1", "same": "1"}
        )  # fmt: skip
        two.put_checkpoint(record, {"log": Payload("x", other), "same": Payload("x", b"same")})
        crash.put(one, "t", 2, size=8)
        for store in (one, two):
            found = {r.key.checkpoint_id: r.slot_payloads["log"] for r in list_checkpoints(store, thread_id="t")}
            assert found == {"0001": Payload("x", other), "0002": crash.slot(8)}


def test_files_that_cannot_be_used_are_clear_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No database, no folder, a later version, another who does not let go: each is one of our errors."""
    (tmp_path / "text").write_bytes(b"CANARY no database " * 100)
    with SqliteRunStore(tmp_path / "text") as store, pytest.raises(StateCorrupt, match="SQLITE_NOTADB"):
        store.list_runs()
    with SqliteRunStore(tmp_path / "text" / "s.sqlite") as store, pytest.raises(StateUnavailable):
        store.list_runs()
    later = tmp_path / "later.sqlite"
    with closing(sqlite3.connect(later)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with SqliteRunStore(later) as store, pytest.raises(ConfigError, match="later version"):
        store.list_runs()
    monkeypatch.setattr(sqlite_file, "BUSY_S", 0.05)
    with SqliteRunStore(tmp_path / "s.sqlite") as store:
        store.list_runs()
        with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with pytest.raises(StateUnavailable, match="SQLITE_BUSY"):
                store.create_run(RunRecord("r"))
            connection.execute("ROLLBACK")
        assert store.create_run(RunRecord("r")).revision == 1


def test_slots_that_form_a_cycle_are_detected(tmp_path: Path) -> None:
    """A row that leads back to itself is read to an end, and not as something else."""
    path = tmp_path / "s.sqlite"
    with SqliteRunStore(path) as store:
        crash.put(store, "t", 6)
        crash.put(store, "t", 7)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE runbundle_slots SET base = '7' WHERE version = '6' AND name = 'log'")
        for use in (lambda: store.get_checkpoint("t"), lambda: store.copy_thread("t", "u")):
            with pytest.raises(StateCorrupt):
                use()


def test_an_incomplete_slot_is_detected(tmp_path: Path) -> None:
    """A version whose base is gone or is another, or a slot that is gone, is never read as something else."""
    path = tmp_path / "s.sqlite"
    for statement in (
        "DELETE FROM runbundle_slots WHERE version = '6'", "DELETE FROM runbundle_slots WHERE version = '7'",
        "UPDATE runbundle_slots SET data = x'00', base = NULL WHERE version = '6'",
    ):  # fmt: skip
        with SqliteRunStore(path) as store:
            store.delete_threads(["t"])
            crash.put(store, "t", 6)
            crash.put(store, "t", 7)
            with closing(sqlite3.connect(path)) as connection, connection:
                assert connection.execute("SELECT base FROM runbundle_slots WHERE version = '7'").fetchone() == ("6",)
                connection.execute(statement)
            with pytest.raises(StateCorrupt):
                store.get_checkpoint("t")


FORKS = """
import os
from runbundle.runstate import RunRecord, from_url
store = from_url({url!r})
store.create_run(RunRecord("parent"))
child = os.fork()
store.create_run(RunRecord("forked" if child == 0 else "after"))
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert {{run.run_id for run in store.list_runs()}} == {{"parent", "forked", "after"}}
store.close()
"""


@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
def test_a_forked_child_has_connections_of_its_own(
    backend: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Parent and child both write after a fork, through the store that was open."""
    url = request.getfixturevalue("postgres_url") if backend == "postgres" else str(tmp_path / "s.sqlite")
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS.format(url=url)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("backend", ["sqlite", "postgres", "serializable"])
def test_first_users_at_once_make_the_tables_once(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Eight that open an empty database at the same time all work, and none makes what another has made."""
    url = str(tmp_path / "s.sqlite") if backend == "sqlite" else request.getfixturevalue("postgres_url")
    if backend == "serializable":
        url += "%20-cdefault_transaction_isolation%3Dserializable"
    failures: list[BaseException] = []
    ready = threading.Barrier(8)

    def use(name: str) -> None:
        try:
            with from_url(url) as store:
                ready.wait()
                store.create_run(RunRecord(name))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(name,)) for name in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with from_url(url) as store:
        assert len(store.list_runs()) == 8


def test_leases_go_by_the_clock_of_the_server(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose clock is years off neither takes leases early nor holds them too long."""
    now = time.time()
    with PostgresRunStore(postgres_url) as store:
        store.create_run(RunRecord("r"))
        monkeypatch.setattr(time, "time", lambda: now + 1e9)
        lease = store.acquire_lease("r", "a", 60)
        assert abs(lease.expires_at - 60 - now) < 60
        with pytest.raises(StateConflict):
            store.acquire_lease("r", "b", 60)


def test_a_lost_connection_is_an_error_once(postgres_url: str) -> None:
    """When the server has dropped the connections, a call says so, and the next ones work."""
    import psycopg

    with PostgresRunStore(f"{postgres_url}&application_name=to-be-lost", pool_size=1) as store:
        store.create_run(RunRecord("r"))
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'to-be-lost'"
            )
        with pytest.raises(StateUnavailable) as caught:
            store.update_run(RunRecord("r", payload=Payload("x", b"CANARY"), revision=1))
        assert "CANARY" not in str(caught.value)
        assert store.get_run("r").revision == 1


def test_servers_that_cannot_be_used_are_clear_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """None there, no URL, no driver; no error repeats a password."""
    with (
        PostgresRunStore("postgresql://u:CANARY@127.0.0.1:1/x", wait_s=0.2) as store,
        pytest.raises(StateUnavailable) as caught,
    ):
        store.list_runs()
    assert "CANARY" not in str(caught.value)
    with pytest.raises(ConfigError) as refused:
        from_url("postgresql://u:CANARY@[x/")
    assert "CANARY" not in str(refused.value)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"runbundle\[postgres\]"):
        from_url("postgresql://localhost/x")


def test_another_default_isolation_changes_nothing(postgres_url: str) -> None:
    """Who has waited for a thread sees what was committed meanwhile, whatever the database is set to."""
    url = f"{postgres_url}%20-cdefault_transaction_isolation%3Dserializable"
    with PostgresRunStore(url) as one, PostgresRunStore(url) as two:
        for number in (5, 6):
            crash.put(one, "t", number)
        late = CheckpointRecord(
            CheckpointKey("t", "", "0007"), Payload("x", b""), parent_id="0005", slots={"log": "7"}
        )  # fmt: skip
        writer = threading.Thread(target=lambda: two.put_checkpoint(late, {"log": crash.slot(7)}))
        statements = 0

        def before() -> None:
            nonlocal statements
            statements += 1
            if statements == 3:  # of the pruner, who has the thread by now
                writer.start()
                writer.join(0.5)
                assert writer.is_alive()

        two.list_runs()
        one.watch(before)
        one.prune(["t"])
        writer.join(30)
        assert not writer.is_alive()
        found = one.get_checkpoint("t")
        assert found is not None
        assert found.slot_payloads == {"log": crash.slot(7)}


def test_a_run_is_deleted_from_every_thread_or_not_at_all(postgres_url: str) -> None:
    """A checkpoint that comes to another thread amid the deletion, together with its run, does not outlive the run."""
    with PostgresRunStore(postgres_url) as one, PostgresRunStore(postgres_url) as two:
        two.create_run(RunRecord("r"))
        two.put_checkpoint(CheckpointRecord(CheckpointKey("t", "", "1"), Payload("x", b""), run_id="r"), {})
        late = CheckpointRecord(CheckpointKey("u", "", "1"), Payload("x", b""), run_id="r")
        statements = 0

        def before() -> None:
            nonlocal statements
            statements += 1
            if statements == 3:  # by now it knows of the one thread
                two.put_checkpoint(late, {}, run=RunRecord("r", revision=1))

        one.watch(before)
        with pytest.raises(StateConflict):
            one.delete_runs(["r"])
        one.watch(None)
        assert one.get_run("r").revision == 2
        assert len(one.find_checkpoints(run_id="r")) == 2
        one.delete_runs(["r"])
        assert one.find_checkpoints() == []


@pytest.mark.alone
def test_all_who_wait_for_an_absent_server_wait_at_once() -> None:
    """Not one after the other: each is told after twice the time at most, however many there are."""
    began, told = time.monotonic(), list[float]()

    def use() -> None:
        with pytest.raises(StateUnavailable):
            store.list_runs()
        told.append(time.monotonic() - began)

    with PostgresRunStore("postgresql://u@127.0.0.1:1/x", wait_s=1) as store:
        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(told) == 8
    assert max(told) < 5


def test_a_later_version_of_the_tables_is_refused(postgres_url: str) -> None:
    """The error says to upgrade, and nothing is touched."""
    import psycopg

    with PostgresRunStore(postgres_url) as store:
        store.list_runs()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("INSERT INTO runbundle_schema VALUES (99)")
    with PostgresRunStore(postgres_url) as store, pytest.raises(ConfigError, match="later version"):
        store.list_runs()


def test_urls_name_run_stores(tmp_path: Path) -> None:
    """Paths, sqlite:/// and postgresql:// are known; others say what is."""
    for url in (str(tmp_path / "a b.sqlite"), f"sqlite://{tmp_path}/a%20b.sqlite"):
        store = from_url(url, tenant="acme")
        assert isinstance(store, SqliteRunStore)
        assert (store.path, store.tenant) == (tmp_path / "a b.sqlite", "acme")
    assert isinstance(from_url("postgresql://localhost/x"), PostgresRunStore)
    for bad in ("sqlite://host/x", "sqlite:///", "mysql://x/y"):
        with pytest.raises(ConfigError):
            from_url(bad)


def test_the_file_lies_beside_the_artifact_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that no key of the store leads to, unless another is named."""
    local = LocalStore(tmp_path / "store")
    assert run_state_of(local) == tmp_path / "store" / ".state" / "runbundle.sqlite"
    with SqliteRunStore(run_state_of(local)) as store:
        store.create_run(RunRecord("r"))
    assert list(local.list()) == []
    assert run_state_of(MemoryStore()) == Path(".runbundle/.state/runbundle.sqlite")
    monkeypatch.setenv("RUNBUNDLE_STATE", str(tmp_path / "named"))
    assert run_state_of(local) == tmp_path / "named" / "runbundle.sqlite"


def test_importing_brings_no_extra() -> None:
    """The package loads without the drivers, LangGraph and cryptography; LangGraph's module names its extra."""
    code = """
import sys
for name in ("psycopg", "psycopg_pool", "cryptography", "langgraph", "langchain_core"):
    sys.modules[name] = None
import runbundle.runstate
try:
    import runbundle.integrations.langgraph.saver
except runbundle.ConfigError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}, check=True)
    assert "runbundle[langgraph]" in ran.stdout
