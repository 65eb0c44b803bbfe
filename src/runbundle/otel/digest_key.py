"""The root key of digests: given, kept for this user and store, or of this process only; and its description."""

import logging
from pathlib import Path
from typing import NamedTuple

from runbundle.errors import ConfigError
from runbundle.keyring import kept_keys
from runbundle.keyring.given_key import GivenKey, digest_key_given, stretched
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.markers import Digester, texts_of_key
from runbundle.redaction.policy import KeyOrigin
from runbundle.store.url import canonical_url, local_root

_log = logging.getLogger("runbundle")
_said: set[str] = set()
_TO_JOIN = f"set RUNBUNDLE_REDACTION_KEY for all that are to join, or let {kept_keys.VARIABLE} name a folder they share"


class DigestKey(NamedTuple):
    """A digester, and the origin of its root key."""

    digester: Digester
    origin: KeyOrigin
    path: Path | None = None


class KeyDescription(NamedTuple):
    """A sentence about a store's digest key, and whether the set-up is at fault."""

    text: str
    fault: bool = False


def digest_key(store: str, given: GivenKey | None = None) -> DigestKey:
    """Return the digest key of the store with this URL, and register it as a known secret.

    A key that was given, in code or by the environment, is stretched and serves all stores. Otherwise the key that this
    user keeps for this store is read, or made. Raises `ConfigError` for a key that must not be used. Where digests will
    not join with those of other processes, a warning says so once.
    """
    explicit = digest_key_given(given)
    if explicit is not None:
        found = DigestKey(Digester(stretched(explicit)), "explicit")
        KNOWN.register(explicit)
        _register(*texts_of_key(explicit), *found.digester.key_texts())
        return found
    url = canonical_url(store)
    if url.startswith("memory:"):
        kept = kept_keys.process_key(url, "the store is in memory")
    else:
        _mind_the_store(url)
        kept = kept_keys.key_of(url)
        if kept.path is None:
            _say_once(
                url, f"the key of digests cannot be kept ({kept.why}): digests of this process join with no other's"
            )
        elif not url.startswith("file:"):
            _say_once(url, f"digests in {url} have the key {kept.path}, of this user and machine: others' do not join")
    found = DigestKey(Digester(kept.key), "process" if kept.path is None else "keyring", kept.path)
    _register(*found.digester.key_texts())
    return found


def _register(*texts: str) -> None:
    # They are encodings already. With those of encodings there were so many that every search was four times slower:
    # 230 MB/s with 20 patterns, 61 with 69.
    KNOWN.register(*texts, as_is=True)


def carrier_keys(store: str, digester: Digester, origin: KeyOrigin) -> tuple[bytes, ...]:
    """Return the keys that sign and check the tokens in which processes name runs to each other.

    Where the digest key was given, the key that this user keeps for the store is added: a process of the same user
    without the given key can still prove, and believe, whose run it works for.
    """
    own = digester.subkey("carrier")
    url = canonical_url(store)
    if origin != "explicit" or url.startswith("memory:"):
        return (own,)
    kept = kept_keys.key_of(url)
    return (own,) if kept.path is None else (own, Digester(kept.key).subkey("carrier"))


def describe_key(store: str) -> KeyDescription:
    """Return the sentence of `doctor` about the digest key of the store with this URL. Makes no key.

    Raises `ConfigError` for a key that must not be used.
    """
    if digest_key_given(None) is not None:
        return KeyDescription("given by the environment")
    url = canonical_url(store)
    if url.startswith("memory:"):
        return KeyDescription("drawn at random for each process, as the store is")
    _mind_the_store(url)
    try:
        path = kept_keys.path_of(url)
        made = kept_keys.read(path) is not None
        why = "" if made else kept_keys.why_unwritable(path)
    except OSError as error:
        return _drawn(error.strerror or type(error).__name__)
    except RuntimeError:
        return _drawn("there is no home directory")
    if why:
        return _drawn(why)
    text = f"{path}{'' if made else ', which the first run makes'}"
    if _thrown_away(path.parent):
        return KeyDescription(f"{text}; RB907: that folder does not outlive this machine or container")
    return KeyDescription(f"{text}; processes of other users or hosts need RUNBUNDLE_REDACTION_KEY to join")


def _drawn(why: str) -> KeyDescription:
    return KeyDescription(f"each process draws its own, since none can be kept ({why})", fault=True)


def _mind_the_store(url: str) -> None:
    """Refuse a keyring inside the store: whoever copies the store would have the key to it."""
    root = local_root(url)
    if root is None:
        return
    try:
        below = kept_keys.folder().resolve().relative_to(root)
    except (ValueError, RuntimeError):
        return
    if not below.parts or not below.parts[0].startswith("."):  # such a name is no part of a store
        raise ConfigError(
            "the folder of digest keys lies in the store", hint=f"let {kept_keys.VARIABLE} name one outside of it"
        )


def _thrown_away(folder: Path) -> bool:
    """Tell whether a folder is temporary, or on no volume of its container."""
    import tempfile  # only doctor asks

    here = folder.absolute()
    if any(here.is_relative_to(place) for place in {tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"}):  # noqa: S108
        return True
    if not any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv")):
        return False
    there = next(place for place in (here, *here.parents) if place.exists())
    return there.stat().st_dev == Path("/").stat().st_dev


def _say_once(url: str, text: str) -> None:
    if url not in _said:
        _said.add(url)
        _log.warning("RB907: %s; %s", text, _TO_JOIN)
