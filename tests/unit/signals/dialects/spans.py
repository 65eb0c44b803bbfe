"""Raw spans for the tables: with what a test names, and nothing else."""

from typing import Any

from runbundle.signals.dialects.canonical import canonical
from runbundle.signals.records import SpanRecord
from tests.interop.dumps import FOLDER, load


def span(name: str, attributes: dict[str, Any], *, scope: str = "", events: Any = ()) -> SpanRecord:
    """Return a raw record of a span; `events` are pairs of a name and attributes."""
    return {
        "run_id": "r", "tenant_id": "", "trace_id": "0" * 32, "span_id": "0" * 16, "parent_span_id": "",
        "remote_parent": False, "trace_state": "", "name": name, "kind": 0, "start_ns": 1, "end_ns": 2,
        "status_code": 0, "status_message": "", "attributes": attributes,
        "events": [{"name": event, "time_ns": 1, "attributes": of, "dropped": 0} for event, of in events], "links": [],
        "scope": {"name": scope, "version": "", "schema_url": "", "attributes": {}},
        "resource": {"attributes": {}, "schema_url": ""}, "dropped": {},
    }  # fmt: skip


def read(name: str, attributes: dict[str, Any], *, scope: str = "", events: Any = ()) -> dict[str, Any]:
    """Return the attributes of a span in our terms."""
    return canonical(span(name, attributes, scope=scope, events=events))["attributes"]


def dumped(name: str) -> list[SpanRecord]:
    """Return the spans of a dump in our terms."""
    return [
        canonical(
            span(
                one["name"],
                dict(one["attributes"]),
                scope=one["scope"]["name"],
                events=[(event["name"], event["attributes"]) for event in one["events"]],
            )
        )
        for one in load(FOLDER / f"{name}.json.gz")["spans"]
    ]
