"""The box of secrets: what it encrypts it alone decrypts, and equal secrets are encrypted alike."""

import pytest

from runbundle.errors import ConfigError, StateCorrupt
from runbundle.integrations.langgraph.secrets_at_rest import SecretBox

KEY = b"a key for tests only"


def test_bytes_come_back_from_a_box_of_the_same_key() -> None:
    """In another process, too: nothing but the key is needed."""
    for data in (b"", b"secret", bytes(5000)):
        encrypted = SecretBox(KEY).encrypt(data)
        assert SecretBox(KEY).decrypt(encrypted) == data
        assert not data or data not in encrypted


def test_equal_bytes_are_encrypted_alike_and_others_are_not() -> None:
    """So that a state that grew by a word is stored as the difference of a word."""
    box = SecretBox(KEY)
    assert box.encrypt(b"one") == box.encrypt(b"one")
    assert box.encrypt(b"one")[:12] != box.encrypt(b"two")[:12]
    assert SecretBox(KEY + b"!").encrypt(b"one") != box.encrypt(b"one")


def test_altered_bytes_and_another_key_are_told() -> None:
    """The error names the keys to check, and nothing of the secret."""
    encrypted = SecretBox(KEY).encrypt(b"CANARY")
    for box, data in (
        (SecretBox(KEY + b"!"), encrypted), (SecretBox(KEY), encrypted[:-1] + bytes([encrypted[-1] ^ 1])),
        (SecretBox(KEY), b""),
    ):  # fmt: skip
        with pytest.raises(StateCorrupt, match="another key") as caught:
            box.decrypt(data)
        assert "CANARY" not in str(caught.value)


def test_a_key_that_is_too_short_is_refused_at_once() -> None:
    """Not at the first secret."""
    with pytest.raises(ConfigError):
        SecretBox(b"short")


def test_without_a_given_key_one_is_kept_for_this_user() -> None:
    """The next box finds it again; the given redaction key comes first."""
    encrypted = SecretBox().encrypt(b"x")
    box = SecretBox()
    assert box.decrypt(encrypted) == b"x"
    assert box.lasting
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNBUNDLE_REDACTION_KEY", KEY.decode())
        with pytest.raises(StateCorrupt):
            SecretBox().decrypt(encrypted)
