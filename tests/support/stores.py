"""What is in a store."""

from typing import Any

from runbundle.bundle.catalog.index import index_of
from runbundle.bundle.search.filters import RunFilter
from runbundle.store import ArtifactStore


def contents(store: ArtifactStore) -> dict[str, bytes]:
    """Return everything in a store."""
    return {key: store.get(key) for key in store.list()}


def keys(store: ArtifactStore, limit: int = -1, **wanted: Any) -> list[str]:
    """Return the keys that the index has, as ls would list them."""
    index = index_of(store)
    try:
        return [row.key for row in index.runs(RunFilter(**wanted), limit)]
    finally:
        index.close()
