"""Markers, which stand in the place of removed values, and keyed digests, by which equal values stay equal.

A marker is `[REDACTED:<class>(:<part>)*]`. Its parts are a keyed digest, a size, message roles or a counter, never a
part of the value; the one exception is `last=`, which a contract asks for. The grammar is closed, so a marker is
recognised and left alone. This makes redaction idempotent, and text that only looks like a marker can carry no more
than the grammar lets through.
"""

import base64
import hmac
import re
import secrets
from collections.abc import Container
from typing import Any

import orjson

from runbundle.process.regex import later
from runbundle.redaction.beyond_json import bytes_beyond_json, json_writes_null
from runbundle.signals import own

CLASSES = (
    "undeclared|content|credential|personal|special|financial|internal|public|key|name|error|oversize|unserialisable"
)
SMALL = 64
"""A size below this many bytes is not told exactly."""
ROLES = "system|user|assistant|tool|developer|model|function"
DIGEST = r"(?:h2:[0-9a-f]{8}:[a-z2-7]{26}|h1:[0-9a-f]{8}:[A-Z2-7]{26})"
"""The grammar of digests. The second form is only read: bundles that were sealed earlier hold it."""

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_LOW = (1 << 70) - 1
_PIECE = 2047
"""The most bytes that hashlib hashes without letting go of the interpreter lock. Beside a busy thread it costs 18 µs to
get it back (12 µs a prompt of 2 KB instead of 30)."""
_SMALL_PIECE = 1536
"""The most bytes that are hashed together with what goes before them, which may be as long as the names of tools."""
_IN_PIECES = 65_536
"""Longer values are hashed as a whole: meanwhile others may as well run."""

MARKER = later(
    rf"\[REDACTED:(?:{CLASSES})(?::{DIGEST})?(?::bytes=(?:\d{{1,15}}|<{SMALL}))?(?::roles=(?:{ROLES})(?:\+(?:{ROLES})){{0,7}})?"
    rf"(?::last=.{{1,4}})?(?::\d{{1,5}})?\]"
)
"""The grammar of markers."""
_DIGEST = later(DIGEST)
_OURS = later(rf"{MARKER.pattern}|{DIGEST}(?![A-Za-z0-9])|{re.escape(own.HIDDEN)}[a-z2-7]{{12}}\b")


class Digester:
    """Keyed digests of one tenant: HMAC-SHA-256 over a domain and the value, cut to 128 bits.

    The key is derived from a root and the tenant. Equal values under one root, tenant and domain have equal digests.
    Without the root a digest cannot be guessed, however few values are possible. `key_id` names the derived key in a
    bundle: two bundles have the same one exactly where their digests can be compared. A Digester writes no key
    anywhere.
    """

    def __init__(self, root: bytes | None = None, tenant: str = "") -> None:
        self._root = root if root is not None else secrets.token_bytes(32)
        self._tenant = tenant
        about = b"runbundle/digest/v2\0" + tenant.encode("utf-8", "surrogatepass")
        self._key = hmac.digest(self._root, about, "sha256")
        self.key_id = hmac.digest(self._key, b"key-id", "sha256")[:4].hex()
        self._prefix = f"h2:{self.key_id}:"
        # Prepared once: 1.3 µs a digest instead of 3.5; and unlike the one-shot it keeps the interpreter lock, which
        # costs ten times as much to win back when other threads want it. The object of OpenSSL that lies beneath, where
        # there is one, has no methods in Python: 1.3 µs instead of 2.0.
        mac = hmac.new(self._key, digestmod="sha256")
        self._mac: Any = getattr(mac, "_hmac", None) or mac

    def for_tenant(self, tenant: str) -> "Digester":
        """Return the digester of another tenant under the same root."""
        return self if tenant == self._tenant else Digester(self._root, tenant)

    def subkey(self, purpose: str) -> bytes:
        """Return a key for another `purpose`, such as `carrier`: 32 bytes, the same for all tenants of a root."""
        return hmac.digest(self._root, f"runbundle/{purpose}/v1".encode(), "sha256")

    def key(self) -> bytes:
        """Return the key itself, for a core that makes the same digests elsewhere in this process."""
        return self._key

    def key_texts(self) -> tuple[str, ...]:
        """Return the texts that its keys would be written as, to be registered as known secrets."""
        keys = (self._root, self._key, self.subkey("carrier"))
        return tuple(text for key in keys for text in texts_of_key(key))

    def __call__(self, domain: str, data: bytes) -> str:
        """Return `h2:<key id>:<26 lower-case base32 characters>` for `data` within `domain`."""
        # The domain's length comes first, so that no domain and value can be shifted into another pair.
        head = domain.encode("utf-8", "replace")
        keyed = self._mac.copy()
        if len(data) <= _SMALL_PIECE:
            keyed.update(b"%d:%b:%b" % (len(head), head, data))
        else:
            keyed.update(b"%d:%b:" % (len(head), head))
            step = _PIECE if len(data) <= _IN_PIECES else len(data)
            for start in range(0, len(data), step):
                keyed.update(data[start : start + step])
        mac = keyed.digest()
        # Base32 by pairs of characters, each written out: 1.3 µs, where a loop takes 1.9 and base64.b32encode, which is
        # written in Python, 7.
        number = int.from_bytes(mac[:16], "big") << 2
        high, low, pair = number >> 70, number & _LOW, _PAIRS
        return (
            f"{self._prefix}{pair[high >> 50]}{pair[high >> 40 & 1023]}{pair[high >> 30 & 1023]}"
            f"{pair[high >> 20 & 1023]}{pair[high >> 10 & 1023]}{pair[high & 1023]}"
            f"{pair[low >> 60]}{pair[low >> 50 & 1023]}{pair[low >> 40 & 1023]}{pair[low >> 30 & 1023]}"
            f"{pair[low >> 20 & 1023]}{pair[low >> 10 & 1023]}{pair[low & 1023]}"
        )


def texts_of_key(key: bytes) -> tuple[str, ...]:
    """Return the texts that a key of arbitrary bytes would be written as: hex and base64."""
    return (
        key.hex(),
        key.hex().upper(),
        base64.b64encode(key).decode().rstrip("="),
        base64.urlsafe_b64encode(key).decode().rstrip("="),
    )


def blanked(text: str, blank: str) -> str:
    """Return `text` with each character of its markers, digests and hidden keys replaced by `blank`.

    Detectors search this text. Our own markers are random and name classes such as `credential`, so now and then they
    would be taken for one. Only our closed grammar is blanked, and positions stay the same.
    """
    if "[REDACTED:" in text or "h2:" in text or "h1:" in text or own.HIDDEN in text:
        return _OURS.sub(lambda match: blank * len(match[0]), text)
    return text


def marker(
    data_class: str, *, digest: str = "", size: int | None = None, roles: tuple[str, ...] = (), index: int | None = None
) -> str:
    """Build a marker from its parts. `size` is in bytes; a size below 64 is written `<64`. At most eight roles are
    written.
    """
    text = "[REDACTED:" + data_class
    if digest:
        text += ":" + digest
    if size is not None:
        text += f":bytes={size}" if size >= SMALL else f":bytes=<{SMALL}"
    if roles:
        text += ":roles=" + "+".join(roles[:8])
    if index is not None:
        text += f":{index}"
    return text + "]"


def key_marker(index: int, keys: Container[str]) -> tuple[str, int]:
    """Return the marker of a withheld key, numbered from `index` on, that is none of `keys`; and its number.

    An object whose keys were withheld before has such keys, and one that took another's place would hide its value.
    """
    while (shown := marker("key", index=index)) in keys:
        index += 1
    return shown, index


def is_marker(value: Any) -> bool:
    """Tell whether `value` is exactly one marker."""
    return isinstance(value, str) and value.startswith("[REDACTED:") and MARKER.fullmatch(value) is not None


def is_digest(value: Any) -> bool:
    """Tell whether `value` is exactly one keyed digest."""
    return isinstance(value, str) and value.startswith("h") and _DIGEST.fullmatch(value) is not None


def marker_parts(value: str) -> tuple[str, int | None]:
    """Return the digest (or "") and the size in bytes (or None) that a marker carries."""
    digest = _DIGEST.search(value)
    size = re.search(r":bytes=(?:(\d{1,15})|<)", value)
    return digest.group() if digest else "", coarse_size(int(size.group(1) or 0)) if size else None


def coarse_size(size: int) -> int:
    """Return the size that a field may tell: 63 for anything below 64 bytes.

    An exact small size would tell values apart that a digest keeps secret: `true` from `false`, a PIN from none. A
    marker says `<64`.
    """
    return max(size, SMALL - 1)


def marker_roles(value: str) -> tuple[str, ...]:
    """Return the message roles that a marker carries."""
    roles = re.search(r":roles=([a-z+]+)", value)
    return tuple(roles.group(1).split("+")) if roles else ()


def canonical(value: Any) -> bytes | None:
    """Return the bytes of `value` for a digest: UTF-8 text, raw bytes, or JSON with sorted keys. Total.

    None for an object that is no data: two of them could not be compared, so they have no digest.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    try:
        if not (isinstance(value, float | list | tuple) and json_writes_null(value)):
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=_bytes_only)
    except (TypeError, ValueError, RecursionError):
        pass
    return bytes_beyond_json(value)


def _bytes_only(value: Any) -> Any:
    if isinstance(value, bytes | bytearray):
        return {"bytes": bytes(value).hex()}
    raise TypeError
