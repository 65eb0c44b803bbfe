"""The words that call a value beside them a credential: one table, for keys and for text.

A key names a credential by its words (`db_password`, `clientSecret`, `X-Api-Key`): by the last word, or by any word
that has no other meaning. A later word can change that: a `token_count` is a number, a `public_key` is no secret. Some
keys name a credential only if the value looks like one: `key`, `tokens`, `seed`. The rules for text are built from the
same table, with those words that are telling in text.
"""

import math
from collections import Counter
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from runbundle.process.regex import later
from runbundle.redaction.markers import blanked

Strength = Literal["", "weak", "strong"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PASSWORDS = _words("password passwd passphrase passcode pwd pswd passwort kennwort senha contrasena contraseña mdp")
"""Words for passwords that people type, whatever follows them in a key."""
SECRETS = _words("secret credential cred apikey secretkey accesskey privatekey passkey")
"""Words for credentials of machines, whatever follows them in a key."""
ENDINGS = _words(
    "pass pw token auth authorization cookie jwt dsn pin otp totp pat bearer salt csrf xsrf cvv cvc mnemonic psk"
)
"""Words that name a credential as the last word of a key."""
_GLUED = ("password", "passwd", "passphrase", "secret", "apikey", "accesskey", "secretkey", "privatekey", "credentials",
          "token", "sessid", "sessionid", "connectionstring")  # fmt: skip
"""How a word ends that is made of several without a sign between them: `dbpassword`, `PHPSESSID`."""

KEY_OF = _words(
    "api app access account acct private priv secret signing sign encryption encrypt enc decryption master shared"
    " service storage session client consumer license licence admin auth write read subscription integration"
    " webhook deploy user project developer personal rest server bot ssh db root hmac jwt cookie aes rsa ec dsa"
    " ecdsa ed25519 pgp gpg tls ssl wrapping kek dek cek product activation recovery security crypto cipher mac"
    " seed wallet bearer oauth function functions host wifi wpa preshared machine system service_role anon"
    " bootstrap registration provisioning cluster"
)
"""Words before `key`, `secret`, `token`, `pass` or `pin` that make it a credential."""
_NO_KEY_OF = _words(
    "public pub primary foreign sort partition range hash row cache idempotency idempotent dedup dedupe"
    " deduplication group object s3 lookup map dict json unique natural surrogate composite index routing message"
    " event record entity i18n translation locale config field column attribute property label tag search query"
    " order issue parent child business trace span sorting filter answer registry option setting shortcut hot arrow"
    " test storage_object blob bucket metric"
)
_NO_TOKEN_OF = _words(
    "max min input output num n total prompt completion stop eos bos pad unk special cls sep mask next page"
    " nextpage prev previous continuation pagination sync resume cancellation cancel new_line start end context"
    " reasoning cached budget used remaining generated text word sub begin image audio thinking"
)
_ABOUT = _words(
    "id ids uuid guid count counts counter length len size type kind name names url uri path paths file filename"
    " dir folder directory expires expire expiry expiration expired ttl age created updated changed modified at on"
    " date time timeout version algorithm alg format policy policies rule rules hint hints status state enabled"
    " disabled required valid validated limit limits usage used rate ratio price cost budget strength field fields"
    " column prefix suffix arn issuer provider providers method methods scheme schemes endpoint server store"
    " manager digest fingerprint index position rotation rotated class encoding bits scope scopes present set"
    " exists sock socket cmd command env var source backend mode reset resets attempts attempt retries link page"
    " max min number per window buffer overflow bucket holder owner label labels placeholder error errors message"
    " description template prompt tokens completion model models"
)
"""Last words that make a key name something about a credential, not the credential."""
_SAME = _words(
    "value values val str string text raw plain plaintext cleartext b64 base64 hex new old current confirm confirmation"
    " confirmed again repeat repeated verify prod production dev staging stage live sandbox primary secondary backup"
    " default main my the base data header headers"
)
"""Last words that change nothing."""
_WHOLE: dict[str, Strength] = {
    **dict.fromkeys(
        (
            "access key id", "connection string", "conn str", "conn string", "connection str", "set cookie", "seed"
            " phrase",
            "recovery phrase", "recovery code", "recovery codes", "backup code", "backup codes", "security code",
            "verification code", "access code", "auth code", "authorization code", "otp code", "pin code", "totp seed",
            "session key", "mot de passe", "secret id", "x csrf", "pass code", "pass word",
            "pass phrase", "password hash",
        ),
        "strong",
    ),
    **dict.fromkeys(
        ("key", "keys", "tokens", "seed", "session", "session id", "sid", "license", "licence", "sig", "webhook"),
        "weak",
    ),
}  # fmt: skip
"""Keys, and endings of keys, that are judged as a whole."""
TEXT_WORDS = sorted(
    filter(str.isascii, (PASSWORDS | SECRETS | ENDINGS) - _words("pin cookie pat cvv cvc mnemonic psk csrf xsrf"))
)
"""Words that are telling in text too, if a value follows."""

NEVER_KEPT_WORDS = ("password", "passwd", "secret", "token", "api_?key")
"""Words that no kept text may have a value behind, whatever the rules by context say of the value."""

_PARTS = later(r"[A-Z]+(?![a-z])|[A-Z]?[a-zß-ÿ]+|[0-9]+")
_LONGEST_KEY = 256


@lru_cache(maxsize=8192)
def credential_key(key: str) -> Strength:
    """Tell whether a key names a credential: `strong` surely, `weak` if its value looks like one, "" not."""
    words = _split(key[-_LONGEST_KEY:])
    known = _known(words)
    while not known and len(words) > 1 and words[-1] in _SAME:
        words.pop()
        known = _known(words)
    if known or not words:
        return known
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last in _ABOUT and not (last == "tokens" and before not in _NO_TOKEN_OF):
        return ""
    single = last[:-1] if last.endswith("s") and last != "pass" else last
    if single == "token":
        if before in _NO_TOKEN_OF:
            return ""
        return "strong" if last == "token" or before in KEY_OF else "weak"
    if single == "key":
        return "strong" if before in KEY_OF else "" if before in _NO_KEY_OF else "weak"
    if single in PASSWORDS or single in SECRETS or single in ENDINGS or last in ENDINGS or single == "cred":
        return "strong"
    if last.endswith(_GLUED) or single.endswith(_GLUED):
        return "strong"
    if any(word in PASSWORDS or word in SECRETS or word.removesuffix("s") in SECRETS for word in words):
        return "strong"
    return "strong" if any(b in KEY_OF and k == "key" for b, k in pairwise(words)) else ""


def _split(key: str) -> list[str]:
    if "[REDACTED:" in key:
        key = blanked(key, " ")  # a marker names a class, such as `credential`, and is no word of the key
    words = [part.lower() for part in _PARTS.findall(key)]
    while len(words) > 1 and words[-1].isdigit():
        words.pop()
    return words


def _known(words: list[str]) -> Strength:
    for length in (3, 2, 1):
        known = _WHOLE.get(" ".join(words[-length:])) if len(words) >= length else None
        if known and (length > 1 or len(words) == 1):
            return known
    return ""


def names_another(key: str) -> bool:
    """Tell whether a key names a key or token that is no credential: `idempotency-key`, `max_tokens`."""
    words = _split(key[-_LONGEST_KEY:])
    if len(words) < 2:
        return False
    of = {"key": _NO_KEY_OF, "token": _NO_TOKEN_OF}.get(words[-1].removesuffix("s"))
    return of is not None and words[-2] in of


def is_credential(key: str, value: object) -> bool:
    """Tell whether a single value under `key` is a credential and has to be withheld."""
    strength = credential_key(key)
    if not strength or value is None or isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return strength == "strong" and (abs(value) >= _SMALL or _typed(key))
    if not isinstance(value, str):
        return strength == "strong"
    if strength == "weak":
        return looks_drawn(value)
    return bool(value.strip()) and not (key.lower().endswith("pwd") and value.startswith(("/", "\\"))) and not (
        value.lower() in _SCHEMES and not _typed(key)
    )  # fmt: skip


def holds_below(key: str) -> bool:
    """Tell whether everything in an object under `key` is a credential. Not for `auth`, whose fields are mixed."""
    return credential_key(key) == "strong" and not key.lower().endswith("auth")


_SMALL = 1000
_SCHEMES = _words("basic bearer digest oauth oauth2 oidc saml jwt token apikey api_key none null true false ntlm"
                  " negotiate"
                  " iam mtls auto required optional")  # fmt: skip


def _typed(key: str) -> bool:
    """Tell whether a key is one for what people type or keep: a password, a PIN."""
    words = _split(key)
    return any(word in PASSWORDS or word in SECRETS or word in ("pin", "otp", "totp", "cvv", "cvc") for word in words)


_FLAT = later(
    r"(?i)[a-z]+(?:[_.:/ -]+[a-z]+)*[_.:-]?[0-9]{0,3}"  # words
    r"|[0-9][0-9.,:/ TZ+-]*"  # numbers, dates
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|[a-z][a-z0-9+.-]*://[^\s@]*|[./~][^\s]*|(?:[\w.@ -]+/)+[\w.@ -]*|\$\{.*\}|\{\{.*\}\}|<.*>"
)


def looks_drawn(text: str) -> bool:
    """Tell whether a text looks drawn at random: mixed characters, and no word, number, date, id or path."""
    if not 8 <= len(text) <= 512 or " " in text.strip() or "[REDACTED:" in text:
        return False
    kinds = sum((
        any(c.islower() for c in text), any(c.isupper() for c in text), any(c.isdigit() for c in text),
        any(not c.isalnum() and c not in "-_.:/" for c in text),
    ))  # fmt: skip
    digits = sum(c.isdigit() for c in text)
    drawn = kinds >= 3 or (len(text) >= 16 and digits >= 2 and _entropy(text) >= 3.0)
    return drawn and _FLAT.fullmatch(text) is None  # last: of what is left few are asked


def _entropy(text: str) -> float:
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
