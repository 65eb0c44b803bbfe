"""Reading a sealed bundle back as journal entries, so that no journal need be kept after a seal.

Assembling these entries gives the same files again. A new revision is assembled from them and the late records.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from runbundle.bundle.assembly.sorting import Sorter
from runbundle.bundle.reader import Bundle, first_problem
from runbundle.errors import MalformedBundle
from runbundle.format.events import Event
from runbundle.format.layout import EVENTS
from runbundle.redaction.receipt import read_receipt
from runbundle.signals import own

_CODES = {"unset": 0, "ok": 1, "error": 2, "blocked": 2, "cancelled": 2}
_IDS, _BODY = 48, 60


def entries_of_bundle(bundle: Bundle, scratch: Path) -> Iterator[dict[str, Any]]:
    """Yield the journal entries of a bundle: spans, starts of open spans, and logs. Raises `MalformedBundle`."""
    semconv = bundle.index.versions.semconv
    with Sorter(scratch) as lines:
        for number, event in enumerate(bundle.events()):
            try:
                Event.model_validate(event)
            except ValidationError as error:
                raise MalformedBundle(first_problem(error), file=EVENTS, line=number + 1) from None
            if event["type"] == "log":
                yield log_entry(event)
            elif describes_span(event):
                lines.add(sortable_line(event, number, orjson.dumps(event)))
        yield from span_entries(lines, semconv)


def describes_span(event: dict[str, Any]) -> bool:
    """Tell whether an event belongs to a span: all do but logs and the two events of the run."""
    return event["type"] != "log" and not event["type"].startswith("run.")


def sortable_line(event: dict[str, Any], number: int, line: bytes) -> bytes:
    """Return a line that sorts the events of one span together, in order. `line`: the event's JSON on one line."""
    return b"%b%012d%b" % (f"{event['trace_id']}{event['span_id']}".encode(), number, line)


def span_entries(lines: Iterable[bytes], semconv: str) -> Iterator[dict[str, Any]]:
    """Yield the entries of spans, given their lines by `sortable_line`, sorted. `semconv` as in run.json."""
    for _, of_span in groupby(lines, key=lambda line: line[:_IDS]):
        entry = _span([orjson.loads(line[_BODY:]) for line in of_span])
        if entry is not None:
            entry.setdefault("scope", {})["schema_url"] = "" if semconv == "gen-ai" else semconv
            yield entry


def log_entry(event: dict[str, Any]) -> dict[str, Any]:
    """Return the journal entry of a log event."""
    name = event["name"]
    return {
        "k": "log", "trace_id": event["trace_id"], "span_id": event["span_id"], "time_ns": int(event["time_ns"]),
        "event_name": name, "attributes": event["attributes"], "body": None, "severity": event.get("severity"),
    }  # fmt: skip


def _span(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the entry of one span from its events, in their order; None if it has no beginning or no end."""
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
