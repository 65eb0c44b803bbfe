"""Entries of journals for tests of assembly."""

from typing import Any

TRACE = "a" * 32


def span_id(number: int) -> str:
    """Return the id of a span."""
    return f"{number:016x}"


def entry(number: int = 1, parent: int = 0, **fields: Any) -> dict[str, Any]:
    """Return the entry of a span that ended, as a journal has it."""
    return {
        "k": "span", "trace_id": TRACE, "span_id": span_id(number),
        "parent_span_id": span_id(parent) if parent else "", "start_ns": number * 10, "end_ns": number * 10 + 5,
        "name": "n", "status_code": 0, "status_message": "", "remote_parent": False, "attributes": {}, "events": [],
        "links": [], "scope": {}, "dropped": {}, **fields,
    }  # fmt: skip
