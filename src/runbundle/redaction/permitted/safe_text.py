"""Text that may be kept as a name or an id. No key, contract or option lets a text through that fails here.

Two tests. `safe_name` is for values that should be short names (a model, a tool, a host): it allows a closed alphabet
and refuses text that looks drawn at random. `has_credential` searches kept free text for the public formats of
credentials. Both are a net under the contracts and know no context: a password that reads like a word passes them.
"""

import re
from collections.abc import Callable
from functools import cache, lru_cache, wraps
from itertools import pairwise
from typing import Any, TypeVar

import re2  # pyright: ignore[reportMissingTypeStubs]

from runbundle.process.regex import later
from runbundle.redaction.detectors.credential_words import NEVER_KEPT_WORDS, credential_key, names_another
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.markers import blanked
from runbundle.redaction.permitted.names import names_a_person

# Names, ids and keys repeat: of a service's spans nearly all have been judged before. A judgement costs 5 to 10 µs, a
# look-up 0.1 µs. The caches hold at most four times 8,192 short strings.
_CACHE = 8192
_CACHED_CHARS = 256

_Judged = TypeVar("_Judged")
_NAME = later(r"[A-Za-z0-9_./<>{}()\[\]*:,@+= #-]{1,256}")
_IDENTIFIER = later(r"[A-Za-z0-9_.:/|+=-]{1,256}")
_RUN = later(r"[A-Za-z0-9]{16,}")

# Formats from the vendors' public documentation. The detector engine proper is a layer of its own; this is the part
# that must hold without it.
_FORMATS = (
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"  # AWS access key ids
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"
    r"|glpat-[A-Za-z0-9_-]{16,}"
    r"|\b[sr]k[-_][A-Za-z0-9_-]{12,}"  # OpenAI, Anthropic, Stripe and many that copied them
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/"
    r"|AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{20,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}"  # JSON Web Tokens
    r"|-----BEGIN [A-Z0-9 ]*PRIVATE KEY"
    r"|hf_[A-Za-z0-9]{20,}|npm_[A-Za-z0-9]{20,}|pypi-[A-Za-z0-9_-]{20,}|SG\.[A-Za-z0-9_-]{16,}\."
    r"|(?i:bearer|basic)[ +][A-Za-z0-9._~+/=-]{12,}"
    r"|[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#\"'<>@]+@"  # user information in a URL
    rf"|(?i:{'|'.join(NEVER_KEPT_WORDS)})\"?\s*[:=]\s*\"?[^\s\"]{{6,}}"
)
# For an id or a name: too short for a backtracking engine to lose its way in, and this one keeps the interpreter lock.
_SHORT_CREDENTIAL = later(_FORMATS, re.ASCII)
_SHORT = 64
_IN_CREDENTIALS = later(r"[A-Zghknprstxy:]")
"""Text without any of these characters has none of the formats: most ids are of digits and hexadecimal ones."""


@cache
def _credential() -> Any:
    return re2.compile(_FORMATS)  # pyright: ignore[reportUnknownMemberType]


def until_more_is_known(most: int) -> Callable[[Callable[[str], _Judged]], Callable[[str], _Judged]]:
    """Return a decorator that remembers the judgements of `most` texts until a secret is learned.

    A text that is being judged just then is judged again: a cache that was emptied meanwhile would take in, and keep,
    what was true before.
    """

    def remembering(judge: Callable[[str], _Judged]) -> Callable[[str], _Judged]:
        @lru_cache(maxsize=most)
        @wraps(judge)
        def judged(text: str) -> _Judged:
            while True:
                changes = KNOWN.changes
                judgement = judge(text)
                if KNOWN.changes == changes:
                    return judgement

        KNOWN.on_change(judged.cache_clear)
        return judged

    return remembering


def has_credential(text: str) -> bool:
    """Tell whether `text` holds a known secret or text in the public format of a credential. Linear in its length."""
    return _short_has_credential(text) if len(text) <= _CACHED_CHARS else _has_credential(text)


def has_credential_format(text: str) -> bool:
    """Tell whether `text` holds text in the public format of a credential, whatever secrets this process knows."""
    return _has_format(text) and _has_format(blanked(text, '"'))


def bytes_have_credential_format(data: bytes) -> bool:
    """Tell the same of the text that `data` is in UTF-8. Of ASCII, as most is, it makes no copy."""
    if data.isascii() and _credential().search(data) is None:
        return False
    return has_credential_format(data.decode("utf-8", "replace"))


def _has_credential(text: str) -> bool:
    if not _searched(text):
        return False  # nearly all text: what is written by ourselves need not be found in it
    # Quotes, since the word before a marker or a digest is no key to it, nor to what comes after it.
    rest = blanked(text, '"')
    return rest is text or _searched(rest)


def _searched(text: str) -> bool:
    return _has_format(text) or bool(KNOWN.find(text))


def _has_format(text: str) -> bool:
    if len(text) > _SHORT or not text.isascii():
        return _credential().search(text) is not None
    return _IN_CREDENTIALS.search(text) is not None and _SHORT_CREDENTIAL.search(text) is not None


@until_more_is_known(_CACHE)
def _short_has_credential(text: str) -> bool:
    return _has_credential(text)


@until_more_is_known(_CACHE)
def safe_name(text: str) -> bool:
    """Tell whether `text` may be kept where a short name of few possible values belongs."""
    if _NAME.fullmatch(text) is None or has_credential(text) or names_a_person(text) or _says_a_credential(text):
        return False
    return not any(_drawn_at_random(token.group()) for token in _RUN.finditer(text))


@until_more_is_known(_CACHE)
def safe_identifier(text: str) -> bool:
    """Tell whether `text` may be kept where an id belongs. Ids are random, so only alphabet and formats are tested."""
    return judged_identifier(text)


def judged_identifier(text: str) -> bool:
    """Tell what `safe_identifier` does, for a caller that remembers answers itself: most ids are met once."""
    return _IDENTIFIER.fullmatch(text) is not None and not _has_credential(text)


_SAID = later(r"([A-Za-z_-]{2,40})(?: is)?[ =:]{1,3}(\S{6,})")


def _says_a_credential(text: str) -> bool:
    """Tell whether a word in `text` names a credential and what follows it is one: `password Tr0ub4dor`."""
    return any(
        credential_key(said[1]) != "" and not said[2].isalpha() and any(map(str.isdigit, said[2]))
        and not names_another(said[1])
        for said in _SAID.finditer(text)
    )  # fmt: skip


def _drawn_at_random(token: str) -> bool:
    """Judge one run of 16 or more letters and digits: many changes between letter cases and digits means random."""
    changes = sum(_kind(a) != _kind(b) for a, b in pairwise(token))
    digits = sum(c.isdigit() for c in token)
    return changes >= len(token) / 3 or (digits >= 6 and len(token) - digits >= 4)


def _kind(character: str) -> int:
    return 0 if character.isdigit() else 1 if character.islower() else 2 if character.isupper() else 3
