"""Raw ids of users and sessions, as bundles may have them: by their digests under the key of the store.

A bundle has the digest of an id that may name a person. Whoever has the store's key can make the same digest from the
raw id, for each tenant by itself. Nothing here makes a key, or keeps one.
"""

import contextlib
from collections.abc import Iterable
from typing import Literal, NamedTuple

from runbundle.keyring import kept_keys
from runbundle.keyring.given_key import digest_key_given, stretched
from runbundle.redaction.markers import Digester, canonical, is_digest
from runbundle.signals import own, semconv
from runbundle.store.url import canonical_url

_DOMAINS = {"user": ("user",), "session": (own.SESSION_ID, semconv.CONVERSATION_ID)}
"""The domains in which such an id is digested (`redaction.attributes`)."""


class StoredForms(NamedTuple):
    """Forms in which bundles may have a raw id."""

    forms: tuple[str, ...]
    """The id itself, and its digests."""
    key_ids: frozenset[str] = frozenset()
    """Names of the keys of the digests, as digests carry them. Without a key there is none, and only an id that was
    kept as it is can be found."""

    def lacks(self, digest: str) -> bool:
        """Tell whether a digest is of another key than these, so that the raw id might be behind it unseen."""
        return is_digest(digest) and digest.split(":")[1] not in self.key_ids and digest not in self.forms


def stored_forms(store_url: str, kind: Literal["user", "session"], raw: str, tenants: Iterable[str]) -> StoredForms:
    """Return the forms in which bundles of these tenants may have the raw id of a user or a session.

    The key is that of the environment, or the one that this user keeps for the store; if there are both, each gives
    digests. Raises `ConfigError` for a key that must not be used.
    """
    if is_digest(raw):
        return StoredForms((raw,))
    roots = _roots(store_url)
    data = canonical(raw) or b""
    digesters = [Digester(root, tenant) for root in roots for tenant in tenants]
    digests = [digester(domain, data) for digester in digesters for domain in _DOMAINS[kind]]
    return StoredForms((raw, *digests), frozenset(digester.key_id for digester in digesters))


def _roots(store_url: str) -> list[bytes]:
    found: list[bytes] = []
    given = digest_key_given(None)
    if given is not None:
        found.append(stretched(given))
    with contextlib.suppress(OSError, RuntimeError):  # there is no home directory, or it cannot be read
        kept = kept_keys.read(kept_keys.path_of(canonical_url(store_url)))
        if kept is not None:
            found.append(kept)
    return found
