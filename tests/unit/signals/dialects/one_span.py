"""Spans as tables get them."""

import copy
from typing import Any

from runbundle.signals.dialects.canonical import canonical


def read(attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a span's record after it was read; what was read is as it was."""
    record: Any = {
        "name": "span", "attributes": attributes, "events": [], "scope": {"name": "s"}, "end_ns": 9,
        "parent_span_id": "1" * 16, "remote_parent": False, **more,
    }  # fmt: skip
    before = copy.deepcopy(record)
    result: Any = canonical(record)
    assert record == before
    return result


def said(attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return what a span's attributes say in our terms."""
    return read(attributes, **more)["attributes"]


def read_of_dump(span: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a dump's span after it was read."""
    return read(
        span["attributes"],
        name=span["name"],
        events=[{**event, "dropped": 0} for event in span["events"]],
        scope=span["scope"],
        end_ns=span["end_ns"],
        parent_span_id=span["parent_span_id"] or "",
        remote_parent=span["remote"],
    )
