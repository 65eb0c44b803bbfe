"""Seal: an assembled bundle becomes a committed one. Files first, run.json last; its presence is the commit mark."""

from runbundle.bundle.assemble import Assembled
from runbundle.errors import AlreadyExists, WriteConflict
from runbundle.store import ArtifactStore


def seal(store: ArtifactStore, bundle: Assembled) -> str:
    """Write the bundle, create-only, and return its key.

    Sealing the same bundle twice changes nothing. Files left by a seal that was cut off before run.json are
    replaced. Raises `WriteConflict` if another bundle is sealed under this run id, and `StoreUnavailable` if the
    store cannot be written; either way nothing that was sealed has changed.
    """
    if store.exists(f"{bundle.key}/run.json"):
        return _sealed_before(store, bundle)
    files = {f"{bundle.key}/{path}": data for path, data in bundle.files.items()}
    try:
        store.put_all(files)
    except AlreadyExists:
        for key, data in files.items():
            if not store.exists(key) or store.get(key) != data:
                if store.exists(f"{bundle.key}/run.json"):
                    return _sealed_before(store, bundle)
                store.put(key, data, overwrite=True)
    try:
        store.put(f"{bundle.key}/run.json", bundle.index)
    except AlreadyExists:
        return _sealed_before(store, bundle)
    return bundle.key


def _sealed_before(store: ArtifactStore, bundle: Assembled) -> str:
    if store.get(f"{bundle.key}/run.json") == bundle.index:
        return bundle.key
    raise WriteConflict(
        f"run {bundle.run_id} is already sealed with other content",
        hint="give each run an id of its own; the records of this one stay in the spool",
    )
