"""The format of journal lines: a checksum, a space and one JSON object.

The object is a redacted record, the start of a span, or a resource. Thousands of spans share one resource, so each
journal writes a resource once, on a line of its own, and records refer to it by number. The checksum is CRC-32 of the
object in eight hex digits: it tells a whole line from one that a dying machine wrote in part, wherever the gap is.
"""

from itertools import count
from typing import Any, Literal, NamedTuple, cast
from zlib import crc32

import orjson

from runbundle.format.identity import RunKey
from runbundle.signals import own
from runbundle.signals.reading import count_of
from runbundle.signals.records import LogRecordDict, ResourceRecord, SpanRecord, run_of

_MOST_RESOURCES = 256
"""Whose numbers are remembered: a process has a handful, an exporter may see those of many."""


class NumberedResource(NamedTuple):
    """A redacted resource and the number by which the lines of this process refer to it."""

    number: int
    record: ResourceRecord


class RecordLine(NamedTuple):
    """A redacted span or log record as a line of a journal, with what a recorder must know of it."""

    run: RunKey
    trace_id: str
    resource: NumberedResource
    line: bytes
    states_lost: int = 0
    """Number of lost records that it states. If it is lost too, somebody else must state them."""


class Begun(NamedTuple):
    """What a redacted span says when it begins, each as JSON."""

    name: bytes
    attributes: bytes


def begun_of(record: SpanRecord) -> Begun:
    """Return what a redacted record says of a span that begins."""
    return Begun(_json(record["name"]), _json(record["attributes"]))


def line_of(kind: Literal["span", "log"], record: SpanRecord | LogRecordDict) -> RecordLine:
    """Return a redacted record as the line of a journal."""
    resource = numbered(record["resource"])
    line = record_line(kind, record, resource.number)
    lost = count_of(record["attributes"], own.SPANS_DROPPED)
    return RecordLine(run_of(record), record["trace_id"], resource, line, lost)


_numbers: dict[int, NumberedResource] = {}
_next_number = count()


def numbered(resource: ResourceRecord) -> NumberedResource:
    """Return a resource with its number in this process, a new one if it has none: the same object has the same."""
    known = _numbers.get(id(resource))
    if known is None:
        if len(_numbers) >= _MOST_RESOURCES:
            _numbers.clear()  # they get others then
        # The entry holds the resource, so that its id is not another's.
        known = _numbers[id(resource)] = NumberedResource(next(_next_number), resource)
    return known


def start_line(
    trace_id: str,
    span_id: str,
    parent_span_id: str,
    start_ns: int,
    lane: str,
    label: str = "",
    *,
    is_run: bool = False,
    begun: Begun | None = None,
) -> bytes:
    """Return the line that says that a span has started.

    Except for `begun`, it carries only text that may be kept. `label` is the kind of the span, followed by its name if
    that may be kept: `tool:find_order`. `is_run` says that the span is the run's own; a reader tells by it a run that
    was cut off from a part of a run begun elsewhere. `begun` is then what the redacted span says at its start, with the
    run's identity and configuration. `start_ns` counts nanoseconds since the epoch. The native core writes it, too.
    """
    body = _json({
        "k": "start", "trace_id": trace_id, "span_id": span_id, "parent_span_id": parent_span_id,
        "start_ns": start_ns, "lane": lane, "label": label, "is_run": is_run,
    })  # fmt: skip
    if begun is not None:
        body = b'%b,"name":%b,"attributes":%b}' % (body[:-1], *begun)
    return _summed(body)


def resource_line(number: int, resource: ResourceRecord) -> bytes:
    """Return the line that gives a resource a number, to which records on later lines refer."""
    return _line({"k": "resource", "resource": number, "value": resource})


def run_line(kind: Literal["run", "gone"], run: RunKey) -> bytes:
    """Return the line of a segment that says whose the next lines are (`run`), or whose are elsewhere now (`gone`)."""
    return _line({"k": kind, "run_id": run.run_id, "tenant_id": run.tenant_id})


def record_line(kind: str, record: SpanRecord | LogRecordDict, resource: int) -> bytes:
    """Return the line of a redacted span (`kind` is `span`) or log record (`log`), with the number of its resource."""
    return _line({"k": kind, **record, "resource": resource})


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Return the object on a line. None if the line is cut off or damaged, or holds no object of this format."""
    body = line[9:].rstrip(b"\n")
    try:
        if int(line[:8], 16) != crc32(body):
            return None
        value: Any = orjson.loads(body)
    except ValueError:
        return None
    return value if value.__class__ is dict and "k" in value else None


def _line(value: dict[str, Any]) -> bytes:
    return _summed(_json(value))


def _summed(body: bytes) -> bytes:
    return b"%08x %b\n" % (crc32(body), body)


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # bytes or a lone surrogate in an attribute; rare, since redaction has replaced most of them
        return orjson.dumps(json_safe(value))


def json_safe(value: Any) -> Any:
    """Return `value` with each part that JSON cannot hold replaced by text.

    Lists, tuples and dictionaries are copied.
    """
    if isinstance(value, dict):
        return {json_safe(str(k)): json_safe(v) for k, v in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in cast("list[Any]", value)]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    return f"<{type(value).__name__}>"
