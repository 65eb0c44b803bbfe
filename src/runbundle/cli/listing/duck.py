"""DuckDB over the rows of bundles: filled first, then closed to files and network, and only then asked."""

import re
import tempfile
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson

from runbundle.bundle.search.tables import TABLES, rows_of
from runbundle.cli.listing.choosing import Reading
from runbundle.errors import ConfigError
from runbundle.store import ArtifactStore

_CLOSED = (
    "SET python_enable_replacements = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET temp_directory = ''",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
"""What closes the database: no file, no network, no extension, no variable of this program; and nothing opens it."""
_READS = ("SELECT", "EXPLAIN")


class Answer(NamedTuple):
    """What a query gave."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def ask(store: ArtifactStore, keys: Iterable[str], query: str) -> Answer:
    """Return the answer of one query over the tables of bundles. Only tables that the query names are filled.

    Raises `ConfigError` if DuckDB is not installed, and for a query that fails or is no single reading statement.
    """
    duckdb = _duckdb()
    db = duckdb.connect(":memory:")
    try:
        _require_reading(duckdb, db, query)
        named = frozenset(table for table in TABLES if re.search(rf"\b{table}\b", query, re.IGNORECASE))
        _fill(db, store, keys, named)
        for statement in _CLOSED:
            db.execute(statement)
        found = db.execute(query)
        columns = [str(column[0]) for column in found.description or ()]
        return Answer(columns, [tuple(row) for row in found.fetchall()])
    except duckdb.Error as error:
        first, *rest = str(error).strip().split("\n")
        raise ConfigError(f"the query failed: {first}", hint="runbundle sql --tables lists the tables",
                          lines=tuple(line for line in rest if line.strip())[:12]) from None  # fmt: skip
    finally:
        db.close()


def _duckdb() -> Any:
    try:
        return import_module("duckdb")
    except ImportError:
        raise ConfigError("sql needs DuckDB, which is not installed", hint="pip install 'runbundle[sql]'") from None


def _require_reading(duckdb: Any, db: Any, query: str) -> None:
    statements = db.extract_statements(query)
    if len(statements) != 1:
        raise ConfigError(f"sql takes one statement, and these are {len(statements)}", hint="as in SELECT * FROM runs")
    if statements[0].type not in [getattr(duckdb.StatementType, kind) for kind in _READS]:
        raise ConfigError("sql only reads: the statement is no SELECT", hint="as in SELECT * FROM runs")


def _fill(db: Any, store: ArtifactStore, keys: Iterable[str], named: frozenset[str]) -> None:
    """Make all tables, and fill the named ones by way of files that only this user can read and that are removed."""
    keys = list(keys) if named else []
    progress = Reading("reading bundles")
    with tempfile.TemporaryDirectory(prefix="runbundle-sql-") as folder:
        files: dict[str, IO[bytes]] = {table: (Path(folder) / table).open("wb") for table in TABLES}
        try:
            for number, key in enumerate(keys, 1):
                for table, row in rows_of(store, key, named):
                    files[table].write(orjson.dumps(row) + b"\n")
                progress(number, len(keys))
        finally:
            for file in files.values():
                file.close()
        for table, columns in TABLES.items():
            # As text first: a value of another kind becomes NULL instead of failing the whole table.
            read = ", ".join(f"'{name}': '{'JSON' if column.kind == 'JSON' else 'VARCHAR'}'"
                             for name, column in columns.items())  # fmt: skip
            cast = ", ".join(f'TRY_CAST("{name}" AS {column.kind}) AS "{name}"' for name, column in columns.items())
            source = (
                f"read_json(?, format = 'newline_delimited', columns = {{{read}}}, maximum_object_size = 268435456)"
            )
            db.execute(f"CREATE TABLE {table} AS SELECT {cast} FROM {source}", [str(Path(folder) / table)])  # noqa: S608 - names of ours
