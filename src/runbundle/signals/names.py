"""Names of spans that follow from their attributes."""

from typing import Any

_NAME_PARTS = (
    ("gen_ai.operation.name", ("gen_ai.tool.name", "gen_ai.agent.name", "gen_ai.request.model",
                               "gen_ai.data_source.id", "gen_ai.workflow.name")),
    ("runbundle.op", ("runbundle.name",)),
    ("http.request.method", ("http.route",)),
    ("http.method", ("http.route",)),
    ("db.operation.name", ("db.collection.name", "db.namespace")),
    ("db.operation", ("db.sql.table", "db.name")),
    ("messaging.operation.name", ("messaging.destination.name",)),
    ("mcp.method.name", ("gen_ai.tool.name",)),
    ("rpc.service", ()),
)  # fmt: skip


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
