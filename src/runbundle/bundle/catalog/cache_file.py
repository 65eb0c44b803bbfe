"""The file of an index in the user's cache folder. It is there so that reading a store writes nothing into the store.

The folder is `index/` below the cache folder, with one file for each store, named by a digest of the store's URL. Its
files may be deleted at any time.
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
"""Number of files that are kept, the last used; others are deleted when a new file is made."""


def index_file(store: ArtifactStore) -> Path | None:
    """Return the path of a store's index and make its folder; None if the cache folder cannot be used."""
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


def folder_identity(folder: Path) -> str:
    """Return the device and inode of a store's folder, which tell it from a later folder with the same path."""
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
