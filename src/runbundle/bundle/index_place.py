"""Where the index of a store is kept for a user: in a cache folder, so that who reads a store writes nothing into it.

`RUNBUNDLE_CACHE`, else `XDG_CACHE_HOME`/runbundle, else `~/.cache/runbundle`; below it `index/`, a file a store, named
by a digest of the store's URL. Anything there may be deleted at any time.
"""

import contextlib
import hashlib
import os
from pathlib import Path

from runbundle.store import ArtifactStore, LocalStore
from runbundle.store.url import canonical_url

_MOST_KEPT = 200
"""Files of stores that were used last; those of others are removed when a new one is made."""


def index_file(store: ArtifactStore) -> Path | None:
    """Return where the index of a store lies, in a folder that is there; None if there is no place for it."""
    try:
        folder = _cache() / "index"
        name = hashlib.sha256(os.fsencode(canonical_url(store.url))).hexdigest()[:32]
        path = folder / f"{name}.sqlite"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _prune(folder)
    except (OSError, RuntimeError):  # there is no home, or it cannot be written
        return None
    return path


def root_of(store: LocalStore) -> str:
    """Return what tells the folder of a store from another that comes to lie under its name."""
    try:
        status = store.root.stat()
    except OSError:
        return ""
    return f"{status.st_dev} {status.st_ino}"


def _cache() -> Path:
    named = os.environ.get("RUNBUNDLE_CACHE", "").strip()
    if named:
        return Path(named).expanduser().absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "runbundle"


def _prune(folder: Path) -> None:
    dated: list[tuple[float, Path]] = []
    for path in folder.glob("*.sqlite"):
        with contextlib.suppress(OSError):
            dated.append((path.stat().st_mtime, path))
    for _, path in sorted(dated)[: -_MOST_KEPT or None]:
        with contextlib.suppress(OSError):
            path.unlink()
