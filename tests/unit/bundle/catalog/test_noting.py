"""Seals write into an index by a connection that stays open: whatever happens to the file, rows go to the right one."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runbundle.bundle.catalog import noting
from runbundle.bundle.catalog.cache_file import index_file
from runbundle.bundle.catalog.database import connect
from runbundle.bundle.catalog.index import NewBundle, add_all_to_index, add_to_index
from runbundle.store import LocalStore
from tests.support.golden import add
from tests.support.stores import keys


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    """Begin and end without open connections."""
    noting.close()
    yield
    noting.close()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Record which files are connected to."""
    seen: list[Path] = []

    def connecting(path: Path, **options: Any) -> sqlite3.Connection:
        seen.append(path)
        return connect(path, **options)

    monkeypatch.setattr(noting, "connect", connecting)
    return seen


def seal(store: LocalStore, *names: str) -> None:
    """Seal bundles, and have their rows written."""
    add_all_to_index(store, [NewBundle(name, add(store, name, 1)) for name in names])


def rows(store: LocalStore) -> list[str]:
    """Return the keys in the file that readers will find."""
    path = index_file(store)
    assert path is not None
    with closing(sqlite3.connect(path)) as db:
        return [key for (key,) in db.execute("SELECT key FROM runs ORDER BY key")]


def test_one_connection_serves_all_seals(tmp_path: Path, opened: list[Path]) -> None:
    """It is opened once, for batches as for single bundles; readers have their own."""
    store = LocalStore(tmp_path / "s")
    for number in range(5):
        seal(store, f"a{number}", f"b{number}")
    assert len(opened) == 1
    assert rows(store) == sorted(f"{letter}{number}" for letter in "ab" for number in range(5))
    assert len(keys(store)) == 10


def test_a_bundle_that_cannot_be_taken_up_costs_no_other(tmp_path: Path) -> None:
    """A run.json that is none has no row; its neighbours in the batch have theirs."""
    store = LocalStore(tmp_path / "s")
    data = add(store, "a", 1)
    add_all_to_index(store, [NewBundle("x", b"nonsense"), NewBundle("a", data), NewBundle("y", b"{}")])
    assert rows(store) == ["a"]


def test_an_index_that_is_deleted_or_replaced_is_opened_anew(tmp_path: Path, opened: list[Path]) -> None:
    """Rows do not go into a file that nobody will read; those that were lost readers find."""
    store = LocalStore(tmp_path / "s")
    seal(store, "a")
    path = index_file(store)
    assert path is not None
    path.unlink()
    seal(store, "b")
    assert rows(store) == ["b"]
    shutil.copy(path, tmp_path / "other")
    (tmp_path / "other").replace(path)
    seal(store, "c")
    assert rows(store) == ["b", "c"]
    assert len(opened) == 3
    assert keys(store) == sorted(["a", "b", "c"], reverse=True)


def test_a_damaged_index_is_replaced(tmp_path: Path) -> None:
    """Also while it is open: by another with the rows of this batch, and readers find the others."""
    store = LocalStore(tmp_path / "s")
    seal(store, "a")
    path = index_file(store)
    assert path is not None
    with path.open("r+b") as file:
        file.write(b"\xff" * path.stat().st_size)
    seal(store, "b")
    assert rows(store) == ["b"]
    assert len(keys(store)) == 2


def test_another_folder_at_the_same_path_gets_none_of_the_old_rows(tmp_path: Path) -> None:
    """The store was moved away, and another is there now."""
    store = LocalStore(tmp_path / "s")
    seal(store, "a")
    (tmp_path / "s").rename(tmp_path / "old")
    seal(store, "b")
    assert rows(store) == ["b"]


def test_a_locked_index_loses_the_rows_and_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process has it for too long: nothing is raised, readers find the run, the next seal adds its own."""
    monkeypatch.setattr(noting, "_BUSY_S", 0.01)
    store = LocalStore(tmp_path / "s")
    seal(store, "a")
    path = index_file(store)
    assert path is not None
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        noting.close()
        seal(store, "b")
        seal(store, "c")
    seal(store, "d")
    assert rows(store) == ["a", "d"]
    assert len(keys(store)) == 4


def test_only_the_last_used_are_kept(tmp_path: Path, opened: list[Path]) -> None:
    """A process with many stores does not hold a file open for each."""
    stores = [LocalStore(tmp_path / str(number)) for number in range(noting.MOST_KEPT + 1)]
    for store in stores:
        seal(store, "a")
    seal(stores[1], "b")
    assert len(opened) == noting.MOST_KEPT + 1
    seal(stores[0], "b")
    assert len(opened) == noting.MOST_KEPT + 2
    assert rows(stores[0]) == ["a", "b"]


def test_threads_write_one_after_another(tmp_path: Path, opened: list[Path]) -> None:
    """Several sealers of one process over one store, and readers beside them: every row is there."""
    store = LocalStore(tmp_path / "s")

    def work(name: str) -> None:
        for number in range(10):
            data = add(store, f"{name}{number}", number)
            add_to_index(store, f"{name}{number}", data)
            if number % 4 == 0:
                keys(store)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows(store)) == 40
    assert len(opened) == 1


def test_a_reader_does_not_take_the_lock_from_a_seal(tmp_path: Path) -> None:
    """To open and close the file itself would: locks of SQLite are of the process, and gone with any descriptor."""
    store = LocalStore(tmp_path / "s")
    seal(store, "a")
    path = index_file(store)
    assert path is not None
    with closing(connect(path, any_thread=True)) as ours:
        ours.execute("BEGIN IMMEDIATE")
        connect(path).close()
        code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
        other = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
        assert "locked" in other.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_child_has_a_connection_of_its_own(tmp_path: Path) -> None:
    """None is open when it begins; parent and child go on, and the rows of both are there."""
    store = LocalStore(tmp_path / "s")
    seal(store, "a")
    path = index_file(store)
    assert path is not None
    datas = {name: add(store, name, 1) for name in ("child", "parent")}
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            held = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]  # noqa: PTH208
            add_to_index(store, "child", datas["child"])
            code = int(str(path.resolve()) in held)
        finally:
            os._exit(code)
    add_to_index(store, "parent", datas["parent"])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert rows(store) == ["a", "child", "parent"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_fork_waits_for_rows_that_are_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No child begins in the middle of a transaction."""
    store = LocalStore(tmp_path / "s")
    data = add(store, "a", 1)
    begun, go_on = threading.Event(), threading.Event()
    real = noting.save

    def slow(*arguments: Any) -> None:
        begun.set()
        go_on.wait(30)
        real(*arguments)

    monkeypatch.setattr(noting, "save", slow)
    thread = threading.Thread(target=add_to_index, args=(store, "a", data))
    thread.start()
    assert begun.wait(30)
    threading.Timer(0.1, go_on.set).start()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if go_on.is_set() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    thread.join()
    assert rows(store) == ["a"]
