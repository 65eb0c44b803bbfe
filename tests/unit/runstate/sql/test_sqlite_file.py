"""SQLite's locks are a process's, not a connection's: what this process does must not let go of them by accident."""

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runbundle.errors import StateUnavailable
from runbundle.runstate import RunRecord, SqliteRunStore
from runbundle.runstate.sql.sqlite_file import SqliteFile

OTHER = """
import sys
from runbundle.runstate import SqliteRunStore
with SqliteRunStore(sys.argv[1]) as store:
    print(*sorted(run.run_id for run in store.list_runs()))
"""


def seen_by_another(path: Path) -> list[str]:
    """Have another process open the file, list its runs, and close it as the last one would."""
    ran = subprocess.run([sys.executable, "-c", OTHER, str(path)], capture_output=True, text=True, check=True)
    return ran.stdout.split()


def test_a_second_store_does_not_take_the_firsts_locks_away(tmp_path: Path) -> None:
    """Another process that closes the file finds it in use, and leaves the write-ahead log where it is."""
    path = tmp_path / "s.sqlite"
    with SqliteRunStore(path) as one, SqliteRunStore(path) as two:
        one.create_run(RunRecord("a"))
        two.list_runs()
        assert seen_by_another(path) == ["a"]
        one.create_run(RunRecord("b"))
        assert seen_by_another(path) == ["a", "b"]


FORK = """
import os, sys
from runbundle.runstate import RunRecord, SqliteRunStore
from runbundle.runstate.sql.sqlite_file import SqliteFile
store = SqliteRunStore(sys.argv[1])
store.create_run(RunRecord("parent"))
reading, writing = os.pipe()
ready, tell = os.pipe()
child = os.fork()
if child == 0:
    store.create_run(RunRecord("first"))
    os.write(tell, b"x")
    os.read(reading, 1)
    store.create_run(RunRecord("second"))
    os._exit(0)
os.read(ready, 1)
store.close()
os.write(writing, b"x")
assert os.waitpid(child, 0)[1] == 0
assert {run.run_id for run in store.list_runs()} == {"parent", "first", "second"}, store.list_runs()
store.close()
"""


def test_a_forked_child_holds_locks_of_its_own(tmp_path: Path) -> None:
    """When the parent closes the file, what the child writes afterwards is not lost."""
    command = [sys.executable, "-W", "ignore", "-c", FORK, str(tmp_path / "s.sqlite")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


FORK_AMID = """
import os, sys, threading
from runbundle.runstate import RunRecord, SqliteRunStore
from runbundle.runstate.sql.sqlite_file import SqliteFile
from runbundle.runstate.sql import sqlite_file
store = SqliteRunStore(sys.argv[1])
store.list_runs()
sqlite_file.BUSY_S = 1
writing, count = threading.Event(), 0

def before():
    global count
    count += 1
    if count == 2:
        writing.set()
        threading.Event().wait(0.3)

store.watch(before)
writer = threading.Thread(target=lambda: store.create_run(RunRecord("parent")))
writer.start()
writing.wait()
child = os.fork()
store.watch(None)
if child == 0:
    store.create_run(RunRecord("child"))
    os._exit(0)
writer.join()
assert os.waitpid(child, 0)[1] == 0
assert {run.run_id for run in store.list_runs()} == {"parent", "child"}
store.close()
"""


def test_a_fork_amid_a_transaction_lets_both_processes_write(tmp_path: Path) -> None:
    """The child does not inherit the belief that someone in it is writing."""
    command = [sys.executable, "-W", "ignore", "-c", FORK_AMID, str(tmp_path / "s.sqlite")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


def test_files_beside_are_private_too(tmp_path: Path) -> None:
    """A write-ahead log that a crash left behind readable is made 0600, as the file is; a folder is left alone."""
    path = tmp_path / "s.sqlite"
    script = (
        "import os, sys; from runbundle.runstate import *; s = SqliteRunStore(sys.argv[1]);"
        " s.create_run(RunRecord('r')); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    beside = [path.with_name(f"s.sqlite{end}") for end in ("", "-wal", "-shm")]
    for file in beside:
        file.chmod(0o644)
    with SqliteRunStore(path) as store:
        assert store.get_run("r").revision == 1
        assert [file.stat().st_mode & 0o777 for file in beside] == [0o600] * 3
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o755)
    with SqliteRunStore(folder) as store, pytest.raises(StateUnavailable):
        store.list_runs()
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_link_to_where_no_file_is_yet_is_followed(tmp_path: Path) -> None:
    """The file is made where the link leads."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "s.sqlite")
    with SqliteRunStore(tmp_path / "link") as store:
        store.create_run(RunRecord("r"))
    assert (tmp_path / "disk" / "s.sqlite").stat().st_mode & 0o777 == 0o600


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forks_and_writers_at_once_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Threads that write and threads that fork all come to an end."""
    with SqliteRunStore(tmp_path / "s.sqlite") as store, SqliteRunStore(tmp_path / "t.sqlite") as other:

        def write(name: str) -> None:
            for number in range(10):
                store.create_run(RunRecord(f"{name}-{number}"))
                other.create_run(RunRecord(f"{name}-{number}"))

        def fork() -> None:
            for _ in range(5):
                child = os.fork()
                if child == 0:
                    os._exit(0)
                os.waitpid(child, 0)

        threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
        threads += [threading.Thread(target=fork) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        assert len(store.list_runs()) == len(other.list_runs()) == 20


def test_a_fork_leaves_the_connection_to_a_thread_that_is_using_it(tmp_path: Path) -> None:
    """Ahead of a fork an idle connection is closed; one in use stays the parent's, and the child opens its own."""
    file = SqliteFile(tmp_path / "s.sqlite")
    with file.connection() as first:
        file.before_fork()
        assert first.execute("SELECT 1").fetchone() == (1,)
        file.after_fork()
        file.before_fork()
        file.after_fork_in_child()
    with file.connection() as second:
        assert second is not first
    first.execute("SELECT 1")  # not closed: it is the parent's
    first.close()
    file.before_fork()
    file.after_fork()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        second.execute("SELECT 1")
    file.close()
