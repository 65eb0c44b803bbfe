"""Journal lines: one JSON object a line, each a redacted record or the start of a span.

A span's resource is the same thousands of times; it has a line of its own, once for each journal, and spans name it.
"""

from typing import Any, cast

import orjson

from runbundle.models.records import LogRecordDict, ResourceRecord, SpanRecord


def start_line(
    trace_id: str, span_id: str, parent_span_id: str, start_ns: int, lane: str, *, is_run: bool = False
) -> bytes:
    """Return the line that says a span has started; it carries no text that an application chose.

    `is_run` says that the span is the run's own: what tells a run that was cut off from a part of one begun elsewhere.
    """
    return orjson.dumps(
        {"k": "start", "trace_id": trace_id, "span_id": span_id, "parent_span_id": parent_span_id,
         "start_ns": start_ns, "lane": lane, "is_run": is_run}, option=orjson.OPT_APPEND_NEWLINE
    )  # fmt: skip


def resource_line(number: int, resource: ResourceRecord) -> bytes:
    """Return the line that introduces a resource."""
    return _dumps({"k": "resource", "resource": number, "value": resource})


def record_line(kind: str, record: SpanRecord | LogRecordDict, resource: int) -> bytes:
    """Return the line of a redacted span (`span`) or log record (`log`)."""
    return _dumps({"k": kind, **record, "resource": resource})


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Read a line back; None if it was cut off or is not one of ours."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) and "k" in value else None


def _dumps(value: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # an attribute that is bytes or holds a lone surrogate; rare, since most are markers by now
        return orjson.dumps(plain(value), option=orjson.OPT_APPEND_NEWLINE)


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
