"""Keys that people give: one test of strength for all, where a digest key is looked for, and how it is stretched."""

import contextlib
import hashlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runbundle import settings
from runbundle.errors import ConfigError
from runbundle.process import forks

MIN_BYTES = 16
_IN_CODE_BYTES = 32
_MAX_BYTES = 65_536
_HINT = "`openssl rand -hex 32` makes one"
_SALT = b"runbundle/digest-key/v2"

_log = logging.getLogger("runbundle")
_stretched: dict[bytes, bytes] = {}
_begun: dict[bytes, threading.Thread] = {}
"""Threads that are deriving, by the name of the key."""

GivenKey = bytes | str | Path | Callable[[], bytes]
"""A key, the path of a file that holds one, or a callable that returns one."""


def require_key(key: bytes, what: str, *, in_code: bool = False) -> bytes:
    """Return `key`, or raise `ConfigError` if it is weak. The error does not quote the key.

    A key has 16 bytes or more and is not a shorter text repeated. One exception: with `in_code`, as in tests, a
    repeated text of 32 bytes or more passes with a warning. `what` names the key in the error.
    """
    if len(key) < MIN_BYTES:
        raise ConfigError(f"{what} has fewer than {MIN_BYTES} bytes", hint=_HINT)
    if (key + key).find(key, 1) < MIN_BYTES:  # what it repeats is shorter than a key has to be
        if not in_code or len(key) < _IN_CODE_BYTES:
            raise ConfigError(f"{what} repeats itself", hint=_HINT)
        _log.warning("%s repeats itself: that is for tests only; %s", what, _HINT)
    return key


def digest_key_given(given: GivenKey | None) -> bytes | None:
    """Return the digest key that was given in code or else by the environment, or None.

    The environment gives it in `RUNBUNDLE_REDACTION_KEY`, or in the file that `RUNBUNDLE_REDACTION_KEY_FILE` names;
    white space around it is removed. Raises `ConfigError` for a weak key and for one that cannot be read. The error
    quotes neither key nor file name, since the key itself may have been given as a file name.
    """
    if given is not None:
        what = "the digest key in key="
        if isinstance(given, bytes | bytearray):
            return require_key(bytes(given), what, in_code=True)
        if isinstance(given, str | Path):
            return require_key(_read(given, "the file of the digest key that key= names"), what)
        if callable(given):
            return require_key(_called(given), "the digest key that the callable returned")
        raise ConfigError(f"{what} is of type {type(given).__name__}", hint="give bytes, a path or a callable")
    text = settings.variable("RUNBUNDLE_REDACTION_KEY")
    if text:
        return require_key(text.encode("utf-8", "surrogateescape").strip(), "RUNBUNDLE_REDACTION_KEY")
    name = settings.variable("RUNBUNDLE_REDACTION_KEY_FILE")
    if name:
        what = "the file that RUNBUNDLE_REDACTION_KEY_FILE names"
        return require_key(_read(name, what), f"the key in {what}")
    return None


def stretched(given: bytes) -> bytes:
    """Return 32 bytes derived from a given key by scrypt, so that each guess at the key costs about 50 ms and 16 MB.

    A process derives them once for each key. Raises `ConfigError` if this Python has no scrypt.
    """
    name = _name(given)
    begun = _begun.pop(name, None)
    if begun is not None:
        begun.join()
    found = _stretched.get(name)
    return _derive(given) if found is None else found


def begin_to_stretch(given: GivenKey | None) -> None:
    """Begin on a thread what `stretched` will be asked for, if `digest_key_given` needs to ask nobody for the key.

    scrypt lets go of the interpreter, so whoever loads modules meanwhile hardly notices. Never raises: a key that must
    not be used is refused by who asks for it. A fork waits for the end.
    """
    key = b""
    with contextlib.suppress(ConfigError, OSError, ValueError):
        key = _known_now(given)
    name = _name(key)
    if len(key) < MIN_BYTES or name in _stretched or name in _begun:
        return
    thread = threading.Thread(target=_try_to_derive, args=(key,), name="runbundle-key", daemon=True)
    with contextlib.suppress(RuntimeError):  # no more threads: then it is derived where it is needed
        thread.start()
        _begun[name] = thread


def _known_now(given: GivenKey | None) -> bytes:
    """Return the key that was given, unless a callable returns it. Raises `ConfigError`."""
    if isinstance(given, bytes | bytearray):
        return bytes(given)
    if isinstance(given, str | Path):
        return _kept(given)
    if given is not None:
        return b""
    text = settings.variable("RUNBUNDLE_REDACTION_KEY")
    if text:
        return text.encode("utf-8", "surrogateescape").strip()
    name = settings.variable("RUNBUNDLE_REDACTION_KEY_FILE")
    return _kept(name) if name else b""


def _kept(path: str | Path) -> bytes:
    """Return the key in a file that can be read twice; none of a pipe, whose reader takes the key out of it."""
    return _read(path, "") if Path(path).is_file() else b""


def _name(given: bytes) -> bytes:
    return hashlib.sha256(given).digest()


def _derive(given: bytes) -> bytes:
    try:
        found = hashlib.scrypt(given, salt=_SALT, n=2**14, r=8, p=1, dklen=32)
    except (AttributeError, ValueError):
        raise ConfigError("this Python has no scrypt, which a given digest key needs") from None
    if len(_stretched) >= 64:
        _stretched.clear()
    _stretched[_name(given)] = found
    return found


def _try_to_derive(given: bytes) -> None:
    with contextlib.suppress(ConfigError):  # said by who asks for the key
        _derive(given)


def _wait_for_begun() -> None:
    for thread in list(_begun.values()):
        thread.join()


forks.around(forks.Stage.LEAVES, before=_wait_for_begun, in_child=_begun.clear)


def _read(path: str | Path, what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            key = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError, TypeError) as error:  # ValueError: a name that holds a zero
        why = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise ConfigError(f"{what} cannot be read: {why}") from None
    if len(key) > _MAX_BYTES:
        raise ConfigError(f"{what} is too large for a key", hint=_HINT)
    return key.strip()


def _called(function: Callable[[], Any]) -> bytes:
    try:
        key = function()
    except Exception as error:  # noqa: BLE001 - whatever it does; its message may quote the key
        raise ConfigError(f"the callable for the digest key raised {type(error).__name__}") from None
    if not isinstance(key, bytes | bytearray):
        raise ConfigError(f"the callable for the digest key returned {type(key).__name__}", hint="it must return bytes")
    return bytes(key)
