"""One store of each backend, for laws that both keep."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbundle.runstate import PostgresRunStore, SqliteRunStore
from runbundle.runstate.sql import SqlRunStore


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlRunStore]:
    """A new store in a database."""
    made = (
        SqliteRunStore(tmp_path / "s.sqlite")
        if request.param == "sqlite"
        else PostgresRunStore(request.getfixturevalue("postgres_url"))
    )
    with made as opened:
        yield opened
