"""An index lies where others can write: what it says is checked, and bundles have the last word."""

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runbundle.bundle.catalog.cache_file import index_file
from runbundle.bundle.catalog.index import index_of
from runbundle.bundle.catalog.locate import resolve
from runbundle.bundle.catalog.rows import Row, checked_row
from runbundle.bundle.custody.retention import plan
from runbundle.bundle.search.filters import RunFilter
from runbundle.cli.main import group
from runbundle.errors import KeyNotFound
from runbundle.store import LocalStore
from tests.support.golden import add

JUNK: list[Any] = [
    None,
    -1,
    2**62,
    1.5,
    b"\xff",
    "x" * 300,
    "../../etc",
    "/etc/passwd",
    "\x1b[31m",
    "",
    "9999-99-99T99",
]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A store with three runs and an index."""
    made = LocalStore(tmp_path / "s")
    for number, key in enumerate(("a", "b", "c")):
        add(made, key, number)
    index_of(made).close()
    return made


def _index(store: LocalStore) -> Path:
    found = index_file(store)
    assert found is not None
    return found


@pytest.mark.parametrize("junk", JUNK, ids=[str(n) for n in range(len(JUNK))])
@pytest.mark.parametrize("column", Row._fields)
def test_no_value_of_any_column_raises_or_removes(store: LocalStore, column: str, junk: Any) -> None:
    """It is told from a row that we wrote and read again, or it concerns the listing alone."""
    with sqlite3.connect(_index(store)) as db:
        db.execute(f"UPDATE OR IGNORE runs SET {column} = ? WHERE key = 'b'", [junk])
    db.close()
    for command in ("ls", "ls --tool x", "show @last", "gc --keep-last 3", "ls --format json", "index", "hold b"):
        result = CliRunner().invoke(group, [*command.split(), "--store", str(store.root)])
        assert result.exception is None or isinstance(result.exception, SystemExit), (command, result.exception)
    assert all((store.root / key / "run.json").exists() for key in "abc")


def test_a_malformed_row_has_the_index_made_again(store: LocalStore) -> None:
    """From the bundles, which are all there."""
    with sqlite3.connect(_index(store)) as db:
        db.execute("UPDATE runs SET status = 5 WHERE key = 'b'")
    db.close()
    index = index_of(store)
    assert sorted(row.key for row in index.runs(RunFilter())) == ["a", "b", "c"]
    index.close()


def test_the_last_run_is_that_of_the_bundles_whatever_the_index_says(store: LocalStore) -> None:
    """A row may say what it likes of when its run began."""
    with sqlite3.connect(_index(store)) as db:
        db.execute("UPDATE runs SET started_at = '2099-01-01T00:00:00.000000000Z' WHERE key = 'a'")
    db.close()
    assert resolve(store, "@last")[1] == "c"


def test_a_row_without_a_bundle_leads_nowhere(store: LocalStore, tmp_path: Path) -> None:
    """A key that is no key is not looked up, and nothing is removed by a row alone."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "run.json").write_text("{}")
    with sqlite3.connect(_index(store)) as db:
        db.execute("UPDATE runs SET key = '../outside', run_id = 'zz' WHERE key = 'a'")
    db.close()
    with pytest.raises(KeyNotFound):
        resolve(store, "zz")
    assert "../outside" not in [verdict.key for verdict in plan(store, older_than=None, keep_last=0)]
    assert (tmp_path / "outside" / "run.json").exists()


def test_an_index_that_is_no_file_is_not_opened(store: LocalStore, tmp_path: Path) -> None:
    """A link, or a pipe: the store is read instead."""
    for make in (lambda at: at.symlink_to(tmp_path / "elsewhere"), os.mkfifo, os.mkdir):
        at = _index(store)
        at.unlink(missing_ok=True)
        make(at)
        index = index_of(store)
        assert len(index.runs(RunFilter())) == 3
        index.close()
        assert not (tmp_path / "elsewhere").exists()
        at.unlink() if not at.is_dir() else None


def test_values_of_another_shape_are_no_row() -> None:
    """Too few, too many, or of another kind."""
    assert checked_row([]) is None
    assert checked_row(["a"] * 40) is None
    assert checked_row(tuple(Row("a", "a", "unsealed"))) is not None
