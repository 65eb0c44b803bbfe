"""Secrets within a state that is stored in plain: each is encrypted by itself, AES-256-GCM.

The key is made from the one that is given, else from the given key of the digests, else from one that is drawn once and
kept for this user. Where runs move between machines, all of them need the same given key.
"""

import hmac
from typing import Any

from runbundle.errors import ConfigError, StateCorrupt
from runbundle.keyring import kept_keys
from runbundle.keyring.given_key import digest_key_given, require_key, stretched

_NONCE_BYTES = 12
_PLACE = "runbundle:run-state-secrets"  # in the keyring, where stores have their URLs


class SecretBox:
    """Seals bytes under one key, which is looked for on the first use. Equal bytes are sealed alike."""

    def __init__(self, given: bytes | None = None) -> None:
        self._given = None if given is None else require_key(given, "the key of secrets in run state", in_code=True)
        self._opened: tuple[Any, bytes] | None = None
        self.lasting = True
        """Whether the key is there after this process; known after the first use."""

    def seal(self, data: bytes) -> bytes:
        """Return sealed bytes. Raises `ConfigError` if there is no cipher or no key that may be used."""
        cipher, nonces = self._ready()
        # Drawn from the bytes: a state that has grown by a word is then stored as the difference of a word.
        nonce = hmac.digest(nonces, data, "sha256")[:_NONCE_BYTES]
        return nonce + cipher.encrypt(nonce, data, None)

    def open(self, sealed: bytes) -> bytes:
        """Return the bytes. Raises `StateCorrupt` if they were altered, or sealed under another key."""
        from cryptography.exceptions import InvalidTag

        cipher, _ = self._ready()
        try:
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        except (InvalidTag, ValueError):
            raise StateCorrupt(
                "a secret in the state cannot be opened: it was altered, or is under another key",
                hint="give all processes the same secrets_key=, or RUNBUNDLE_REDACTION_KEY",
            ) from None

    def _ready(self) -> tuple[Any, bytes]:
        if self._opened is None:
            try:
                from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            except ImportError:
                raise ConfigError(
                    "a secret in the state needs cryptography to be stored", hint="pip install 'runbundle[langgraph]'"
                ) from None
            key = self._key()
            self._opened = (
                AESGCM(hmac.digest(key, b"runbundle/run-state-secrets", "sha256")),
                hmac.digest(key, b"runbundle/run-state-secret-nonces", "sha256"),
            )
        return self._opened

    def _key(self) -> bytes:
        given = self._given if self._given is not None else digest_key_given(None)
        if given is not None:
            return stretched(given)
        kept = kept_keys.key_of(_PLACE)
        self.lasting = kept.path is not None
        return kept.key
