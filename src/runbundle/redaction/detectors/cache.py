"""What takes long to build, kept in the user's cache folder: `RUNBUNDLE_CACHE`, else `$XDG_CACHE_HOME/runbundle`, else
`~/.cache/runbundle`.

The folder is 0700 and its files 0600; a file that another user owns or may write is not believed, since rules that
somebody else has chosen would let through what they like. Nothing that was redacted is ever kept here.
"""

import contextlib
import os
from pathlib import Path

from runbundle import settings
from runbundle.process.disk import make_folder, replace


def read(name: str) -> bytes | None:
    """Return what was kept under `name`, or None."""
    try:
        path = folder() / name
        status = path.stat()
        if status.st_uid == os.getuid() and not status.st_mode & 0o077:
            return path.read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: no home directory
        pass
    return None


def write(name: str, data: bytes) -> None:
    """Keep `data` under `name`; where that is not possible, the next process builds it again."""
    with contextlib.suppress(OSError, RuntimeError):
        place = folder()
        make_folder(place)
        replace(place / name, data)


def folder() -> Path:
    """Return the user's cache folder for what is ours. Raises `RuntimeError` if there is no home."""
    named = settings.variable("RUNBUNDLE_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "runbundle"
