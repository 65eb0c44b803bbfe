"""A store kept as rows of SQLite, of the kind that a third party might write."""

import io
import sqlite3
from collections.abc import Iterator
from typing import Any, BinaryIO

from runbundle.errors import AlreadyExists, KeyChanged, KeyNotFound
from runbundle.store import ArtifactStore
from runbundle.store.base import Body, check_key, check_prefix, check_range, chunks_of


class RowStore(ArtifactStore):
    """Keys and bytes in one table of a file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.run("CREATE TABLE IF NOT EXISTS files (key TEXT PRIMARY KEY, data BLOB)")

    def run(self, statement: str, *values: Any) -> tuple[list[Any], int]:
        """Run one statement, in a transaction of its own; return its rows, and how many it has changed."""
        db = sqlite3.connect(self.path, timeout=60)
        try:
            with db:
                done = db.execute(statement, values)
                return done.fetchall(), done.rowcount
        finally:
            db.close()

    @property
    def url(self) -> str:
        """The file."""
        return f"rows://{self.path}"

    def put(self, key: str, data: Body, *, overwrite: bool = False) -> None:
        """Insert."""
        word = "REPLACE" if overwrite else "INSERT"
        try:
            self.run(f"{word} INTO files VALUES (?, ?)", check_key(key), b"".join(chunks_of(data)))
        except sqlite3.IntegrityError:
            raise AlreadyExists(f"{key} exists already") from None

    def replace(self, key: str, data: bytes, *, expected: bytes) -> None:
        """Update where the bytes are as expected."""
        self.size(key)
        if self.run("UPDATE files SET data = ? WHERE key = ? AND data = ?", data, key, expected)[1] != 1:
            raise KeyChanged(f"{key} has changed meanwhile")

    def get(self, key: str) -> bytes:
        """Select."""
        rows, _ = self.run("SELECT data FROM files WHERE key = ?", check_key(key))
        if not rows:
            raise KeyNotFound(f"nothing is stored under {key}")
        return bytes(rows[0][0])

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Cut."""
        check_range(start, length)
        return self.get(key)[start : start + length]

    def open(self, key: str) -> BinaryIO:
        """Open."""
        return io.BytesIO(self.get(key))

    def size(self, key: str) -> int:
        """Measure."""
        return len(self.get(key))

    def list(self, prefix: str = "") -> Iterator[str]:
        """Select keys."""
        check_prefix(prefix)
        rows, _ = self.run("SELECT key FROM files ORDER BY key")
        yield from (key for (key,) in rows if key.startswith(prefix))

    def list_dirs(self, prefix: str = "") -> Iterator[str]:
        """Cut keys."""
        base = f"{prefix.rstrip('/')}/" if prefix else ""
        yield from sorted({key[len(base) :].split("/")[0] for key in self.list(base) if "/" in key[len(base) :]})

    def delete(self, key: str) -> None:
        """Delete."""
        self.size(key)
        self.run("DELETE FROM files WHERE key = ?", key)
