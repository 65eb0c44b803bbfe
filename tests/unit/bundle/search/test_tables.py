"""The tables of `sql`: what a bundle gives, and that DuckDB is asked about nothing else."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runbundle.bundle.search.tables import TABLES, rows_of
from runbundle.cli.main import group
from runbundle.store import LocalStore, MemoryStore
from tests.support.golden import KEY, V1, add

ALL = frozenset(TABLES)


def test_every_row_has_the_columns_of_its_table() -> None:
    """Of the golden bundle: a run, its spans, events and tool calls."""
    rows = list(rows_of(V1, KEY, ALL))
    assert {name for name, _ in rows} == ALL
    for name, row in rows:
        assert set(row) == set(TABLES[name]), name
    calls = {row["tool"]: row for name, row in rows if name == "tool_calls"}
    assert calls["refund"]["decision"] == "blocked"
    spans = [row for name, row in rows if name == "spans"]
    assert len(spans) == 8
    assert {span["model"] for span in spans} == {None, "demo-model-1"}
    assert all(span["started_at"].endswith("Z") for span in spans)
    assert {name for name, _ in rows_of(V1, KEY, frozenset({"runs"}))} == {"runs"}


@pytest.mark.parametrize("junk", [b"", b"[]", b"{", b'{"calls":[1,{"error":2,"arguments":[]}]}', b"\xff", b"null"])
def test_damaged_files_give_no_rows_and_raise_nothing(junk: bytes) -> None:
    """Whatever stands in each of them."""
    store = MemoryStore()
    data = add(store, "a")
    for name in ("tool_calls.json", "events.jsonl", "run.json"):
        store.put(f"a/{name}", junk, overwrite=True)
        assert len(list(rows_of(store, "a", ALL))) < 40
    store.put("a/run.json", data, overwrite=True)
    assert list(rows_of(store, "a", ALL))
    assert list(rows_of(store, "missing", ALL)) == []


def ask(store: LocalStore, query: str, *options: str) -> Result:
    """Ask in SQL."""
    return CliRunner().invoke(group, ["sql", query, "--store", str(store.root), *options])


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A store with two runs."""
    made = LocalStore(tmp_path / "s")
    add(made, "a", 1)
    add(made, "acme/b", 2, status="error")
    return made


def test_without_duckdb_it_says_what_to_install(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra, and no traceback; the tables are listed without it."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    done = ask(store, "SELECT 1")
    assert (done.exit_code, "pip install 'runbundle[sql]'" in done.output) == (2, True)
    assert "tool_calls" in CliRunner().invoke(group, ["sql", "--tables"]).output


def test_bundles_are_asked_in_sql(store: LocalStore) -> None:
    """Joined by run_key; the options choose the runs; times are times and JSON is JSON."""
    pytest.importorskip("duckdb")
    query = (
        "SELECT r.tenant, r.status, count(*) AS calls, max(c.started_at) - min(c.started_at) < INTERVAL 1 DAY AS near, "
        "any_value(r.run->>'$.schema') AS schema FROM runs r JOIN tool_calls c USING (run_key) GROUP BY ALL ORDER BY 1"
    )
    done = ask(store, query, "--format", "json")
    assert done.exit_code == 0, done.output
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert [(row["tenant"], row["status"], row["calls"], row["near"]) for row in found] == [
        ("", "ok", 3, True), ("acme", "error", 3, True),
    ]  # fmt: skip
    assert found[0]["schema"] == "runbundle/run/v1"
    assert ask(store, "SELECT count(*) FROM spans", "--tenant", "acme").output.split()[-1] == "8"
    assert "more rows not shown" in ask(store, "SELECT * FROM events", "--limit", "2").output


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_text('{file}')", "SELECT * FROM '{file}'",
        "COPY runs TO '{out}'", "ATTACH '{out}'", "INSTALL httpfs", "LOAD httpfs", "SELECT * FROM 'http://127.0.0.1/x'",
        "SELECT * FROM glob('/*')", "SET enable_external_access = true", "SELECT 1; SELECT 2", "DROP TABLE runs",
        "EXPORT DATABASE '{out}'", "SELECT getenv('HOME')", "SELECT * FROM keys", "SELECT (",
        "CREATE TABLE x AS SELECT 1", "SELECT * FROM store", "", "SELECT write_blob('{out}', 'x')",
    ],
)  # fmt: skip
def test_a_query_reads_these_tables_and_nothing_else(store: LocalStore, tmp_path: Path, query: str) -> None:
    """No file, no network, no extension, no setting, no variable of this program; and nothing is written."""
    pytest.importorskip("duckdb")
    (tmp_path / "secret.txt").write_text("a secret")
    before = sorted(tmp_path.rglob("*"))
    done = ask(store, query.format(file=tmp_path / "secret.txt", out=tmp_path / "out"))
    assert done.exit_code == 2, done.output
    assert "secret\n" not in done.output
    assert "Traceback" not in done.output
    assert sorted(tmp_path.rglob("*")) == before
