"""Makes span attributes of what an agent passes in. Data of any type is converted, or withheld and counted."""

import functools
import hashlib
import logging
import math
import secrets
import time
from collections.abc import Callable
from typing import Any, ParamSpec

import orjson

from runbundle.format.identity import tenant_of, valid_run_id
from runbundle.format.words import CaptureWord
from runbundle.otel import active
from runbundle.otel.agent.at_source import set_value
from runbundle.otel.agent.capture import capture
from runbundle.otel.agent.json_kinds import type_of
from runbundle.otel.ids import new_run_id
from runbundle.redaction.captured import with_said
from runbundle.redaction.markers import marker
from runbundle.signals import own

P = ParamSpec("P")
MAX_TEXT = 4096
"""Characters of a name or an id; longer ones are cut."""

_log = logging.getLogger("runbundle")
_EVERY_S = 30.0
_mentioned_at: dict[str, float] = {}


def text_of(value: object, default: str = "") -> str:
    """Return a value as text for a name or an id, cut to 4,096 characters; `default` for None. Never raises."""
    if type(value) is str and len(value) <= MAX_TEXT and value.isascii():
        return value
    return default if value is None else _text(value)[:MAX_TEXT]


def _text(value: object) -> str:
    return _plain(capture(value).text)


def _plain(text: str) -> str:
    """Return JSON text as it is, and the text that it is of without its quotes."""
    return orjson.loads(text) if text[:1] == '"' else text


def number_of(value: object) -> int | float | None:
    """Return a value as a finite number; None if it is none. A text, a Decimal or a NumPy scalar may be one."""
    number: Any = value if type(value) in (int, float) else _text(value)
    try:
        if type(number) is str:
            number = 1 if number == "true" else 0 if number == "false" else float(number)
        return number if math.isfinite(number) else None
    except (ValueError, OverflowError):
        return None


def integer_of(value: object) -> int | None:
    """Return a value as an integer of 64 bits; None if it is none or out of range."""
    number = number_of(value)
    return int(number) if number is not None and -(2**63) <= number < 2**63 else None


def attribute_of(value: Any) -> str | bool | int | float:
    """Return a value as a span attribute: itself, its JSON text, or a marker where that text is not whole."""
    kind = type_of(value)
    if (
        kind is bool
        or (kind is str and value.isascii() and len(value) <= MAX_TEXT)
        or (kind is int and -(2**63) <= value < 2**63)
        or (kind is float and math.isfinite(value))
    ):
        return value
    seen = capture(value)
    if seen.word == "oversize":
        return marker("oversize", size=seen.size)
    if seen.word != "whole":
        return marker("unserialisable")
    return _plain(seen.text)


def kind_of(value: object) -> str:
    """Return the name of a value's type. Never raises."""
    try:
        return text_of(type(value).__name__)
    except Exception:  # noqa: BLE001 - a metaclass may have anything to say of its classes' names
        return "object"


def with_value(attributes: dict[str, Any], key: str, value: Any, *, as_text: bool = False) -> dict[str, Any]:
    """Put a captured value into `attributes`, with its capture word if it is not whole; return `attributes`.

    `as_text`: a text is set without JSON's quotes.
    """
    seen = capture(value)
    attributes[key] = _plain(seen.text) if as_text else seen.text
    if seen.word != "whole":
        attributes[own.CAPTURE] = with_said(attributes.get(own.CAPTURE), {key: seen.said})
    return attributes


def put(span: Any, key: str, value: Any, word: CaptureWord = "whole") -> None:
    """Capture a value and set it on a live span, with the word for what became of it: at best `word`."""
    seen = capture(value, word)
    set_value(span, key, seen.text, seen.said)


def run_id_or_new(value: object, attributes: dict[str, Any]) -> str:
    """Return the run id that was given, or a new one if it is None or cannot be a run id.

    A refused id is logged and put into `attributes` as the claim, as a digest where it is longer than 4,096 characters.
    """
    if value is not None:
        text = _text(value)
        if valid_run_id(text):
            return text
        digest = hashlib.sha256(text.encode()).hexdigest()
        attributes[own.CLAIMED_RUN_ID] = text if len(text) <= MAX_TEXT else f"sha256:{digest}"
        warn_rarely("a run was given an id that cannot be one; it has one of ours, and its bundle names the claim")
    return new_run_id()


def tenant_id_of(value: object) -> str:
    """Return the tenant id that was given, or a digest of it where it cannot be a tenant id; "" for None.

    Runs of an invalid tenant are thereby kept apart from those of every other tenant. A value that is no data gets a
    random id each time. The replacement is logged.
    """
    claim = value
    if value is not None and type(value) is not str:
        seen = capture(value)
        # Of what is no data nobody could say whether it is the same tenant again.
        claim = _plain(seen.text) if seen.word == "whole" else f"/{seen.sha256 or secrets.token_hex(16)}"
    tenant = tenant_of(claim)
    if tenant != claim and claim is not None:
        warn_rarely("a run was given a tenant id that cannot be one; its bundle is under a digest of it")
    return tenant


def count_lost(what: str) -> None:
    """Count a value that could not be recorded as `given_{what}`, and log it, if a configuration is active."""
    handle = active.get()
    if handle is not None:
        handle.recorder.count_dropped(f"given_{what}")
        warn_rarely(f"something could not be recorded ({what}); it is counted")


def warn_rarely(message: str) -> None:
    """Log a warning, which must quote no data, unless the same one was logged in the last 30 seconds."""
    now = time.monotonic()
    if now - _mentioned_at.get(message, -_EVERY_S) >= _EVERY_S:
        _mentioned_at[message] = now
        _log.warning("%s", message)


def never_raise(method: Callable[P, None]) -> Callable[P, None]:
    """Wrap a recording method so that its exceptions do not reach the agent.

    The record is lost then; it is counted as `given_{method}` and logged.
    """

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except Exception:  # noqa: BLE001 - never raise into the agent
            count_lost(method.__name__)

    return call
