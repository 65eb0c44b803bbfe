"""The vault: raw content of runs in debug mode, encrypted, beside the store and never in a bundle.

In a run's folder `<writer>.key` holds the key of one writer, drawn at random and encrypted by the vault's key;
`<writer>.enc` holds that writer's entries. To delete the first is to make the second unreadable for good. AES-256-GCM
throughout (`runbundle[debug]`). The run, the writer and the entry's number are authenticated, so an entry cannot be
moved, left out in the middle, or put under another run. Entries cut off at the end are not noticed.
"""

import contextlib
import errno
import hmac
import os
import secrets
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from runbundle import settings
from runbundle.errors import ConfigError, KeyNotFound, MalformedBundle
from runbundle.format.identity import RunKey
from runbundle.journal.spool import folder_of, run_folders
from runbundle.keyring.given_key import require_key
from runbundle.process.disk import create, make_folder
from runbundle.store.regular import NotRegular, entries_of, file_at, folder_below, read_at, refuse_link

_OPEN_RUNS = 1024
_MOST_KEY_BYTES = 65_536
_LENGTH = struct.Struct(">I")


def vault_key(environment: Mapping[str, str] = os.environ) -> bytes:
    """Return the vault's key: 32 bytes derived from `RUNBUNDLE_VAULT_KEY`, or from the file that
    `RUNBUNDLE_VAULT_KEY_FILE` names.

    Raises `ConfigError` if there is no key, or a weak one.
    """
    given = settings.variable("RUNBUNDLE_VAULT_KEY", environment).encode()
    named = settings.variable("RUNBUNDLE_VAULT_KEY_FILE", environment)
    if not given and named:
        try:
            given = Path(named).read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"RUNBUNDLE_VAULT_KEY_FILE cannot be read: {error.strerror}") from None
    if not given:
        raise ConfigError(
            "the vault needs a key",
            hint="set RUNBUNDLE_VAULT_KEY, or RUNBUNDLE_VAULT_KEY_FILE; `openssl rand -hex 32` makes one",
        )
    require_key(given, "the vault's key")
    return hmac.digest(given, b"runbundle/vault", "sha256")


class VaultWriter:
    """Appends encrypted entries; each run has a data key of its own. Thread-safe."""

    def __init__(
        self, root: Path, key: bytes, *, ttl_s: float = settings.VAULT_TTL_S, clock: Callable[[], float] = time.time
    ) -> None:
        self.root = root
        self._wrap = _cipher(key)
        self._ttl_s, self._clock = ttl_s, clock
        self._lock = threading.Lock()
        self._runs: OrderedDict[RunKey, tuple[Path, Any, int]] = OrderedDict()

    def write(self, run: RunKey, entry: Mapping[str, Any]) -> None:
        """Encrypt one entry and append it to the run's file. Raises `OSError`."""
        data = orjson.dumps(entry, option=orjson.OPT_NON_STR_KEYS)
        with self._lock:
            path, cipher, number = self._runs.pop(run, None) or self._begin(run)
            sealed = cipher.encrypt(_nonce(number), data, _about(run, path.stem, number))
            fd = create(path, os.O_WRONLY | os.O_APPEND)
            try:
                framed = _LENGTH.pack(len(sealed)) + sealed
                if os.write(fd, framed) < len(framed):  # the disk is full; what comes next gets a file of its own
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(fd)
            self._runs[run] = (path, cipher, number + 1)
            if len(self._runs) > _OPEN_RUNS:
                self._runs.popitem(last=False)

    def after_fork(self) -> None:
        """Start new data keys in a forked child: two processes under one key would use a nonce twice."""
        self._lock = threading.Lock()
        self._runs = OrderedDict()

    def _begin(self, run: RunKey) -> tuple[Path, Any, int]:
        folder = _folder(self.root, run)
        make_folder(folder)
        refuse_link(folder)
        self.root.chmod(0o700)
        writer, key, nonce = uuid4().hex, secrets.token_bytes(32), secrets.token_bytes(12)
        wrapped = nonce + self._wrap.encrypt(nonce, key, _about(run, writer, -1))
        body = {"wrapped": wrapped.hex(), "expires_at": self._clock() + self._ttl_s}
        fd = create(folder / f"{writer}.key")
        try:
            os.write(fd, orjson.dumps(body))
        finally:
            os.close(fd)
        return folder / f"{writer}.enc", _cipher(key), 0


def read_vault(root: Path, run: RunKey, key: bytes, *, clock: Callable[[], float] = time.time) -> Iterator[Any]:
    """Yield the entries of a run, writer by writer, each writer's in order.

    Raises `KeyNotFound` if the vault has nothing of the run, or only expired content. Raises `MalformedBundle` if a
    file was altered, is cut off or is under another key, once all that can be read was yielded.
    """
    wrap = _cipher(key)
    keys = _keys(_folder(root, run))
    alive = [path for path in keys if _expires_at(path) > clock()]
    if not alive:
        raise KeyNotFound(
            f"the vault holds nothing of run {run.path}" + (" any more: it has expired" if keys else ""),
            hint="content is kept in debug mode only, until it expires",
        )
    damage: MalformedBundle | None = None
    for path in alive:
        try:
            wrapped = _wrapped(path)
            data_key = _opened(wrap, wrapped[:12], wrapped[12:], _about(run, path.stem, -1), path)
            yield from _entries(path.with_suffix(".enc"), run, _cipher(data_key))
        except MalformedBundle as error:  # a process that was killed costs its own last entry, not those of others
            damage = damage or error
    if damage is not None:
        raise damage


def purge(root: Path, *, everything: bool = False, clock: Callable[[], float] = time.time) -> list[RunKey]:
    """Remove expired runs, or all with `everything`; return the removed runs. A run expires with the last of its
    writers.

    Touches only the vault's own files: keys and entries in folders that are named like runs and hold a key.
    """
    removed: list[RunKey] = []
    for run in sorted(run_folders(root)):
        folder = folder_of(root, run)
        keys = _keys(folder)
        if keys and (everything or all(_expires_at(path) <= clock() for path in keys)):
            for path in keys:
                path.unlink(missing_ok=True)
                path.with_suffix(".enc").unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()
            removed.append(run)
    return removed


def _keys(folder: Path) -> list[Path]:
    """Return the keys in a run's folder; none in what is no folder."""
    try:
        with folder_below(folder.parent, [folder.name]) as fd:
            return sorted(folder / name for name, kind in entries_of(fd) if name.endswith(".key") and not kind)
    except (FileNotFoundError, NotADirectoryError, NotRegular):
        return []


def _wrapped(path: Path) -> bytes:
    try:
        return bytes.fromhex(orjson.loads(read_at(path, _MOST_KEY_BYTES))["wrapped"])
    except (OSError, ValueError, KeyError, TypeError):
        raise MalformedBundle("is not a key file of the vault", file=path.name) from None


def _folder(root: Path, run: RunKey) -> Path:
    if not run.valid:
        raise ConfigError("invalid run or tenant id", hint="use 1 to 128 letters, digits and `._-`")
    return folder_of(root, run)


def _entries(path: Path, run: RunKey, cipher: Any) -> Iterator[Any]:
    try:
        file = file_at(path)
    except FileNotFoundError:
        return
    except NotRegular as error:
        raise MalformedBundle(f"is {error.kind}", file=path.name) from None
    with file:
        number, room = 0, os.fstat(file.fileno()).st_size
        while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
            length = _LENGTH.unpack(head)[0]
            sealed = file.read(min(length, room))
            if len(sealed) < length:
                raise MalformedBundle("is cut off: a process was killed, or the disk was full", file=path.name)
            yield orjson.loads(_opened(cipher, _nonce(number), sealed, _about(run, path.stem, number), path))
            number += 1


def _opened(cipher: Any, nonce: bytes, sealed: bytes, about: bytes, path: Path) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        return cipher.decrypt(nonce, sealed, about)
    except InvalidTag:
        raise MalformedBundle(
            "cannot be opened: it was altered, or is under another key",
            file=path.name,
            hint="check RUNBUNDLE_VAULT_KEY",
        ) from None


def _expires_at(path: Path) -> float:
    try:
        return float(orjson.loads(read_at(path, _MOST_KEY_BYTES))["expires_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")  # unique, as the key is one writer's alone


def _about(run: RunKey, writer: str, number: int) -> bytes:
    return f"{run.path}|{writer}|{number}".encode()


def _cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise ConfigError("debug mode needs cryptography", hint="pip install 'runbundle[debug]'") from None
    return AESGCM(key)
