"""What becomes of values that somebody else's provider has cut, where a dialect puts them into others.

The text of such a value is a marker already. It goes wherever the value goes: into a message of a list, a document, a
gathered attribute. So what has the marker in it is cut as well.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

import orjson

from runbundle.process.regex import later
from runbundle.signals import own, semconv
from runbundle.signals.records import Attributes, EventRecord, SpanRecord

CUT = "runbundle.cut"
"""Attribute that says that values of keys were cut which may not be named. It is gone once a span is in our terms."""
TEXT = "[REDACTED:oversize]"
"""The marker in the place of a cut value."""
LISTS = frozenset({semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES, semconv.SYSTEM_INSTRUCTIONS})
PAYLOADS = LISTS | {
    semconv.ARGUMENTS, semconv.RESULT, semconv.FINAL_RESULT, semconv.QUERY_TEXT, semconv.DOCUMENTS,
    semconv.TOOL_DEFINITIONS, own.RESULT, own.QUERY,
}  # fmt: skip
"""What tables make of several attributes, or of parts of one."""
OF_DOCUMENTS = frozenset({own.DOCUMENT_ID, own.DOCUMENT_CONTENT, own.DOCUMENT_URI, own.DOCUMENT_TITLE})
_OF_LIST = later(r"\.[0-9]{1,6}(?:\.|$)")


def without_cut(record: SpanRecord) -> SpanRecord:
    """Return a span without what only says that values were cut; the same object if nothing does."""
    if CUT not in record["attributes"] and not any(CUT in event["attributes"] for event in record["events"]):
        return record
    return {
        **record,
        "attributes": _without(record["attributes"]),
        "events": [{**event, "attributes": _without(event["attributes"])} for event in record["events"]],
    }


def _without(attributes: Attributes) -> Attributes:
    return {key: value for key, value in attributes.items() if key != CUT}


def with_cuts(
    attributes: Attributes,
    before: Mapping[str, Any],
    events: Iterable[EventRecord],
    known: Collection[str],
) -> list[EventRecord]:
    """State of attributes that were read from cut ones that they are cut; return `events` that state it of theirs.

    `before` are the attributes as they were read, and `known` the keys of which that may be said. If an item of a list
    had a cut value that is nowhere any more, no list and no payload that was read is whole.
    """
    new = {key: value for key, value in attributes.items() if key != own.CAPTURE and before.get(key) != value}
    cut = {key for key, value in new.items() if key in known and _count(value)}
    found = sum(map(_count, new.values()))
    stated: list[EventRecord] = []
    for event in events:
        of_event: Attributes = dict(event["attributes"])
        stated.append({**event, "attributes": of_event})
        found += sum(map(_count, of_event.values()))
        _state(of_event, {key for key, value in of_event.items() if key in known and _count(value)})
    gone = sum(1 for key, value in before.items() if key not in attributes and _OF_LIST.search(key) and _count(value))
    if gone > found:
        cut |= PAYLOADS & new.keys()
    _state(attributes, cut)
    return stated


def _count(value: Any) -> int:
    if isinstance(value, str):
        return value.count(TEXT)
    return sum(map(_count, cast("list[Any]", value))) if isinstance(value, list | tuple) else 0


def _state(attributes: Attributes, keys: Collection[str]) -> None:
    if not keys:
        return
    said = attributes.get(own.CAPTURE)
    try:
        known: Any = orjson.loads(said) if isinstance(said, str) else {}
    except orjson.JSONDecodeError:
        known = {}
    stated = {
        **(cast("dict[str, Any]", known) if isinstance(known, dict) else {}),
        **{k: {"word": "cut"} for k in keys},
    }
    attributes[own.CAPTURE] = orjson.dumps(stated, option=orjson.OPT_SORT_KEYS).decode()
