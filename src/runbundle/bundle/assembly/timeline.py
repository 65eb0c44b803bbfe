"""Events as lines of bytes that sort into canonical order: by time, trace, span, rank of type, and position.

A line consists of that sort key (77 bytes), the event's JSON in two halves, the length of the first half (8 digits),
and a mark that tells whether the previously sealed bundle has the event. `seq` goes between the halves; it is known
only when all lines are sorted.
"""

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from runbundle.format.identity import well_formed
from runbundle.format.words import CaptureWord
from runbundle.redaction.receipt import Receipt, read_receipt
from runbundle.signals import own, semconv
from runbundle.signals.names import name_from
from runbundle.signals.operations import Operation, attributes_of, operation
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
"""Stands for a receipt that cannot be read."""
_NO_RECEIPT = '{"n":[["receipt","malformed","drop"]]}'
"""Replaces such a one, since the sums of a bundle follow from what its events say."""
STATED = ("blocked", "cancelled", "abandoned", "waiting")
JOINED = ("signed", "trace", "token", "any", "id")
EVENT_TYPES = {
    own.DECISION: "policy.decision",
    semconv.EVALUATION_RESULT: "score",
    own.EARLIER_SCORE: "score",
}

_ON_STARTS = ("lane", own.LANE), ("effect", own.EFFECT), ("joined", own.JOINED)
"""Fields of `span.started`, and the attributes that say them."""


class Span(NamedTuple):
    """A span of the run, ended or interrupted."""

    record: dict[str, Any]
    attributes: dict[str, Any]
    """The redacted attributes of the span, as the record has them."""
    op: Operation
    receipt: Receipt
    ended: bool
    status: str
    """`ok`, `error`, `unset`, `blocked`, `cancelled`, `interrupted`, `abandoned` or `waiting`."""

    @property
    def order(self) -> tuple[int, str, str]:
        """Sort key of spans in listings: start, trace, span."""
        return self.record["start_ns"], self.record["trace_id"], self.record["span_id"]

    @property
    def claims_run(self) -> bool:
        """Whether the span says that it is the run, as `start_run` does: what a framework calls a run may be within."""
        return self.op == "run" and own.DIALECT not in self.attributes

    @property
    def begins_run(self) -> bool:
        """Whether the run begins with this span, so that its parent is not part of the run."""
        return self.claims_run or self.attributes.get(own.IMPLICIT) is True

    @property
    def dropped(self) -> dict[str, int]:
        """Numbers of attributes, events and links of the span that the SDK's limits discarded."""
        if not (self.record["events"] or self.record["links"]):
            return self.record["dropped"]
        found = dict(self.record["dropped"])
        for kind in ("events", "links"):
            items = self.record[kind]
            lost = sum(item.get("dropped", 0) for item in items) if items else 0
            if lost:
                found[f"{kind[:-1]}_attributes"] = min(lost, LARGEST)
        return found

    def error(self, began: str = "") -> dict[str, Any] | None:
        """Return the error with which the span ended, or None: type, redacted message, and `began` as its span."""
        if self.status not in FAILED:
            return None  # nearly all
        raised: list[dict[str, Any]] = [
            e["attributes"] for e in self.record["events"] if e["name"] == semconv.EXCEPTION
        ]
        last: dict[str, Any] = raised[-1] if raised else {}
        kind = text_of(self.attributes, semconv.ERROR_TYPE) or text_of(last, semconv.EXCEPTION_TYPE) or "error"
        message = text_of(last, semconv.EXCEPTION_MESSAGE) or self.record["status_message"]
        said = {"type": kind, "message": message, "span_id": began}
        return {key: value for key, value in said.items() if value}


def span_from_entry(entry: dict[str, Any], *, ended: bool) -> Span:
    """Return the span of a journal entry. If it never ended, it has only the attributes that it was started with."""
    if not ended:
        known = attributes_of(entry.get("label", ""))
        if entry.get("lane"):
            known[own.LANE] = entry["lane"]
        more = entry.get("attributes")
        entry = {
            **entry, "name": entry["name"] if more is not None else name_from(known), "scope": entry.get("scope", {}),
            "attributes": known if more is None else {**known, **more},
            # No start says these: what stands there instead in a line is not believed.
            "events": [], "links": [], "status_code": 0, "status_message": "", "dropped": {}, "remote_parent": True,
            "end_ns": entry["start_ns"],
        }  # fmt: skip
    elif len(entry["events"]) > 1:
        entry["events"].sort(key=itemgetter("time_ns"))
    attributes = entry["attributes"]
    op: Operation = "run" if entry.get("is_run") and not attributes else operation(attributes)
    status = status_of_entry(entry) if ended else "interrupted"
    receipt = (read_receipt(attributes[own.RECEIPT]) or UNFIT) if own.RECEIPT in attributes else Receipt()
    return Span(entry, attributes, op, receipt, ended, status)


def status_of_entry(entry: dict[str, Any]) -> str:
    """Return the status of an ended span's entry: the attribute `runbundle.status`, else its status code."""
    stated = entry["attributes"].get(own.STATUS)
    return stated if stated in STATED else _STATUS.get(entry["status_code"], "unset")


def without_content(span: Span) -> Span:
    """Return a span with only its ids, times, kind of work, status and role in the run.

    It replaces a span whose content cannot be written. A bundle with it can be read back to the same span.
    """
    attributes: dict[str, Any] = {own.RECEIPT: '{"n":[["span","failed","drop"]]}', **attributes_of(span.op)}
    if span.status in STATED:
        attributes[own.STATUS] = span.status
    if span.attributes.get(own.IMPLICIT) is True:
        attributes[own.IMPLICIT] = True
    if span.op == "run" and not span.claims_run:
        attributes[own.DIALECT] = "[REDACTED:name]"
    if own.SPANS_STARTED in span.attributes:
        attributes[own.SPANS_STARTED] = count_of(span.attributes, own.SPANS_STARTED)
    for key in (own.RUN_ID, own.TENANT_ID):
        said = span.attributes.get(key)
        if isinstance(said, str) and well_formed(said):
            attributes[key] = said
    record: dict[str, Any] = {
        **span.record, "name": "[REDACTED:name]", "attributes": attributes, "events": [], "links": [],
        "status_message": "", "scope": {}, "dropped": {},
    }  # fmt: skip
    receipt = read_receipt(attributes[own.RECEIPT]) or UNFIT
    return Span(record, attributes, span.op, receipt, span.ended, span.status)


def with_new_receipt(span: Span) -> Span:
    """Return a span whose receipt says only that it had another, which could not be read."""
    attributes = {**span.attributes, own.RECEIPT: _NO_RECEIPT}
    record = {**span.record, "attributes": attributes}
    return Span(record, attributes, span.op, read_receipt(_NO_RECEIPT) or UNFIT, span.ended, span.status)


def span_lines(
    span: Span, *, parent_here: bool, began: str = "", capture: Mapping[str, CaptureWord] | None = None
) -> Iterator[bytes]:
    """Yield the lines of one span: its start, its events, its end.

    `parent_here`: whether its parent is part of the run. `began`: id of the span where its error began. `capture`: the
    capture words of its values, by attribute key.
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
    for field, key in _ON_STARTS:
        if key in span.attributes:
            said = text_of(span.attributes, key)
            if said and (field != "joined" or said in JOINED):
                started[field] = said
    if record["links"]:
        started["links"] = [
            {k: link[k] for k in ("trace_id", "span_id", "attributes") if link[k]} for link in record["links"]
        ]
    yield _line(record["start_ns"], "span.started", record, started)
    for position, event in enumerate(record["events"]):
        kind = EVENT_TYPES.get(event["name"], "span.event")
        body = {"name": event["name"], "op": span.op, "attributes": event["attributes"]}
        # An event may carry a time outside its span; it keeps its time and its place follows from that.
        yield _line(event["time_ns"], kind, record, body, position=position, before='"source":"span_event",')
    ended = common
    ended["attributes"] = span.attributes
    ended["duration_ns"] = str(max(0, record["end_ns"] - record["start_ns"]))
    ended["redactions"] = span.receipt.count()
    if capture:
        ended["capture"] = capture
    if scope := {k: record["scope"][k] for k in ("name", "version") if record["scope"].get(k)}:
        ended["scope"] = scope
    if error := span.error(began):
        ended["error"] = error
    if dropped := span.dropped:
        ended["dropped"] = dropped
    yield _line(record["end_ns"], "span.ended", record, ended, status=span.status)


def parent_missing(span: Span, *, parent_here: bool) -> bool:
    """Tell whether a span's parent was in the same process but is not in the run: it was not recorded, or lost."""
    record = span.record
    return bool(record["parent_span_id"]) and not (parent_here or record["remote_parent"] or span.begins_run)


def run_lines(begun: Span, final: Span) -> Iterator[bytes]:
    """Yield the two lines of the run: its begin, from its first span, and its end, from its last."""
    for span, time_ns, kind, status in (
        (begun, begun.record["start_ns"], "run.started", ""),
        (final, final.record["end_ns"], "run.ended", final.status),
    ):
        body: dict[str, Any] = {"name": span.record["name"], "op": "run", "attributes": {}}
        yield _line(time_ns, kind, span.record, body, status=status)


def log_line(log: dict[str, Any], *, sealed: bool) -> bytes:
    """Return the line of a log record. `sealed`: whether the previously sealed bundle has it."""
    body = {
        "name": log["event_name"] or "log",
        "attributes": {**log["attributes"], **({"body": log["body"]} if log["body"] is not None else {})},
    }
    severity = "null" if log["severity"] is None else log["severity"]
    line = _line(log["time_ns"], "log", log, body, before=f'"severity":{severity},"source":"log",')
    return line[:-1] + SEALED if sealed else line


def is_log(line: bytes) -> bool:
    """Tell whether a line is that of a log record."""
    return line[68:69] == b"3"


def is_new(line: bytes) -> bool:
    """Tell whether the previously sealed bundle did not have a line's event."""
    return line[-1:] == NEW


def event_line(line: bytes, seq: int) -> bytes:
    """Return a line of events.jsonl with its number `seq`."""
    split = _PLACE + int(line[-_TRAILER:-1])
    return b'%b,"seq":%d,%b\n' % (line[_PLACE : split - 1], seq, line[split + 1 : -_TRAILER])


def _line(
    time_ns: int,
    kind: str,
    record: dict[str, Any],
    head: dict[str, Any],
    *,
    position: int = 0,
    before: str = "",
    status: str = "",
) -> bytes:
    """Return a line. The keys of `head` sort before `seq`.

    The second half is written as it is: ids, numbers and fixed words need no escapes. `before`: the fields of it that
    sort before the span's id, in JSON, with a comma behind each.
    """
    trace_id, span_id = record["trace_id"], record["span_id"]
    first = orjson.dumps(head, option=orjson.OPT_SORT_KEYS)
    said = f'"status":"{status}",' if status else ""
    place = f"{time_ns:020d}{trace_id}{span_id}{_RANK[kind]}{position:08d}"
    second = f'{{{before}"span_id":"{span_id}",{said}"time_ns":"{time_ns}","trace_id":"{trace_id}","type":"{kind}"}}'
    return b"%b%b%b" % (place.encode(), first, f"{second}{len(first):08d}1".encode())
