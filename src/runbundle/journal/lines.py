"""Journal lines: a checksum, a space and one JSON object: a redacted record, the start of a span, or a resource.

A span's resource is the same thousands of times; it has a line of its own, once for each journal, and spans name it.
The checksum is CRC-32 of the object in eight hex digits: a line that a dying machine wrote in part is told apart from
a whole one, wherever in the line the gap is.
"""

from typing import Any, cast
from zlib import crc32

import orjson

from runbundle.signals.records import LogRecordDict, ResourceRecord, SpanRecord


def start_line(
    trace_id: str,
    span_id: str,
    parent_span_id: str,
    start_ns: int,
    lane: str,
    label: str = "",
    *,
    is_run: bool = False,
    record: SpanRecord | None = None,
) -> bytes:
    """Return the line that says a span has started; but for `record`, it carries no text that may not be kept.

    `label` says what the span is, and its name if it has one that may be kept: `tool:find_order`. `is_run` says that
    the span is the run's own: what tells a run that was cut off from a part of one begun elsewhere. `record` is then
    the span as it was when it started, redacted: whose run it is and with which configuration.
    """
    body: dict[str, Any] = {
        "k": "start", "trace_id": trace_id, "span_id": span_id, "parent_span_id": parent_span_id,
        "start_ns": start_ns, "lane": lane, "label": label, "is_run": is_run,
    }  # fmt: skip
    if record is not None:
        body |= {"name": record["name"], "attributes": record["attributes"]}
    return _line(body)


def resource_line(number: int, resource: ResourceRecord) -> bytes:
    """Return the line that introduces a resource."""
    return _line({"k": "resource", "resource": number, "value": resource})


def record_line(kind: str, record: SpanRecord | LogRecordDict, resource: int) -> bytes:
    """Return the line of a redacted span (`span`) or log record (`log`)."""
    return _line({"k": kind, **record, "resource": resource})


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Read a line back; None if it was cut off, was damaged, or is not one of ours."""
    body = line[9:].rstrip(b"\n")
    try:
        if int(line[:8], 16) != crc32(body):
            return None
        value = orjson.loads(body)
    except ValueError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) and "k" in value else None


def _line(value: dict[str, Any]) -> bytes:
    try:
        body = orjson.dumps(value)
    except TypeError:  # an attribute that is bytes or holds a lone surrogate; rare, since most are markers by now
        body = orjson.dumps(plain(value))
    return b"%08x %b\n" % (crc32(body), body)


def plain(value: Any) -> Any:
    """Return `value` with everything JSON cannot hold replaced by text. Total."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    return f"<{type(value).__name__}>"
