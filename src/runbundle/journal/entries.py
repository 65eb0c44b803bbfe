"""The check that a journal entry has the form that a recorder writes.

A line can have a right checksum and still hold something else.
"""

import re
from typing import Any

from runbundle.signals.records import LATEST_NS

_IDS = re.compile(r"[0-9a-f]{48}(?:[0-9a-f]{16})?")


def is_entry(entry: dict[str, Any]) -> bool:
    """Tell whether an entry has every field that assembly reads, in the types of `signals.records`. Never raises.

    Each entry is checked before use, so an entry of another form costs only itself.
    """
    try:
        kind = entry["k"]
        ids = entry["trace_id"] + entry["span_id"]
        if len(ids) != 48 or len(entry["trace_id"]) != 32:
            return False
        if kind == "log":
            return (
                is_time(entry["time_ns"])
                and _IDS.fullmatch(ids) is not None
                and _named(entry, "event_name")
                and (entry["severity"] is None or _is_word(entry["severity"]))
                and "body" in entry
            )
        if _IDS.fullmatch(ids + entry["parent_span_id"]) is None or not is_time(entry["start_ns"]):
            return False
        if kind == "start":
            # A start line of a run's own span has both a name and attributes, or neither.
            return (
                type(entry.get("label", "")) is type(entry.get("lane", "")) is str
                and ("attributes" not in entry or _named(entry, "name"))
                and ("scope" not in entry or _is_scope(entry["scope"]))
            )
        return kind == "span" and is_time(entry["end_ns"]) and _named(entry, "name") and _is_span(entry)
    except (KeyError, TypeError, AttributeError):
        return False


def _is_span(entry: dict[str, Any]) -> bool:
    return (
        type(entry["status_code"]) is int
        and type(entry["status_message"]) is str
        and type(entry["remote_parent"]) is bool
        and _is_scope(entry["scope"])
        and type(entry["events"]) is type(entry["links"]) is list
        # A count has the bounds of a time. Emptiness is tested first: most spans have no counts, events or links, and a
        # generator costs as much as all the tests above.
        and (entry["dropped"] == {} or all(map(is_time, entry["dropped"].values())))
        and (not entry["events"] or all(map(_is_event, entry["events"])))
        and (not entry["links"] or all(map(_is_link, entry["links"])))
    )


def _is_scope(scope: dict[str, Any]) -> bool:
    return type(scope.get("name", "")) is type(scope.get("version", "")) is type(scope.get("schema_url", "")) is str


def _is_event(event: dict[str, Any]) -> bool:
    return is_time(event["time_ns"]) and _named(event, "name") and is_time(event.get("dropped", 0))


def _is_link(link: dict[str, Any]) -> bool:
    ids = link["trace_id"] + link["span_id"]
    return (
        len(link["trace_id"]) == 32
        and len(ids) == 48
        and _IDS.fullmatch(ids) is not None
        and type(link["attributes"]) is dict
        and is_time(link.get("dropped", 0))
    )


def _named(entry: dict[str, Any], name: str) -> bool:
    return type(entry[name]) is str and type(entry["attributes"]) is dict


def _is_word(value: object) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def is_time(value: object) -> bool:
    """Tell whether a value is an integer of nanoseconds that a record can have: from 1970 to 2262."""
    return type(value) is int and 0 <= value <= LATEST_NS
