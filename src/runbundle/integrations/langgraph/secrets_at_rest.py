"""Encrypts the secrets in a state that is stored in plain: each by itself, with AES-256-GCM.

The key is derived from the given key, else from the redaction key that is given, else from a key that is drawn once and
kept for this user. If runs move between machines, all of them need the same given key.
"""

import hmac
from typing import Any

from runbundle.errors import ConfigError, StateCorrupt
from runbundle.keyring import kept_keys
from runbundle.keyring.given_key import digest_key_given, require_key, stretched

_NONCE_BYTES = 12
_KEY_NAME = "runbundle:run-state-secrets"  # in the keyring, where the keys of stores are named by URLs


class SecretBox:
    """Encrypts bytes under one key, which is looked up on the first use.

    Equal bytes give equal ciphertexts: a state that grows by a word can then be stored as the difference of a word.
    Whoever reads the store sees which secrets are equal.
    """

    def __init__(self, given: bytes | None = None) -> None:
        self._given = None if given is None else require_key(given, "the key of secrets in run state", in_code=True)
        self._derived: tuple[Any, bytes] | None = None
        self.lasting = True
        """Whether the key will still exist after this process; known after the first use."""

    def encrypt(self, data: bytes) -> bytes:
        """Return `data` encrypted. Raises `ConfigError` if `cryptography` is missing, or no usable key exists."""
        cipher, nonces = self._ready()
        # The nonce follows from the bytes: equal bytes are encrypted alike, see the class.
        nonce = hmac.digest(nonces, data, "sha256")[:_NONCE_BYTES]
        return nonce + cipher.encrypt(nonce, data, None)

    def decrypt(self, encrypted: bytes) -> bytes:
        """Return the bytes. Raises `StateCorrupt` if they were altered, or encrypted under another key."""
        from cryptography.exceptions import InvalidTag

        cipher, _ = self._ready()
        try:
            return cipher.decrypt(encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:], None)
        except (InvalidTag, ValueError):
            raise StateCorrupt(
                "cannot decrypt a secret in the state: it was altered, or is under another key",
                hint="give all processes the same secrets_key=, or RUNBUNDLE_REDACTION_KEY",
            ) from None

    def _ready(self) -> tuple[Any, bytes]:
        if self._derived is None:
            try:
                from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            except ImportError:
                raise ConfigError(
                    "a secret in the state needs cryptography to be stored", hint="pip install 'runbundle[langgraph]'"
                ) from None
            key = self._key()
            self._derived = (
                AESGCM(hmac.digest(key, b"runbundle/run-state-secrets", "sha256")),
                hmac.digest(key, b"runbundle/run-state-secret-nonces", "sha256"),
            )
        return self._derived

    def _key(self) -> bytes:
        given = self._given if self._given is not None else digest_key_given(None)
        if given is not None:
            return stretched(given)
        kept = kept_keys.key_of(_KEY_NAME)
        self.lasting = kept.path is not None
        return kept.key
