"""The keyring: a random key for each store, made on first use, kept for this user and never in the store.

The keyring is a folder (0700) in the user's configuration, with a file (0600) of 32 bytes for each store. Two processes
that need a key first get the same one. A file that others can read, or that another user owns, is refused: whoever
knows the key can guess the value behind a digest.
"""

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import time
from pathlib import Path
from typing import NamedTuple

from runbundle import settings
from runbundle.errors import ConfigError
from runbundle.process.disk import make_folder, sync_folder, write_synced

VARIABLE = "RUNBUNDLE_KEYS"
KEY_BYTES = 32
_PATIENCE_S = 0.2

_of_this_process: dict[str, bytes] = {}


class StoreKey(NamedTuple):
    """The key of a store."""

    key: bytes
    path: Path | None
    """The file that holds the key, or None for a key of this process only."""
    why: str = ""
    """Why the key is of this process only, or ""."""


def folder() -> Path:
    """Return the folder of keys: `RUNBUNDLE_KEYS`, else `runbundle/keys` in the user's configuration folder.

    The configuration folder is `XDG_CONFIG_HOME` if that is an absolute path, else `~/.config`. Raises `RuntimeError`
    if there is no home directory.
    """
    named = settings.variable(VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    base = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".config") / "runbundle" / "keys"


def path_of(store: str) -> Path:
    """Return the file of a store's key; `store` is its canonical URL. Raises `RuntimeError` as `folder` does."""
    return folder() / hashlib.sha256(store.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def key_of(store: str) -> StoreKey:
    """Return the key of a store, and make it if there is none. If it cannot be kept, return a key of this process.

    Raises `ConfigError` for a key file that must not be used. The error names the file and quotes nothing of it.
    """
    try:
        path = path_of(store)
        key = read(path)
        return StoreKey(_make(path) if key is None else key, path)
    except OSError as error:
        return process_key(store, error.strerror or type(error).__name__)
    except RuntimeError:
        return process_key(store, "there is no home directory")


def process_key(store: str, why: str) -> StoreKey:
    """Return the key that this process drew for a store; the first call draws it, and forked children share it."""
    return StoreKey(_of_this_process.setdefault(store, secrets.token_bytes(KEY_BYTES)), None, why)


def read(path: Path) -> bytes | None:
    """Return the key in a file, or None if there is no such file. Waits up to 0.2 s for another process to finish
    writing it.

    Raises `ConfigError` if the entry is no regular file, is another user's, can be read by others or has another
    length, and `OSError` if the folder cannot be read.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            mode = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(mode):
            raise _refused(path, "is a symbolic link" if stat.S_ISLNK(mode) else "is not a regular file")
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.ELOOP):
                raise _refused(path, "cannot be opened by this user") from None
            raise
        try:
            status, key = os.fstat(fd), os.read(fd, KEY_BYTES + 1)
        finally:
            os.close(fd)
        if status.st_uid not in (os.geteuid(), 0):
            raise _refused(path, "belongs to another user")
        if status.st_mode & 0o077:
            raise _refused(path, "can be used by others than its owner", f"chmod 600 {path}, if nobody has read it")
        if len(key) == KEY_BYTES:
            return key
        if len(key) > KEY_BYTES or time.monotonic() > deadline:
            raise _refused(path, f"does not have {KEY_BYTES} bytes")
        time.sleep(0.01)  # where there are no links another process may be writing it


def why_unwritable(path: Path) -> str:
    """Return why no key can be made at `path`, or "" if one can. Makes nothing."""
    there = next(place for place in path.parents if place.exists())
    if not there.is_dir():
        return "Not a directory"
    return "" if os.access(there, os.W_OK | os.X_OK) else "Permission denied"


def _make(path: Path) -> bytes:
    """Put a new key in place if the place is free; return the one that is there then. Raises `OSError`."""
    for parent in reversed((path.parent, *path.parent.parents)):
        with contextlib.suppress(FileExistsError):
            if not parent.is_dir():
                make_folder(parent)
    scratch = path.with_name(f".{secrets.token_hex(16)}")
    key = secrets.token_bytes(KEY_BYTES)
    try:
        write_synced(scratch, [key])
        if scratch.stat().st_mode & 0o077:
            raise OSError(0, "the file system does not keep a file from other users")
        try:
            path.hardlink_to(scratch)
        except FileExistsError:
            pass  # another process was first
        except OSError:  # a file system without links
            with contextlib.suppress(FileExistsError):
                write_synced(path, [key])
    finally:
        scratch.unlink(missing_ok=True)
    sync_folder(path.parent)
    found = read(path)
    if found is None:
        raise OSError(0, "it was removed as soon as it was made")
    return found


def _refused(path: Path, why: str, hint: str = "") -> ConfigError:
    other = f"or let {VARIABLE} name another folder, or set RUNBUNDLE_REDACTION_KEY"
    return ConfigError(f"the digest key {path} {why}", hint=f"{hint or 'remove it'}, {other}")
