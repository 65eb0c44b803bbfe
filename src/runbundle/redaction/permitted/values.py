"""Tests whether a value has the shape that its key promises."""

import re
from functools import lru_cache
from typing import Any, cast

import orjson

from runbundle.format.identity import valid_run_id
from runbundle.process.regex import later
from runbundle.redaction.captured import parse_capture
from runbundle.redaction.markers import is_digest
from runbundle.redaction.messages import parse_messages
from runbundle.redaction.permitted.kept_text import is_known_number
from runbundle.redaction.permitted.names import BLANKS, CHARS, LONGER, has_number_of_person, names_a_person
from runbundle.redaction.permitted.safe_text import (
    has_credential_format,
    safe_identifier,
    safe_name,
    until_more_is_known,
)
from runbundle.redaction.receipt import parse_receipt
from runbundle.signals import own
from runbundle.signals.keys import NAMES_RUNS, Kind
from runbundle.signals.records import COERCED_WORDS

_LONG_NUMBER = 10_000_000
"""A number below it is neither a known secret nor a person's."""
_SPAWNED = later(r"main|[^\s:]{0,199}(?:#[0-9]{1,9}|@[0-9a-f]{15})")


def is_name(text: str, key: str = "") -> bool:
    """Tell whether `text` may be kept as a name under `key`, or under any key without one."""
    return len(text) <= LONGER.get(key, CHARS) and text.count(" ") <= BLANKS and safe_name(text)


def is_flag(value: Any) -> bool:
    """Tell whether `value` is a boolean, or one as text, as Python's SDK writes it."""
    return value.__class__ is bool or (value.__class__ is str and value in ("True", "False", "true", "false"))


def allowed(kind: Kind, key: str, value: Any) -> bool:
    """Tell whether a value has the shape that `kind`, the kind of its key, promises."""
    if value.__class__ is str:
        if kind == "name":
            # As `is_name`: an agent that calls itself ends spans on the last frames of the stack.
            return len(value) <= LONGER.get(key, CHARS) and value.count(" ") <= BLANKS and safe_name(value)
        if key in NAMES_RUNS:
            return names_run(value)
        if kind == "id":
            return len(value) <= 256 and safe_identifier(value) and (key != own.CLAIMED_RUN_ID or valid_run_id(value))
        return kind == "own" and own_value(key, value)
    if isinstance(value, bool | int | float):
        if abs(value) >= _LONG_NUMBER and (is_known_number(value) or (kind == "name" and names_a_person(str(value)))):
            return False
        return kind in ("name", "number", "id") or (kind == "own" and key.endswith(".bytes"))
    if isinstance(value, list | tuple) and kind in ("name", "number", "id"):
        items = cast("list[Any]", value)
        return len(items) <= 64 and all(not isinstance(i, list | tuple) and allowed(kind, key, i) for i in items)
    if key == own.COERCED and isinstance(value, list | tuple):
        return all(isinstance(word, str) and word in COERCED_WORDS for word in cast("list[Any]", value))
    return False


def names_run(text: str) -> bool:
    """Tell whether a text may be kept as the id of a run or a tenant."""
    return len(text) <= 256 and _names_run(text)


@lru_cache(maxsize=1024)  # each span of a run has its id: 0.1 µs instead of 4
def _names_run(text: str) -> bool:
    return valid_run_id(text) and not has_credential_format(text)


# A telephone number, or so many digits that they may be one, or a card's: channels make session ids of these.
_MAY_BE_A_PERSON = later(r"\+\d{6}|(?<!\d)\d{9,19}(?![\d.])")


_RANDOM = later(r"(?=(?:[^a-f]*[a-f]){4})(?:[0-9a-f]{32}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})", re.IGNORECASE)
"""A UUID: one in eight has nine digits in a row by chance. With fewer letters it may be a number that was filled up."""


def opaque(key: str, value: Any) -> bool:
    """Tell whether a value may be kept as an id under `key` and names no person by a number."""
    return allowed("id", key, value) and not may_be_a_person(str(value))


def may_be_a_person(text: str) -> bool:
    """Tell whether a text has a number in it that may be a person's, or a card's."""
    found = _MAY_BE_A_PERSON.search(text) is not None or has_number_of_person(text)
    return found and _RANDOM.fullmatch(text) is None


def own_value(key: str, value: str) -> bool:
    """Tell whether a text has the exact form of a value that only a redactor or `configure()` writes under `key`."""
    if key == own.RECEIPT:
        return parse_receipt(value) is not None
    if key == own.EFFECT:
        lane, _, number = value.rpartition(":")
        # The lane alone is judged: with its number each would be judged anew.
        return len(number) <= 9 and number.isdecimal() and number.isascii() and _spawned(lane) and safe_name(lane)
    if key.endswith(".digest"):
        return is_digest(value)
    if key == own.CAPTURE:
        return parse_capture(value) is not None
    if key == own.MESSAGES:
        return parse_messages(value) is not None
    if key == own.VERSIONS:
        return len(value) <= 16_384 and _plain_versions(value)
    return False


@lru_cache(maxsize=8192)
def _spawned(lane: str) -> bool:
    return _SPAWNED.fullmatch(lane) is not None


@until_more_is_known(16)  # of a process there is one, judged twice a run: 0.1 µs instead of 60
def _plain_versions(text: str) -> bool:
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    leaves: list[Any] = [data]
    while leaves:
        item = leaves.pop()
        if isinstance(item, dict):
            leaves += [*cast("dict[str, Any]", item), *cast("dict[str, Any]", item).values()]
        elif isinstance(item, str):
            if not safe_identifier(item):
                return False
        elif item is not None and not isinstance(item, bool):
            return False
    return True


def standard_event(name: str) -> bool:
    """Tell whether an event's name is one of the GenAI conventions."""
    return name.startswith("gen_ai.") and len(name) <= 64 and name.replace(".", "").replace("_", "").isalpha()


_SCHEMA = later(
    r"https://opentelemetry\.io/schemas/(?:gen-ai/)?\d{1,4}(?:\.\d{1,4}){1,2}(?:-[a-z]{1,5}(?:\.?\d{1,3})?)?"
)
_SAMPLING = later(r"(?:th|rv):[0-9a-f]{1,14}|[pr]:\d{1,2}")


def schema_url(url: str) -> str:
    """Return a schema's URL if it is one of OpenTelemetry's, with a version and nothing else behind it; else ""."""
    return url if _SCHEMA.fullmatch(url) is not None else ""


def kept_trace_state(text: str) -> str:
    """Return what samplers need of OpenTelemetry's own entry of a trace state, or "": thresholds and random values.

    Vendors' entries are free text, and so is any other field of that entry. Both come with requests from outside.
    """
    if not text:
        return ""
    for entry in text.split(","):
        key, _, value = entry.strip().partition("=")
        if key == "ot" and len(value) <= 128:
            kept = ";".join(field for field in value.split(";") if _SAMPLING.fullmatch(field) is not None)
            return f"ot={kept}" if kept or not value else ""
    return ""
