"""Names of spans: those of our own, and those that follow from a span's attributes."""

from collections.abc import Mapping
from typing import Any

from runbundle.signals import own, semconv

RUN, STEP = "run", "step"
"""Kinds of work that `own.OP` names."""
INVOKE_AGENT, EXECUTE_TOOL, CHAT, RETRIEVAL = "invoke_agent", "execute_tool", "chat", "retrieval"
"""Kinds of work that `semconv.OPERATION` names, as far as spans of our own have them."""

_NAME_PARTS = (
    (semconv.OPERATION, (semconv.TOOL_NAME, semconv.AGENT_NAME, semconv.REQUEST_MODEL,
                         semconv.DATA_SOURCE, semconv.WORKFLOW_NAME)),
    (own.OP, (own.NAME,)),
    ("http.request.method", ("http.route",)),
    ("http.method", ("http.route",)),
    ("db.operation.name", ("db.collection.name", "db.namespace")),
    ("db.operation", ("db.sql.table", "db.name")),
    ("messaging.operation.name", ("messaging.destination.name",)),
    (semconv.MCP_METHOD, (semconv.TOOL_NAME,)),
    ("rpc.service", ()),
)  # fmt: skip


def span_name(work: str, name: str) -> str:
    """Return the name of a span of our own, of its kind of work and the name of its thing: `run support`."""
    return f"{work} {name}"


def name_from(attributes: Mapping[str, Any]) -> str:
    """Return the name of a span of our own of which only such attributes are known."""
    work = attributes.get(semconv.OPERATION) or attributes.get(own.OP)
    if work is None:
        return "[REDACTED:name]"
    keys = (semconv.TOOL_NAME, semconv.AGENT_NAME, semconv.REQUEST_MODEL, own.NAME)
    name = next((name for key in keys if (name := attributes.get(key))), None)
    return span_name(work, name) if name else str(work)


def derived_names(attributes: dict[str, Any]) -> tuple[str, set[str]]:
    """Return the first word a span's name may have, and all names that follow from its redacted attributes.

    The semantic conventions build span names from low-cardinality attributes. A name that can be built from kept
    attributes says nothing more than they do; any other name is free text.
    """
    head, names = "", set[str]()
    for key, targets in _NAME_PARTS:
        first = attributes.get(key)
        if isinstance(first, str):
            head = head or first
            names.add(first)
            for target in targets:
                value = attributes.get(target)
                if isinstance(value, str):
                    names.add(f"{first} {value}")
    method = attributes.get("rpc.method")
    if isinstance(method, str) and head:
        names.add(f"{head}/{method}")
    return head, names
