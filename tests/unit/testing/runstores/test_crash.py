"""The crash harness kills an operation at each of its statements, and what it leaves can be compared."""

import subprocess
import sys
from pathlib import Path

import pytest

from runbundle.runstate import SqliteRunStore
from runbundle.testing.runstores import crash
from runbundle.testing.runstores.hooks import RunStoreHooks, crash_snapshot


@pytest.mark.parametrize("operation", sorted(crash.OPERATIONS))
def test_each_operation_changes_what_the_snapshot_shows(operation: str, tmp_path: Path) -> None:
    """Two threads prepared alike have the same snapshot, whatever their names; after the operation it is another."""
    with SqliteRunStore(tmp_path / "s.sqlite") as store:
        for thread in ("one", "two"):
            crash.prepare(store, thread)
        before = crash_snapshot(store, "one")
        assert crash_snapshot(store, "two") == before
        crash.OPERATIONS[operation](store, "one")
        assert crash_snapshot(store, "one") != before
        assert crash_snapshot(store, "two") == before


def test_an_operation_is_killed_once_at_each_statement(tmp_path: Path) -> None:
    """The count is that of its statements, and one more for the child that completes it."""
    with SqliteRunStore(tmp_path / "s.sqlite") as store:
        crash.prepare(store, "t")
        statements: list[int] = []
        store.watch(lambda: statements.append(1))
        crash.OPERATIONS["delete"](store, "t")
        store.watch(None)
        code = f"from runbundle.runstate import SqliteRunStore\nstore = SqliteRunStore({str(store.path)!r})"
        ran = subprocess.run(
            [sys.executable, "-m", "runbundle.testing.runstores.crash", "delete"],
            input=code, capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        assert int(ran.stdout) == len(statements) + 1


def test_an_operation_that_fails_otherwise_is_an_error() -> None:
    """It does not pass for one that was killed."""
    ran = subprocess.run(
        [sys.executable, "-m", "runbundle.testing.runstores.crash", "delete"],
        input="store = None", capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode != 0
    assert "the operation failed" in ran.stderr


def test_an_author_has_three_hooks_to_fill() -> None:
    """None of them has a default that would pass unnoticed."""
    assert RunStoreHooks.__abstractmethods__ == {"make_store", "reopen", "code_to_open"}
