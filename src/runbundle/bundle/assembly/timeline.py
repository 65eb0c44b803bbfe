"""The canonical order of events: (`time_ns`, trace, span, rank of type, position within the span).

An event is a line of bytes from the start, whose sorting is that order: where it stands, then its JSON in two halves,
before and after the place of `seq`, which is known only when all lines are in order; then the length of the first
half, and whether the bundle that was sealed before had it.
"""

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from runbundle.format.base import CaptureWord
from runbundle.format.identity import well_formed
from runbundle.redaction.permitted.values import RECEIPT
from runbundle.redaction.receipt import Receipt, read_receipt
from runbundle.signals.operations import Operation, attributes_of, operation, span_name
from runbundle.signals.reading import LARGEST, count_of, text_of

SEALED, NEW = b"0", b"1"

_RANK = {
    "run.started": 0, "span.started": 1, "span.event": 2, "policy.decision": 2, "score": 2, "log": 3,
    "span.ended": 4, "run.ended": 5,
}  # fmt: skip
_PLACE, _TRAILER = 77, 9
_STATUS = {0: "unset", 1: "ok", 2: "error"}
FAILED = ("error", "blocked", "cancelled")
"""Statuses of spans that ended with an error."""
UNFIT = Receipt()
"""Stands for a receipt that is none: the span's sums would not follow from what the bundle says."""
_STATED = ("blocked", "cancelled", "abandoned", "waiting")
_JOINED = ("signed", "trace", "token", "any")
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
    status: str
    """`ok`, `error`, `unset`, `blocked`, `cancelled`, `interrupted`, `abandoned` or `waiting`."""

    @property
    def order(self) -> tuple[int, str, str]:
        """By which spans are listed: start, trace, span."""
        return self.record["start_ns"], self.record["trace_id"], self.record["span_id"]

    @property
    def attributes(self) -> dict[str, Any]:
        """Its redacted attributes."""
        return self.record["attributes"]

    @property
    def begins_run(self) -> bool:
        """Whether the run begins with it: what is above it, if anything, is not part of the run."""
        return self.op == "run" or self.attributes.get("runbundle.implicit") is True

    @property
    def dropped(self) -> dict[str, int]:
        """What the SDK's limits discarded, of the span and of its events and links."""
        found = dict(self.record["dropped"])
        if not (self.record["events"] or self.record["links"]):
            return found
        for kind in ("events", "links"):
            items = self.record[kind]
            lost = sum(item.get("dropped", 0) for item in items) if items else 0
            if lost:
                found[f"{kind[:-1]}_attributes"] = min(lost, LARGEST)
        return found

    def error(self, began: str = "") -> dict[str, Any] | None:
        """The error it ended with, if any: type, message as redacted, and the span where it began, if given."""
        if self.status not in FAILED:
            return None
        raised: list[dict[str, Any]] = [e["attributes"] for e in self.record["events"] if e["name"] == "exception"]
        last: dict[str, Any] = raised[-1] if raised else {}
        kind = text_of(self.attributes, "error.type") or text_of(last, "exception.type") or "error"
        message = text_of(last, "exception.message") or self.record["status_message"]
        said = {"type": kind, "message": message, "span_id": began}
        return {key: value for key, value in said.items() if value}


def span_of(entry: dict[str, Any], *, ended: bool) -> Span:
    """Return the span of a journal's entry; of one that did not end, there is as much as was said at its start."""
    if not ended:
        known = attributes_of(entry.get("label", ""))
        if entry.get("lane"):
            known["runbundle.lane"] = entry["lane"]
        more = entry.get("attributes")
        entry = {
            **entry, "name": entry["name"] if more is not None else span_name(known), "scope": entry.get("scope", {}),
            "attributes": known if more is None else {**known, **more},
            # No start says these: what stands there instead in a line is not believed.
            "events": [], "links": [], "status_code": 0, "status_message": "", "dropped": {}, "remote_parent": True,
            "end_ns": entry["start_ns"],
        }  # fmt: skip
    elif len(entry["events"]) > 1:
        entry["events"].sort(key=itemgetter("time_ns"))
    attributes = entry["attributes"]
    op: Operation = "run" if entry.get("is_run") and not attributes else operation(attributes)
    status = ended_as(entry) if ended else "interrupted"
    receipt = (read_receipt(attributes[RECEIPT]) or UNFIT) if RECEIPT in attributes else Receipt()
    return Span(entry, op, receipt, ended, status)


def ended_as(entry: dict[str, Any]) -> str:
    """Return the status with which the span of an entry ended: the one that it states, else its code's."""
    stated = entry["attributes"].get("runbundle.status")
    return stated if stated in _STATED else _STATUS.get(entry["status_code"], "unset")


def bare(span: Span) -> Span:
    """Return of a span what no content can spoil: ids, times, kind of work, status, and its part in the run.

    Each is stated as events.jsonl can state it: what is read back from there comes to the same.
    """
    attributes: dict[str, Any] = {RECEIPT: '{"n":[["span","failed","drop"]]}', **attributes_of(span.op)}
    if span.status in _STATED:
        attributes["runbundle.status"] = span.status
    if span.attributes.get("runbundle.implicit") is True:
        attributes["runbundle.implicit"] = True
    if "runbundle.spans.started" in span.attributes:
        attributes["runbundle.spans.started"] = count_of(span.attributes, "runbundle.spans.started")
    for key in ("runbundle.run.id", "runbundle.tenant.id"):
        said = span.attributes.get(key)
        if isinstance(said, str) and well_formed(said):
            attributes[key] = said
    record: dict[str, Any] = {
        **span.record, "name": "[REDACTED:name]", "attributes": attributes, "events": [], "links": [],
        "status_message": "", "scope": {}, "dropped": {},
    }  # fmt: skip
    return Span(record, span.op, read_receipt(attributes[RECEIPT]) or UNFIT, span.ended, span.status)


def span_lines(
    span: Span, *, parent_here: bool, began: str = "", capture: Mapping[str, CaptureWord] | None = None
) -> Iterator[bytes]:
    """Yield the lines of one span.

    `parent_here`: its parent is part of the run; `began`: where its error did; `capture`: what its values became.
    """
    record = span.record
    common: dict[str, Any] = {"name": record["name"], "op": span.op}
    if record["parent_span_id"]:
        common["parent_span_id"] = record["parent_span_id"]
        if not parent_here:
            common["remote_parent"] = True
            if parent_missing(span, parent_here=parent_here):
                common["parent_missing"] = True
    started: dict[str, Any] = {**common, "attributes": {}}
    for field in ("lane", "effect", "joined"):
        said = text_of(span.attributes, f"runbundle.{field}")
        if said and (field != "joined" or said in _JOINED):
            started[field] = said
    if record["links"]:
        started["links"] = [
            {k: link[k] for k in ("trace_id", "span_id", "attributes") if link[k]} for link in record["links"]
        ]
    yield _line(record["start_ns"], "span.started", 0, record, started)
    for position, event in enumerate(record["events"]):
        kind = _EVENT_TYPES.get(event["name"], "span.event")
        body = {"name": event["name"], "op": span.op, "attributes": event["attributes"]}
        # An event may carry a time outside its span; it keeps its time and its place follows from that.
        yield _line(event["time_ns"], kind, position, record, body, source="span_event")
    ended: dict[str, Any] = {
        **common,
        "attributes": span.attributes,
        "duration_ns": str(max(0, record["end_ns"] - record["start_ns"])),
        "redactions": span.receipt.count(),
    }
    scope = {k: record["scope"][k] for k in ("name", "version") if record["scope"].get(k)}
    more = ("capture", capture), ("scope", scope), ("error", span.error(began)), ("dropped", span.dropped)
    ended |= {k: v for k, v in more if v}
    yield _line(record["end_ns"], "span.ended", 0, record, ended, status=span.status)


def parent_missing(span: Span, *, parent_here: bool) -> bool:
    """Tell whether a parent in the same process should be here and is not: never recorded, or lost."""
    record = span.record
    return bool(record["parent_span_id"]) and not (parent_here or record["remote_parent"] or span.begins_run)


def run_lines(begun: Span, final: Span) -> Iterator[bytes]:
    """Yield the lines at which the run begins and ends: of its first span, and of the last that was the run."""
    for span, time_ns, kind, more in (
        (begun, begun.record["start_ns"], "run.started", {}),
        (final, final.record["end_ns"], "run.ended", {"status": final.status}),
    ):
        body: dict[str, Any] = {"name": span.record["name"], "op": "run", "attributes": {}}
        yield _line(time_ns, kind, 0, span.record, body, **more)


def log_line(log: dict[str, Any], *, sealed: bool) -> bytes:
    """Return the line of a log record."""
    body = {
        "name": log["event_name"] or "log",
        "attributes": {**log["attributes"], **({"body": log["body"]} if log["body"] is not None else {})},
    }
    line = _line(log["time_ns"], "log", 0, log, body, severity=log["severity"], source="log")
    return line[:-1] + SEALED if sealed else line


def is_log(line: bytes) -> bool:
    """Tell whether it is the line of a log record."""
    return line[68:69] == b"3"


def is_new(line: bytes) -> bool:
    """Tell whether the bundle that was sealed before did not have it."""
    return line[-1:] == NEW


def numbered(line: bytes, seq: int) -> bytes:
    """Return the line of events.jsonl."""
    split = _PLACE + int(line[-_TRAILER:-1])
    return b'%b,"seq":%d,%b\n' % (line[_PLACE : split - 1], seq, line[split + 1 : -_TRAILER])


def _line(
    time_ns: int, kind: str, position: int, record: dict[str, Any], before: dict[str, Any], **after: Any
) -> bytes:
    """Return a line; keys of `before` sort before `seq`, those of `after` behind it."""
    trace_id, span_id = record["trace_id"], record["span_id"]
    head = orjson.dumps(before, option=orjson.OPT_SORT_KEYS)
    after |= {"span_id": span_id, "time_ns": str(time_ns), "trace_id": trace_id, "type": kind}
    tail = orjson.dumps(after, option=orjson.OPT_SORT_KEYS)
    place = f"{time_ns:020d}{trace_id}{span_id}{_RANK[kind]}{position:08d}".encode()
    return b"%b%b%b%08d%b" % (place, head, tail, len(head), NEW)
