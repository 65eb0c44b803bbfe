"""Reading a sealed bundle back as journal entries, so that no journal need be kept after a seal.

Assembling these entries gives the same files again. A new revision is assembled from them and the late records.
"""

from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson

from runbundle.bundle.assembly.sorting import Sorter
from runbundle.bundle.reader import Bundle, first_problem
from runbundle.errors import MalformedBundle
from runbundle.format.layout import EVENTS
from runbundle.redaction.receipt import read_receipt
from runbundle.signals import own

_CODES = {"unset": 0, "ok": 1, "error": 2, "blocked": 2, "cancelled": 2}
_IDS, _BODY = 48, 60
_PARSED_BYTES = 1_048_576
"""Bytes of lines that are kept parsed, which takes up to ten times as much: enough for a run of 700 spans."""


def entries_of_bundle(bundle: Bundle, scratch: Path) -> Iterator[dict[str, Any]]:
    """Yield the journal entries of a bundle: spans, starts of open spans, and logs. Raises `MalformedBundle`."""
    from pydantic import ValidationError  # the first revision of a bundle is made without models

    from runbundle.format.events import Event

    with closing(EventsBySpan(scratch)) as of_spans:
        for number, event in enumerate(bundle.events()):
            try:
                Event.model_validate(event)
            except ValidationError as error:
                raise MalformedBundle(first_problem(error), file=EVENTS, line=number + 1) from None
            if event["type"] == "log":
                yield log_entry(event)
            else:
                of_spans.add(event, orjson.dumps(event))
        yield from of_spans.entries(bundle.index.versions.semconv)


class EventsBySpan:
    """The events of a bundle put together by span. Close it after use.

    While their lines take little, the events stay as they were parsed; else all are sorted, on disk where memory is not
    enough, and parsed again.
    """

    def __init__(self, scratch: Path, parsed_bytes: int = _PARSED_BYTES) -> None:
        self._lines = Sorter(scratch)
        self._number = 0
        self._room = parsed_bytes
        self._held: dict[str, list[tuple[int, bytes, dict[str, Any]]]] = {}

    def close(self) -> None:
        """Free memory and disk."""
        self._held = {}
        self._lines.close()

    def add(self, event: dict[str, Any], line: bytes) -> None:
        """Add the next event in order; only those of spans are kept, which are all but logs and the two of the run.

        `line`: the event's JSON, without the line end. The event is not for others any more.
        """
        self._number += 1
        if event["type"] == "log" or event["type"].startswith("run."):
            return
        ids = event["trace_id"] + event["span_id"]
        if self._room < 0:
            self._lines.add(_sortable(ids, self._number, line))
            return
        self._room -= len(line)
        self._held.setdefault(ids, []).append((self._number, line, event))
        if self._room < 0:
            for known, events in self._held.items():
                for number, held, _ in events:
                    self._lines.add(_sortable(known, number, held))
            self._held = {}

    def entries(self, semconv: str) -> Iterator[dict[str, Any]]:
        """Yield the journal entries of the spans, once, in the order of their ids. `semconv` as in run.json."""
        for events in self._of_each():
            entry = entry_of_span(events, semconv)
            if entry is not None:
                yield entry

    def _of_each(self) -> Iterator[list[dict[str, Any]]]:
        for ids in sorted(self._held):
            yield [event for _, _, event in self._held.pop(ids)]
        for _, lines in groupby(self._lines, key=lambda line: line[:_IDS]):
            yield [orjson.loads(line[_BODY:]) for line in lines]


def _sortable(ids: str, number: int, line: bytes) -> bytes:
    return b"%b%012d%b" % (ids.encode(), number, line)


def log_entry(event: dict[str, Any]) -> dict[str, Any]:
    """Return the journal entry of a log event."""
    name = event["name"]
    return {
        "k": "log", "trace_id": event["trace_id"], "span_id": event["span_id"], "time_ns": int(event["time_ns"]),
        "event_name": name, "attributes": event["attributes"], "body": None, "severity": event.get("severity"),
    }  # fmt: skip


def entry_of_span(events: list[dict[str, Any]], semconv: str) -> dict[str, Any] | None:
    """Return the entry of one span from its events, in their order; None if it has no beginning or no end.

    `semconv` as in run.json.
    """
    entry = _span(events)
    if entry is not None:
        entry.setdefault("scope", {})["schema_url"] = "" if semconv == "gen-ai" else semconv
    return entry


def _span(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    started = next((e for e in events if e["type"] == "span.started"), None)
    ended = next((e for e in events if e["type"] == "span.ended"), None)
    if started is None or ended is None:
        return None
    attributes: dict[str, Any] = ended["attributes"]
    if read_receipt(attributes.get(own.RECEIPT)) is None:
        attributes.pop(own.RECEIPT, None)
    entry: dict[str, Any] = {
        "trace_id": started["trace_id"],
        "span_id": started["span_id"],
        "parent_span_id": started.get("parent_span_id", ""),
        "start_ns": int(started["time_ns"]),
        "name": started["name"],
        "attributes": attributes,
    }
    if ended.get("status") == "interrupted":
        return {"k": "start", **entry, "lane": started.get("lane", ""), "is_run": started.get("op") == "run"}
    error: dict[str, Any] = ended.get("error") or {}
    return {
        "k": "span",
        **entry,
        "remote_parent": bool(started.get("remote_parent")) and not started.get("parent_missing"),
        "end_ns": int(ended["time_ns"]),
        "status_code": _CODES.get(ended.get("status", ""), 0),
        "status_message": error.get("message", ""),
        "events": [
            {"name": e["name"], "time_ns": int(e["time_ns"]), "attributes": e["attributes"]}
            for e in events
            if e.get("source") == "span_event"
        ],
        "links": [{"attributes": {}, **link} for link in started.get("links", ())],
        "scope": dict(ended.get("scope") or {}),
        "dropped": ended.get("dropped") or {},
    }
