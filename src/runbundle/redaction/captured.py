"""What became of each value between the agent and its span: the attribute `runbundle.capture`, and its words.

A value that was recorded whole is not named there, so that the common case costs nothing. For any other the attribute
has one of the words below and, where the whole was digested though it was too large to be recorded, its SHA-256 and
its size. The redactor puts a keyed digest in the place of the SHA-256, which could be guessed for a value of few
possibilities.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

import orjson

from runbundle.models.bundle import CaptureWord
from runbundle.redaction.keys import SPAN_KEYS
from runbundle.redaction.markers import is_digest

CAPTURE = "runbundle.capture"
WORDS: tuple[CaptureWord, ...] = ("whole", "oversize", "abandoned", "cut", "not_consumed", "unserialisable")
"""From best to worst."""
DIGESTED = frozenset({"whole", "oversize", "abandoned"})
"""Words of values that may have a digest: of the others, two different ones would have the same."""
CONTENT_KINDS = frozenset({"content", "messages", "arguments", "result", "config"})

_RANK = {word: rank for rank, word in enumerate(WORDS)}
_MAX_TEXT = 16_384
_HEX = frozenset("0123456789abcdef")


class Said(NamedTuple):
    """What is said of one value."""

    word: CaptureWord
    sha256: str = ""
    """Of the whole canonical text, in hex; never leaves the redactor."""
    digest: str = ""
    """The keyed digest that a redactor made of it."""
    size: int | None = None
    """Bytes of the whole canonical text."""


def worst(words: Iterable[CaptureWord]) -> CaptureWord:
    """Return the worst of some words; `whole` if there are none."""
    found: CaptureWord = "whole"
    for word in words:
        if _RANK[word] > _RANK[found]:
            found = word
    return found


def parse_capture(text: object) -> dict[str, Said] | None:
    """Read the attribute; None for anything that has not exactly its shape, so that nothing else travels under it."""
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        return None
    try:
        body = orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None
    if not isinstance(body, dict) or not body:
        return None
    found: dict[str, Said] = {}
    for key, entry in cast("dict[str, Any]", body).items():
        said = _parsed(entry) if SPAN_KEYS.get(key) in CONTENT_KINDS else None
        if said is None:
            return None
        found[key] = said
    return found


def _parsed(entry: Any) -> Said | None:
    if not isinstance(entry, dict):
        return None
    fields = cast("dict[str, Any]", entry)
    word, sha256, digest, size = (fields.get(name) for name in ("word", "sha256", "digest", "bytes"))
    if word not in WORDS or set(fields) - {"word", "sha256", "digest", "bytes"}:
        return None
    if sha256 is None and digest is None and size is None:
        return Said(word)
    digested = (sha256 is None) != (digest is None) and word in DIGESTED
    if not digested or type(size) is not int or not 0 <= size < 10**15:
        return None
    if sha256 is not None and not (isinstance(sha256, str) and len(sha256) == 64 and _HEX.issuperset(sha256)):
        return None
    return Said(word, sha256 or "", digest or "", size) if digest is None or is_digest(digest) else None


def capture_text(said: Mapping[str, Said]) -> str:
    """Return the attribute's text."""
    body: dict[str, dict[str, Any]] = {}
    for key, (word, sha256, digest, size) in said.items():
        whole = {"sha256": sha256, "bytes": size} if sha256 else {"digest": digest, "bytes": size} if digest else {}
        body[key] = {"word": word, **whole}
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()
