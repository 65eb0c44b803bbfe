"""Which values may become known secrets, and the forms in which a value is written."""

import base64
import html
import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, cast
from urllib.parse import quote, quote_plus

import orjson

from runbundle.process.regex import later

MIN_CHARS = 8
"""Shorter values are not registered, since ordinary text contains them."""
_OPENED = 4096
_SMALLEST_NUMBER = 10 ** (MIN_CHARS - 1)

_QUOTED = 3
"""How often a value may have been written as JSON in JSON: as often as a detector decodes a text."""
_UNICODE = later(r"\\u([0-9a-f]{4})")
_PERCENT = later(r"%[0-9A-F]{2}")
_PLAIN = later(r"[A-Za-z0-9_.~-]+")
_DATE = later(
    r"(?:19|20)\d{2}-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])(?:[T ]?[\d:.,]*(?:Z|[+-]\d{2}:?\d{2})?)?"
    r"|\d{1,2}:\d{2}:\d{2}[\d.,]*|[A-Z][a-z]{2},? \d{1,2} [A-Z][a-z]{2} \d{4}[ \d:]*(?:GMT|UTC|Z)?"
)
_MEDIA_TYPE = later(
    r"(?:application|audio|chemical|font|image|message|model|multipart|text|video)/[A-Za-z0-9.+*-]+"
    r"(?:; ?[a-z]+=[\w.-]+)?"
)
_WRITTEN = (
    "execute_tool", "invoke_agent", "create_agent", "text_completion", "generate_content", "invoke_workflow",
    "embeddings", "run.json", "events.jsonl", "tool_calls.json", "evidence.json", "config.snapshot.json",
    "attestation.dsse.json", "scorecard.json", "gate.json", "no-contract", "undeclared", "unserialisable",
    "content-mode", "openai.chat", "known-secret", "interrupted", "incomplete", "not_consumed",
    "00000000000000000000000000000000", "0000000000000000", "https://opentelemetry.io/schemas/",
)  # fmt: skip
_FIELDS = (
    "ai_agents", "cited_by", "content_mode", "duration_ns", "ended_at", "media_type", "model_calls", "open_spans",
    "otel_sdk", "parent_missing", "parent_run", "parent_span_id", "policy.decision", "policy_blocks", "remote_parent",
    "request_id", "resumed_from", "run.ended", "run.started", "runbundle/config/v1", "runbundle/evidence/v1",
    "runbundle/run/v1", "runbundle/tool_calls/v1", "self_sha256", "session_id", "side_effects", "span.ended",
    "span.event", "span.started", "span_event", "spans_expected", "spans_seen", "started_at", "tenant_id",
    "tool_calls", "trace_id", "trace_ids",
)  # fmt: skip
"""Names and fixed values of the fields of bundles that no other rule refuses. A test holds them to the models, which
would take longer to load than all else of a process that records."""


def leaves(value: object) -> Iterable[str]:
    """Yield the texts in a value: the leaves of JSON, each line of several lines, the digits of a number. Total."""
    pending: list[object] = [value]
    opened: set[int] = set()
    while pending and len(opened) < _OPENED:
        item = pending.pop()
        if type(item) is not str:
            if id(item) in opened:  # a value may contain itself
                continue
            opened.add(id(item))
        try:
            inner, texts = _parts(item)
        except Exception:  # noqa: BLE001, S112 - a mapping that raises, a class that lies: others are read
            continue
        pending += inner
        yield from texts


def _parts(item: Any) -> tuple[list[object], list[str]]:
    """Return what is in a value, and the texts that it is; by its type, since what it says of itself may raise."""
    kind = cast("Any", type(item))
    if issubclass(kind, bytes | bytearray):
        return [bytes(item).decode("utf-8", "replace")], []
    if issubclass(kind, Mapping):
        return list(item.values()), []
    for base in (list, tuple, set, frozenset):
        if issubclass(kind, base):
            return list(cast("Any", base).__iter__(item)), []
    if kind is int or kind is float:
        return [], [str(item)] if abs(item) >= _SMALLEST_NUMBER else []
    if not issubclass(kind, str):
        return [], []
    text = str.__str__(item).encode("utf-8", "replace").decode().strip()  # the environment may hold any bytes
    if text[:1] in ("{", "["):
        try:
            # Of JSON the leaves: the text as a whole would have masked map keys and brackets.
            return [orjson.loads(text)], []
        except orjson.JSONDecodeError:
            pass
    return [], [text, *([line.strip() for line in text.splitlines()] if "\n" in text else [])]


def refusal(value: str) -> str:
    """Return why a value may not be a known secret, or "" if it may: it would be found in ordinary text.

    `short`; `word`; or `format`, for a word that bundles are written with, a media type or a date.
    """
    if len(value) < MIN_CHARS:
        return "short"
    if len(set(value)) <= 3 or (value.isalpha() and len(value) < 16):
        return "word"
    if value in _words_of_the_format() or _DATE.fullmatch(value) or _MEDIA_TYPE.fullmatch(value):
        return "format"
    return ""


@cache
def _words_of_the_format() -> frozenset[str]:
    """Return the keys and the fixed values of bundles and records; codes of findings are too short to be secrets."""
    from runbundle.signals import own
    from runbundle.signals.keys import RESOURCE_KEYS, SPAN_KEYS

    return frozenset({*SPAN_KEYS, *RESOURCE_KEYS, *own.EVENTS, *_FIELDS, *_WRITTEN})


def forms(value: str) -> Iterable[str]:
    """Yield the forms in which `value` is written: as it is, escaped, percent-encoded, in hex and in base64.

    What else a detector decodes it is not written in: it is found once the text around it was decoded.
    """
    yield value
    data = value.encode("utf-8", "replace")
    if _PLAIN.fullmatch(value) is None:
        text = data.decode()
        percent = quote(value, safe="")
        yield from (percent, quote(value), quote_plus(value))
        written = [text]
        for _ in range(_QUOTED):
            written = list(dict.fromkeys(form for before in written for form in _as_json(before)))
            yield from written
        if not text.isascii():
            yield _PERCENT.sub(lambda m: m[0].lower(), percent)
            yield html.escape(text).encode("ascii", "xmlcharrefreplace").decode()
            yield from (text.encode("ascii", "backslashreplace").decode(), repr(data)[2:-1])
    digits = data.hex()
    yield from (digits, digits.upper())
    for shift in range(3):
        # What base64 makes of the value depends on where in a group of three bytes it begins; the characters at
        # either end that also depend on its neighbours are left out.
        padded = bytes(shift) + data
        core = base64.b64encode(padded[: len(padded) // 3 * 3]).decode()[-(-shift * 8 // 6) :]
        if len(core) >= MIN_CHARS:
            yield core
            if "+" in core or "/" in core:
                yield core.replace("+", "-").replace("/", "_")


def _as_json(text: str) -> Iterable[str]:
    """Yield what is between the quotes when a text is written as JSON: in UTF-8, and in ASCII as Python does."""
    yield orjson.dumps(text).decode()[1:-1]
    if not text.isascii():
        escaped = json.dumps(text)[1:-1]
        yield from (escaped, _UNICODE.sub(lambda m: "\\u" + m[1].upper(), escaped))
