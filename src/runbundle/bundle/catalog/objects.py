"""The index of an object store: objects under `.index`, beside the bundles. Readers also work without them.

Each seal adds one small object, `rows/<name>`. One seal in a hundred, and `runbundle index`, write all rows into one
object, `packs/<digest>`, and then delete the objects that it replaces, so no row is ever missing. Several may do so at
once; rows are then stored twice, and of the rows of one bundle that of the highest revision counts. Readers do not
write.

Each function is given the place of the index, as `ArtifactStore.beside` returns it.
"""

import contextlib
import gzip
from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor

import orjson

from runbundle.bundle.catalog.rows import Row, checked_row
from runbundle.errors import AlreadyExists, KeyNotFound, StoreUnavailable
from runbundle.format.canonical import sha256_hex
from runbundle.store import ArtifactStore

_PACKED_EVERY = 100  # rows, by their names: no seal need know how many there are


def add_row(beside: ArtifactStore, row: Row) -> None:
    """Add the row of a bundle that was just sealed, with one request; one call in a hundred also packs all rows."""
    data = orjson.dumps(tuple(row))
    name = sha256_hex(data)
    with contextlib.suppress(AlreadyExists):
        beside.put(f"rows/{name}", data)
    if int(name[:8], 16) % _PACKED_EVERY == 0:
        pack(beside)


def pack(beside: ArtifactStore) -> None:
    """Put all rows together into one object. Raises `KeyNotFound` if somebody else is doing so."""
    names = list(beside.list())
    write_pack(beside, _loaded(beside, names), instead_of=names)


def load_rows(beside: ArtifactStore) -> list[Row]:
    """Return all rows. Some may be of bundles that are gone."""
    return new_rows(beside, ())[1]


def new_rows(beside: ArtifactStore, seen: Container[str]) -> tuple[list[str], list[Row]]:
    """Return the names of all objects of the index, and the rows in those that were not `seen`: none ever changes."""
    for _ in range(5):
        names = list(beside.list())
        with contextlib.suppress(KeyNotFound):  # somebody has packed meanwhile: look again
            return names, _loaded(beside, [name for name in names if name not in seen])
    raise StoreUnavailable(f"the index of {beside.url} changes all the time", hint="try again")


def _loaded(beside: ArtifactStore, names: list[str]) -> list[Row]:
    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(beside.get, names))
    rows: dict[str, Row] = {}
    for name, body in zip(names, bodies, strict=True):
        for row in _rows_of(name, body):
            if row.key not in rows or _rank(row) > _rank(rows[row.key]):
                rows[row.key] = row
    return list(rows.values())


def _rows_of(name: str, body: bytes) -> list[Row]:
    """Read one object of the index; none of a damaged one. A reader reads the bundles of what is missing again."""
    try:
        values = orjson.loads(gzip.decompress(body)) if name.startswith("packs/") else [orjson.loads(body)]
        return [row for row in map(checked_row, values) if row is not None]
    except (ValueError, TypeError, OSError, EOFError):
        return []


def write_pack(beside: ArtifactStore, rows: list[Row], *, instead_of: list[str]) -> None:
    """Write all rows as one object, then delete the objects named in `instead_of`."""
    data = gzip.compress(orjson.dumps([tuple(row) for row in sorted(rows, key=lambda row: row.key)]), 6, mtime=0)
    name = f"packs/{sha256_hex(data)}"
    with contextlib.suppress(AlreadyExists):
        beside.put(name, data)
    beside.discard([old for old in instead_of if old != name])


def _rank(row: Row) -> tuple[int, bool]:
    return row.revision, row.acts is not None
