"""The attribute `runbundle.capture`: how each value fared on its way from the agent to its span.

A value that was recorded whole is not named there, so the common case costs nothing. Any other value has one of the
words below. It also has the SHA-256 and the size of the whole, if the whole was digested though it was too large to be
recorded. An abandoned stream has them too, and so has a stream of items, which is `chunked`. The redactor replaces the
SHA-256 by a keyed digest, since a value of few possibilities could be guessed from it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

import orjson

from runbundle.format.words import CaptureWord
from runbundle.redaction.markers import is_digest
from runbundle.signals import own
from runbundle.signals.keys import SPAN_KEYS
from runbundle.signals.records import Attributes

WORDS: tuple[CaptureWord, ...] = ("whole", "oversize", "abandoned", "cut", "not_consumed", "unserialisable")
"""The words, from best to worst."""
DIGESTED = frozenset({"whole", "oversize", "abandoned"})
"""Words of values that may have a digest. Two different values of any other word could have the same digest."""
CONTENT_KINDS = frozenset({"content", "messages", "arguments", "result", "config"})

_RANK = {word: rank for rank, word in enumerate(WORDS)}
_MAX_TEXT = 16_384
_HEX = frozenset("0123456789abcdef")


class Said(NamedTuple):
    """How one value was captured."""

    word: CaptureWord
    sha256: str = ""
    """SHA-256 of the whole canonical text, in hex. It never leaves the redactor."""
    digest: str = ""
    """The keyed digest that a redactor made from it."""
    size: int | None = None
    """Size of the whole canonical text, in bytes."""
    chunked: bool = False
    """Whether the value is a sequence of items. The same answer cut into other items has another digest."""


def worst(words: Iterable[CaptureWord]) -> CaptureWord:
    """Return the worst of some words, or `whole` if there are none."""
    found: CaptureWord = "whole"
    for word in words:
        if _RANK[word] > _RANK[found]:
            found = word
    return found


def parse_capture(text: object) -> dict[str, Said] | None:
    """Read the attribute. Return None unless the text has exactly its shape, so that nothing else can travel under its
    name.
    """
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
        said = _parsed(entry) if key in SPAN_KEYS else None
        # Of a name or an id nothing is said but that it was cut.
        if said is None or (SPAN_KEYS[key] not in CONTENT_KINDS and said != Said("cut")):
            return None
        found[key] = said
    return found


def _parsed(entry: Any) -> Said | None:
    if not isinstance(entry, dict):
        return None
    fields = cast("dict[str, Any]", entry)
    word, sha256, digest, size = (fields.get(name) for name in ("word", "sha256", "digest", "bytes"))
    chunked = fields.get("chunked", False)
    if word not in WORDS or set(fields) - {"word", "sha256", "digest", "bytes", "chunked"} or type(chunked) is not bool:
        return None
    if sha256 is None and digest is None and size is None:
        return Said(word, chunked=chunked)
    digested = (sha256 is None) != (digest is None) and word in DIGESTED
    if not digested or type(size) is not int or not 0 <= size < 10**15:
        return None
    if sha256 is not None and not (isinstance(sha256, str) and len(sha256) == 64 and _HEX.issuperset(sha256)):
        return None
    return Said(word, sha256 or "", digest or "", size, chunked) if digest is None or is_digest(digest) else None


def capture_text(said: Mapping[str, Said]) -> str:
    """Return the attribute's text for captured values by key."""
    body: dict[str, dict[str, Any]] = {}
    for key, (word, sha256, digest, size, chunked) in said.items():
        whole = {"sha256": sha256, "bytes": size} if sha256 else {"digest": digest, "bytes": size} if digest else {}
        body[key] = {"word": word, **whole, **({"chunked": True} if chunked else {})}
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()


def with_capture_of_others(attributes: Attributes) -> Attributes:
    """Return attributes that others wrote with what they may say of captures; the same object if they say nothing.

    That is which values were cut, and how messages were captured: a completion hook has us capture those for spans of
    others. A text that has not the attribute's shape stays, and is dropped as it is from any span.
    """
    known = parse_capture(attributes[own.CAPTURE]) if own.CAPTURE in attributes else None
    if known is None:
        return attributes
    kept = {key: said for key, said in known.items() if said == Said("cut") or SPAN_KEYS[key] == "messages"}
    if len(kept) == len(known):
        return attributes
    if kept:
        return {**attributes, own.CAPTURE: capture_text(kept)}
    return {key: value for key, value in attributes.items() if key != own.CAPTURE}


def with_said(text: object, said: Mapping[str, Said]) -> str:
    """Return the attribute's `text` with the captures in `said` added; they replace earlier ones of the same keys."""
    known = (parse_capture(text) or {}) | dict(said)
    return capture_text({key: one for key, one in known.items() if one.word != "whole" or one.chunked})
