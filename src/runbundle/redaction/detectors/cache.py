"""The user's cache folder, for data that takes long to build: `RUNBUNDLE_CACHE`, else `$XDG_CACHE_HOME/runbundle`, else
`~/.cache/runbundle`.

The folder is 0700 and its files 0600. A file that another user owns or can access is not used, since rules that
somebody else chose would let through what they like. Nothing raw is kept here; what bundles say, redacted, is kept in
folders below (indexes of stores, span columns of runs).
"""

import contextlib
import os
from pathlib import Path

from runbundle import settings
from runbundle.process.disk import make_folder, replace


def read(name: str) -> bytes | None:
    """Return the bytes that were kept under `name`, or None. Never raises `OSError`."""
    try:
        path = folder() / name
        status = path.stat()
        if status.st_uid == os.getuid() and not status.st_mode & 0o077:
            return path.read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: no home directory
        pass
    return None


def write(name: str, data: bytes) -> None:
    """Keep `data` under `name`. If that fails, the next process builds it again; nothing is raised."""
    with contextlib.suppress(OSError, RuntimeError):
        place = folder()
        make_folder(place)
        replace(place / name, data)


def folder() -> Path:
    """Return our folder in the user's cache. Raises `RuntimeError` if there is no home directory."""
    named = settings.variable("RUNBUNDLE_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "runbundle"
