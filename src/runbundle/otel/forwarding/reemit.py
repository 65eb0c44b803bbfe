"""Sends a sealed bundle to a backend: its spans and log records, as events.jsonl has them, encoded by the SDK.

Ids, times, names, attributes, events, links, status and scope are those of the bundle, so that the same bundle gives
the same records each time. A bundle does not hold a span's kind, its trace state or its resource: the kind is
INTERNAL, the resource says `unknown_service`. Of an error it holds one message, that of the last exception or of the
status. A span that never ended ends where it began, and says `interrupted`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags, TraceState

from runbundle.bundle.assembly.reread import entries_of_bundle
from runbundle.bundle.reader import Bundle
from runbundle.otel.boundary.span_records import bounded_list
from runbundle.otel.forwarding.answers import Kind
from runbundle.otel.forwarding.option import Otlp, place_of, protocol_of
from runbundle.otel.forwarding.sender import KINDS, Way, senders
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.signals import own

MOST_ITEMS, MOST_BYTES = 512, 2_097_152
"""How many records are in a request, and about how many bytes; one that is larger than that goes alone."""

Progress = Callable[[str, int, int], None]
"""A function that is called with a bundle's key, the number of records sent so far, and their total."""

_RESOURCE = Resource({SERVICE_NAME: "unknown_service"})
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NO_LOG_NAME, _BODY = "log", "body"


@dataclass
class Pushed:
    """What became of the records of one bundle."""

    key: str
    """Key of the bundle."""
    records: int
    """How many spans and log records it has."""
    delivered: int = 0
    """How many of them the receiver took."""
    refused: dict[str, int] = field(default_factory=dict[str, int])
    """How many it did not take, by reason."""
    stopped: bool = False
    """Whether a whole request was not taken; nothing was sent after it."""


class Backend:
    """The receiver that bundles are sent to, over HTTP or gRPC. Use it in a `with` block."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], timeout_s: float) -> None:
        """`headers` are sent besides those of `OTEL_EXPORTER_OTLP_HEADERS`. Raises `ConfigError`."""
        record = Otlp(endpoint, headers=headers, timeout_s=timeout_s)
        KNOWN.register(*record.secrets)
        self.name = place_of(endpoint)
        self._senders = senders(Way(endpoint, protocol_of(None), record.headers, timeout_s=timeout_s), whole=True)

    def push(self, bundle: Bundle, scratch: Path, progress: Progress | None = None) -> Pushed:
        """Send a bundle, in requests of bounded size; stop at the first that is refused as a whole.

        Sending it again is safe where the backend merges records by their ids. Raises `MalformedBundle`.
        """
        counts = bundle.index.counts
        pushed = Pushed(bundle.key, counts.spans + counts.logs)
        done = 0
        for kind, items in _batches(entries_of_bundle(bundle, scratch)):
            result = self._senders[kind].send(items)
            refused = Counter(result.refused)
            pushed.refused = dict(Counter(pushed.refused) + refused)
            pushed.delivered += len(items) - refused.total()
            done += len(items)
            if refused.total() == len(items) and "rejected" not in refused:
                pushed.stopped = True
                break
            if progress is not None:
                progress(bundle.key, done, pushed.records)
        return pushed

    def __enter__(self) -> "Backend":
        return self

    def __exit__(self, *_: object) -> None:
        for sender in self._senders.values():
            sender.stop()


def _batches(entries: Iterable[dict[str, Any]]) -> Iterator[tuple[Kind, list[Any]]]:
    """Yield records of one kind after the other, as many as fit into a request."""
    held: dict[Kind, list[Any]] = {"spans": [], "logs": []}
    size: dict[Kind, int] = {"spans": 0, "logs": 0}
    for entry in entries:
        kind: Kind = "logs" if entry["k"] == "log" else "spans"
        bytes_ = len(orjson.dumps(entry))
        if held[kind] and (len(held[kind]) >= MOST_ITEMS or size[kind] + bytes_ > MOST_BYTES):
            yield kind, held[kind]
            held[kind], size[kind] = [], 0
        held[kind].append(_log(entry) if kind == "logs" else _span(entry))
        size[kind] += bytes_
    for kind in KINDS:
        if held[kind]:
            yield kind, held[kind]


def _span(entry: dict[str, Any]) -> ReadableSpan:
    """Return the span of a journal entry, as a bundle gives it back."""
    trace_id = int(entry["trace_id"], 16)
    dropped: dict[str, int] = entry.get("dropped", {})
    scope: dict[str, Any] = entry.get("scope", {})
    attributes: dict[str, Any] = entry["attributes"]
    if entry["k"] == "start":
        attributes = {**attributes, own.STATUS: "interrupted"}
    parent = entry["parent_span_id"]
    return ReadableSpan(
        name=entry["name"],
        context=_context(trace_id, entry["span_id"]),
        parent=_context(trace_id, parent, remote=bool(entry.get("remote_parent"))) if parent else None,
        resource=_RESOURCE,
        attributes=_attributes(attributes, dropped.get("attributes", 0)),
        events=bounded_list(
            [Event(e["name"], _attributes(e["attributes"]), e["time_ns"]) for e in entry.get("events", ())],
            dropped.get("events", 0),
        ),
        links=bounded_list(
            [
                Link(_context(int(link["trace_id"], 16), link["span_id"]), _attributes(link["attributes"]))
                for link in entry.get("links", ())
            ],
            dropped.get("links", 0),
        ),
        status=_status(entry.get("status_code", 0), entry.get("status_message", "")),
        start_time=entry["start_ns"],
        end_time=entry.get("end_ns", entry["start_ns"]),
        instrumentation_scope=InstrumentationScope(
            scope.get("name") or "", scope.get("version") or "", scope.get("schema_url") or ""
        ),
    )


def _log(entry: dict[str, Any]) -> ReadableLogRecord:
    """Return the log record of a journal entry, as a bundle gives it back: its body lies among the attributes."""
    attributes = dict(entry["attributes"])
    body = attributes.pop(_BODY, None)
    severity = entry.get("severity") or 0
    record = LogRecord(
        timestamp=entry["time_ns"],
        observed_timestamp=entry["time_ns"],
        severity_number=SeverityNumber(severity) if 0 < severity <= 24 else None,
        body=body,
        attributes=attributes,
        event_name="" if entry["event_name"] == _NO_LOG_NAME else entry["event_name"],
    )
    record.trace_id, record.span_id = int(entry["trace_id"], 16), int(entry["span_id"], 16)
    record.trace_flags = _SAMPLED
    return ReadableLogRecord(record, _RESOURCE, InstrumentationScope(""))


def _context(trace_id: int, span_id: str, *, remote: bool = False) -> SpanContext:
    return SpanContext(trace_id, int(span_id, 16), remote, _SAMPLED, TraceState())


def _attributes(attributes: Mapping[str, Any], dropped: int = 0) -> BoundedAttributes:
    bounded = BoundedAttributes(attributes=dict(attributes), immutable=True)
    bounded.dropped = dropped
    return bounded


def _status(code: int, message: str) -> Status:
    return Status(StatusCode(code), message or None if code == StatusCode.ERROR.value else None)
