"""From the records of a journal to the canonical order of events."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from runbundle.bundle.journal import Journal
from runbundle.codec.dialects import Operation, operation
from runbundle.redaction.receipt import Receipt, trusted_receipt

SpanKey = tuple[str, str]
"""(trace id, span id)."""

_RANK = {
    "run.started": 0, "span.started": 1, "span.event": 2, "policy.decision": 2, "score": 2, "log": 3,
    "span.ended": 4, "run.ended": 5,
}  # fmt: skip
_STATUS = {0: "unset", 1: "ok", 2: "error"}
_EVENT_TYPES = {
    "runbundle.policy.decision": "policy.decision",
    "runbundle.score": "score",
    "gen_ai.evaluation.result": "score",
}


class Span(NamedTuple):
    """One span of the run, ended or cut off."""

    record: dict[str, Any]
    op: Operation
    receipt: Receipt
    ended: bool

    @property
    def key(self) -> SpanKey:
        """The span's identity."""
        return self.record["trace_id"], self.record["span_id"]

    @property
    def attributes(self) -> dict[str, Any]:
        """Its redacted attributes."""
        return self.record["attributes"]

    @property
    def status(self) -> str:
        """`ok`, `error`, `unset`, `blocked`, `cancelled` or `interrupted`."""
        own = self.attributes.get("runbundle.status")
        if not self.ended:
            return "interrupted"
        return own if own in ("blocked", "cancelled") else _STATUS.get(self.record["status_code"], "unset")

    def error(self) -> dict[str, Any] | None:
        """The error it ended with, if any: a type, and a message as redacted."""
        if self.status not in ("error", "blocked", "cancelled"):
            return None
        raised: list[dict[str, Any]] = [e["attributes"] for e in self.record["events"] if e["name"] == "exception"]
        last: dict[str, Any] = raised[-1] if raised else {}
        kind = self.attributes.get("error.type") or last.get("exception.type") or "error"
        message = last.get("exception.message") or self.record["status_message"]
        return {"type": str(kind), **({"message": message} if message else {})}


def spans_of(journal: Journal) -> dict[SpanKey, Span]:
    """Return the run's spans by identity, oldest first. A span recorded twice counts once: the first ending holds."""
    found: dict[SpanKey, Span] = {}
    for record in sorted(journal.spans, key=lambda r: (r["start_ns"], r["trace_id"], r["span_id"], r["end_ns"])):
        key = record["trace_id"], record["span_id"]
        if key not in found:
            attributes = record["attributes"]
            receipt = trusted_receipt(attributes.get("runbundle.redaction"))
            found[key] = Span(record, operation(attributes), receipt, ended=True)
    for start in sorted(journal.starts, key=lambda s: (s["start_ns"], s["trace_id"], s["span_id"])):
        key = start["trace_id"], start["span_id"]
        if key not in found:
            op: Operation = "run" if start.get("is_run") else "other"
            found[key] = Span(_open_record(start), op, Receipt(), ended=False)
    return found


def _open_record(start: dict[str, Any]) -> dict[str, Any]:
    attributes = {"runbundle.lane": start["lane"]} if start.get("lane") else {}
    return {
        **start, "end_ns": start["start_ns"], "name": "[REDACTED:name]", "attributes": attributes, "events": [],
        "links": [], "status_code": 0, "status_message": "", "scope": {"name": "", "version": ""}, "dropped": {},
        "remote_parent": False, "resource": -1,
    }  # fmt: skip


def root_of(run_id: str, spans: dict[SpanKey, Span]) -> Span | None:
    """Return the span that is the run: the one so marked, else the first without a parent in the run."""
    implicit: Span | None = None
    for span in spans.values():
        if span.op == "run" and span.attributes.get("runbundle.run.id", run_id) == run_id:
            return span
        if implicit is None and span.attributes.get("runbundle.run.id", run_id) == run_id:
            parent = span.record["trace_id"], span.record["parent_span_id"]
            if parent not in spans:
                implicit = span
    return implicit


def events_of(spans: dict[SpanKey, Span], logs: list[dict[str, Any]], root: Span | None) -> Iterator[bytes]:
    """Yield the lines of events.jsonl: (`time_ns`, trace, span, rank of type, position within the span), then `seq`."""
    entries: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    for span in spans.values():
        entries += _span_entries(span, spans)
    if root is not None:
        entries += _run_entries(root)
    for position, log in enumerate(sorted(logs, key=_log_order)):
        entries.append(_entry(log["time_ns"], "log", position, log, _log_body(log)))
    entries.sort(key=lambda entry: entry[0])
    for seq, (_, body) in enumerate(entries):
        body["seq"] = seq
        yield orjson.dumps(body, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def _log_order(log: dict[str, Any]) -> bytes:
    return orjson.dumps(log, option=orjson.OPT_SORT_KEYS)


def _entry(
    time_ns: int, kind: str, position: int, record: dict[str, Any], body: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    order = (time_ns, record["trace_id"], record["span_id"], _RANK[kind], position)
    body |= {"time_ns": str(time_ns), "type": kind, "trace_id": record["trace_id"], "span_id": record["span_id"]}
    return order, body


def _span_entries(span: Span, spans: dict[SpanKey, Span]) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    record = span.record
    common: dict[str, Any] = {"name": record["name"], "op": span.op}
    if record["parent_span_id"]:
        common["parent_span_id"] = record["parent_span_id"]
        if (record["trace_id"], record["parent_span_id"]) not in spans:
            common["remote_parent"] = True
    lane = span.attributes.get("runbundle.lane")
    started: dict[str, Any] = {**common, "attributes": {}}
    if lane:
        started["lane"] = lane
    if record["links"]:
        started["links"] = [
            {k: link[k] for k in ("trace_id", "span_id", "attributes") if link[k]} for link in record["links"]
        ]
    entries = [_entry(record["start_ns"], "span.started", 0, record, started)]
    for position, event in enumerate(record["events"]):
        kind = _EVENT_TYPES.get(event["name"], "span.event")
        body = {"name": event["name"], "op": span.op, "source": "span_event", "attributes": event["attributes"]}
        # An event may carry a time outside its span; it keeps its time and its place follows from that.
        entries.append(_entry(event["time_ns"], kind, position, record, body))
    ended: dict[str, Any] = {
        **common,
        "attributes": span.attributes,
        "status": span.status,
        "duration_ns": str(max(0, record["end_ns"] - record["start_ns"])),
        "redactions": span.receipt.count(),
    }
    scope = {k: record["scope"][k] for k in ("name", "version") if record["scope"].get(k)}
    error = span.error()
    ended |= {k: v for k, v in (("scope", scope), ("error", error), ("dropped", record["dropped"])) if v}
    entries.append(_entry(record["end_ns"], "span.ended", 0, record, ended))
    return entries


def _run_entries(root: Span) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    record = root.record
    body: dict[str, Any] = {"name": record["name"], "op": "run", "attributes": {}}
    ended: dict[str, Any] = {**body, "status": root.status}
    return [
        _entry(record["start_ns"], "run.started", 0, record, body),
        _entry(record["end_ns"], "run.ended", 0, record, ended),
    ]


def _log_body(log: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": log["event_name"] or "log",
        "source": "log",
        "attributes": {**log["attributes"], **({"body": log["body"]} if log["body"] is not None else {})},
        "severity": log["severity"],
    }
    return body
