"""The typed edge: the fields of a span or a log record become a record of exactly the declared types, here and once.

Instrumentations give times as floats, names as numbers and keys as tuples. A field of another type is converted, or
replaced by a stand-in if it cannot be; the attribute `runbundle.coerced` lists these fields. Code behind this module
checks no type of a record again.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from runbundle.redaction.markers import marker
from runbundle.signals import own
from runbundle.signals.records import COERCED_WORDS, LATEST_NS, Attributes, LogRecordDict, SpanRecord

MAX_DEPTH = 64
"""Attribute values nested deeper than this become a marker; payloads are opened to the same depth."""

_TRACE_MAX, _SPAN_MAX = 2**128 - 1, 2**64 - 1
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1  # as OpenTelemetry has them
_INT_BITS_AS_DECIMAL = 4096  # CPython refuses to write numbers of more than 4,300 digits
_KINDS, _STATUS_CODES = frozenset(range(5)), frozenset(range(3))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNWRITABLE = marker("unserialisable")


def span_record(raw: dict[str, Any], *, ended: bool = True, now_ns: Callable[[], int] = time.time_ns) -> SpanRecord:
    """Turn `raw`, the fields of a span as its SDK has them, into a record, in place; return it.

    Ids in `raw` are numbers; `kind` and `status_code` are -1 if they are invalid. A time is valid from 1970 to 2262. An
    invalid start is replaced by the end, an invalid end by the start, and both by the present (`now_ns`) if both are
    invalid. A span that has not `ended` needs no end. An event's invalid time is replaced by the span's start. Total.
    """
    said: list[str] = []
    trace_id, span_id, parent_id = raw["trace_id"], raw["span_id"], raw["parent_span_id"]
    if type(trace_id) is type(span_id) is int and 0 <= trace_id <= _TRACE_MAX and 0 <= span_id <= _SPAN_MAX:
        raw["trace_id"], raw["span_id"] = f"{trace_id:032x}", f"{span_id:016x}"
    else:
        raw["trace_id"] = _hex(trace_id, _TRACE_MAX, 32, said, "trace_id")
        raw["span_id"] = _hex(span_id, _SPAN_MAX, 16, said, "span_id")
    if parent_id != "":
        raw["parent_span_id"] = _hex(parent_id, _SPAN_MAX, 16, said, "parent_span_id")
    name, start, end, message = raw["name"], raw["start_ns"], raw["end_ns"], raw["status_message"]
    if name.__class__ is not str or not name.isascii():
        raw["name"] = _text(name, said, "name")
    if message != "" and (message.__class__ is not str or not message.isascii()):
        raw["status_message"] = _text(message, said, "status_message")
    if not (type(start) is type(end) is int and 0 <= start <= LATEST_NS and 0 <= end <= LATEST_NS):
        _times(raw, said, now_ns, ended=ended)
    if raw["kind"] not in _KINDS:
        raw["kind"] = _odd(said, "kind", 0)
    if raw["status_code"] not in _STATUS_CODES:
        raw["status_code"] = _odd(said, "status_code", 0)
    raw["attributes"] = attributes_of(raw["attributes"], said, "attributes")
    for event in raw["events"]:
        name, time_ns = event["name"], event["time_ns"]
        if type(name) is not str or not name.isascii():
            event["name"] = _text(name, said, "events.name")
        if type(time_ns) is not int or not 0 <= time_ns <= LATEST_NS:
            event["time_ns"] = _time(time_ns, said, "events.time_ns", raw["start_ns"])
        event["attributes"] = attributes_of(event["attributes"], said, "events.attributes")
    for link in raw["links"]:
        link["trace_id"] = _hex(link["trace_id"], _TRACE_MAX, 32, said, "links.trace_id")
        link["span_id"] = _hex(link["span_id"], _SPAN_MAX, 16, said, "links.span_id")
        link["attributes"] = attributes_of(link["attributes"], said, "links.attributes")
    if said:
        _state(raw["attributes"], said)
    return cast("SpanRecord", raw)


def log_record(raw: dict[str, Any], observed_ns: object, *, now_ns: Callable[[], int] = time.time_ns) -> LogRecordDict:
    """Turn `raw`, the fields of a log record as its SDK has them, into a record, in place; return it.

    An invalid time is replaced by `observed_ns`, or by the present if that is invalid too. Total.
    """
    said: list[str] = []
    raw["trace_id"] = _hex(raw["trace_id"], _TRACE_MAX, 32, said, "trace_id")
    raw["span_id"] = _hex(raw["span_id"], _SPAN_MAX, 16, said, "span_id")
    if type(raw["time_ns"]) is not int or not 0 <= raw["time_ns"] <= LATEST_NS:
        seen = time_of(observed_ns)
        raw["time_ns"] = _time(raw["time_ns"], said, "time_ns", now_ns() if seen is None else seen)
    if type(raw["severity"]) is not int or not 0 <= raw["severity"] <= 24:
        raw["severity"] = _odd(said, "severity", 0)
    for field in ("severity_text", "event_name"):
        if type(raw[field]) is not str or not raw[field].isascii():
            raw[field] = _text(raw[field], said, field)
    body = raw["body"]
    if body is not None and (type(body) is not str or not body.isascii()):
        raw["body"] = _value(body, 0, said, "body")
    raw["attributes"] = attributes_of(raw["attributes"], said, "attributes")
    if said:
        _state(raw["attributes"], said)
    return cast("LogRecordDict", raw)


# -- times, ids, texts -------------------------------------------------------------------------------------------------


def time_of(value: object) -> int | None:
    """Return a value as nanoseconds since 1970, or None if it is no time from 1970 to 2262. Total."""
    if type(value) is not int:
        value = _number(value)
    return value if isinstance(value, int) and 0 <= value <= LATEST_NS else None


def hex_id(value: object, digits: int) -> str:
    """Return an id as 16 or 32 lower-case hex digits, all zeros if it cannot be an id. Total."""
    if type(value) is int:  # of every span three times
        if digits == 16 and 0 <= value <= _SPAN_MAX:
            return f"{value:016x}"
        if digits == 32 and 0 <= value <= _TRACE_MAX:
            return f"{value:032x}"
    return _hex(value, 16**digits - 1, digits, [], "")


def text_of_scope(value: object) -> str:
    """Return the name, version or URL of an instrumentation scope as text, or "" if it is none. Total."""
    return _text(value, [], "")


def _times(raw: dict[str, Any], said: list[str], now_ns: Callable[[], int], *, ended: bool) -> None:
    given, given_end = raw["start_ns"], raw["end_ns"]
    start, end = time_of(given), time_of(given_end)
    present = now_ns() if start is None and end is None else 0
    raw["start_ns"] = start if start is not None else end if end is not None else present
    raw["end_ns"] = end if end is not None else raw["start_ns"]
    _time(given, said, "start_ns", 0)
    if ended or given_end is not None:
        _time(given_end, said, "end_ns", 0)


def _time(value: object, said: list[str], word: str, stand_in: int) -> int:
    """Return a time that is not as it should be as what it stands for, or the stand-in; say which of the two."""
    found = time_of(value)
    if found is None:
        said.append(f"{word}:replaced")
        return stand_in
    if type(value) is not int:
        said.append(word)
    return found


def _number(value: object) -> int | None:
    """Return the whole number that a value of another type stands for; None for what stands for none."""
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, datetime):
            return (value.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1000
        if isinstance(value, str):
            return int(value) if len(value) <= 40 and value.isascii() and value.isdigit() else None
        if isinstance(value, bytes | bytearray):
            return None
        return int(cast("Any", value))  # float, Decimal, Fraction, the numbers of NumPy
    except Exception:  # noqa: BLE001 - infinity, no number at all, or an object that raises
        return None


def _hex(value: Any, most: int, digits: int, said: list[str], word: str) -> str:
    if value.__class__ is not int or not 0 <= value <= most:
        said.append(word)
        value = _number(value)
        if value is None or not 0 <= value <= most:
            value = 0
    return f"{value:032x}" if digits == 32 else f"{value:016x}"


def _text(value: object, said: list[str], word: str) -> str:
    return _encodable(value, said, word) if isinstance(value, str) else _odd(said, word, "")


# -- attributes --------------------------------------------------------------------------------------------------------


def attributes_of(given: Attributes, said: list[str], word: str) -> Attributes:
    """Return attributes whose keys are text and whose values JSON can hold; the same object if they are so already.

    Appends `word` to `said` for each value that it changed.
    """
    # For each attribute of each span: a look at its class, and no more where that will do.
    for key, value in given.items():
        kind: Any = value.__class__
        if kind is str:
            if not (value.isascii() or _is_encodable(value)):
                break
        elif kind is int:
            if not _INT_MIN <= value <= _INT_MAX:
                break
        elif kind is float:
            if value - value != 0:
                break
        elif kind is tuple:
            if not _are_plain(value):
                break
        elif kind is not bool and value is not None:
            break
        if key.__class__ is not str:
            break
    else:
        return given
    return _mapping(given, 0, said, word)


def _value(value: Any, depth: int, said: list[str], word: str) -> Any:
    """Return a value of a declared type, which JSON can hold but for bytes; say so if it is another."""
    try:
        if value is None or type(value) in (bool, bytes):
            return value
        if isinstance(value, str):
            return _encodable(value, said, word)
        if isinstance(value, int):
            return _integer(int.__int__(value), said, word)
        if isinstance(value, float):
            number = float.__float__(value)
            return number if number - number == 0 else _odd(said, word, str(number))
        if isinstance(value, bytearray | memoryview):
            return bytes(cast("bytearray", value))
        if depth < MAX_DEPTH and isinstance(value, Mapping):
            return _mapping(cast("Mapping[Any, Any]", value), depth, said, word)
        if depth < MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
            return [_value(item, depth + 1, said, word) for item in cast("Iterable[Any]", value)]
    except Exception:  # noqa: BLE001, S110 - an object that raises is as good as one of no declared type
        pass
    return _odd(said, word, _UNWRITABLE)


def _mapping(given: Mapping[Any, Any], depth: int, said: list[str], word: str) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, value in given.items():
        if isinstance(key, str):
            name = _encodable(key, said, word)
        else:
            said.append(word)
            if not isinstance(key, int | float):
                continue  # with its value: there is nothing to keep it under
            name = str(_value(key, depth, said, word))
        plain[name] = _value(value, depth + 1, said, word)
    return plain


def _integer(value: int, said: list[str], word: str) -> int | str:
    if _INT_MIN <= value <= _INT_MAX:
        return value
    return _odd(said, word, str(value) if value.bit_length() <= _INT_BITS_AS_DECIMAL else hex(value))


def _encodable(value: str, said: list[str], word: str) -> str:
    """Return text that UTF-8 can hold: lone surrogates are written as escapes, so that different texts differ."""
    text = str.__str__(value)  # of a subclass too
    if _is_encodable(text):
        return text
    return _odd(said, word, text.encode("utf-8", "backslashreplace").decode())


def _are_plain(items: tuple[Any, ...]) -> bool:
    for item in items:  # noqa: SIM110 - all() of a generator costs three times as much
        if item.__class__ is not str or not item.isascii():
            return False
    return True


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _odd(said: list[str], word: str, stand_in: Any) -> Any:
    """Return what stands in the place of a field, and say so."""
    said.append(word)
    return stand_in


def _state(attributes: Attributes, said: list[str]) -> None:
    """Say on a record which of its fields were coerced, with what an earlier boundary said of it."""
    before = attributes.get(own.COERCED)
    words = cast("list[Any]", before) if isinstance(before, list | tuple) else []
    attributes[own.COERCED] = sorted({*said, *(w for w in words if isinstance(w, str) and w in COERCED_WORDS)})
