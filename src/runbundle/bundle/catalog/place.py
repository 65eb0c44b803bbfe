"""Where the index of a store is kept for a user: in a cache folder, so that who reads a store writes nothing into it.

Below that folder it is `index/`, a file a store, named by a digest of the store's URL. Anything there may be deleted at
any time.
"""

import contextlib
import hashlib
import os
from pathlib import Path

from runbundle.process.disk import make_folder
from runbundle.redaction.detectors.cache import folder
from runbundle.store import ArtifactStore
from runbundle.store.url import canonical_url

_MOST_KEPT = 200
"""Files of stores that were used last; those of others are removed when a new one is made."""


def index_file(store: ArtifactStore) -> Path | None:
    """Return where the index of a store lies, in a folder that is there; None if there is no place for it."""
    try:
        place = folder() / "index"
        name = hashlib.sha256(os.fsencode(canonical_url(store.url))).hexdigest()[:32]
        path = place / f"{name}.sqlite"
        if not path.exists():
            make_folder(place)
            _prune(place)
    except (OSError, RuntimeError):  # there is no home, or it cannot be written
        return None
    return path


def root_of(folder: Path) -> str:
    """Return what tells the folder of a store from another that comes to lie under its name."""
    try:
        status = folder.stat()
    except OSError:
        return ""
    return f"{status.st_dev} {status.st_ino}"


def _prune(place: Path) -> None:
    dated: list[tuple[float, Path]] = []
    for path in place.glob("*.sqlite"):
        with contextlib.suppress(OSError):
            dated.append((path.stat().st_mtime, path))
    for _, path in sorted(dated)[: -_MOST_KEPT or None]:
        with contextlib.suppress(OSError):
            path.unlink()
