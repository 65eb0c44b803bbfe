"""Names of spans: those of our own, and those that follow from a span's attributes."""

from collections.abc import Mapping
from typing import Any

from runbundle.signals import own, semconv

RUN, STEP = "run", "step"
"""Kinds of work that `own.OP` names."""
INVOKE_AGENT, EXECUTE_TOOL, CHAT, RETRIEVAL = "invoke_agent", "execute_tool", "chat", "retrieval"
"""Kinds of work that `semconv.OPERATION` names, as far as spans of our own have them."""
INDEX = "index"
"""What it names on a step that prepares what is searched later. The conventions have no word for it."""
EMBEDDINGS = "embeddings"
"""The kind of work that asks a model for vectors, and for no answer."""

_NAME_PARTS = (
    (semconv.OPERATION, (semconv.TOOL_NAME, semconv.AGENT_NAME, semconv.REQUEST_MODEL, semconv.RESPONSE_MODEL,
                         semconv.DATA_SOURCE, own.RETRIEVER_NAME, own.NAME, semconv.WORKFLOW_NAME)),
    (own.OP, (own.NAME,)),
    ("http.request.method", ("http.route",)),
    ("http.method", ("http.route",)),
    ("db.operation.name", ("db.collection.name", "db.namespace")),
    ("db.operation", ("db.sql.table", "db.name")),
    ("messaging.operation.name", ("messaging.destination.name",)),
    (semconv.MCP_METHOD, (semconv.TOOL_NAME,)),
    ("rpc.service", ()),
)  # fmt: skip
NAME_KEYS = tuple(dict.fromkeys([key for first, targets in _NAME_PARTS for key in (first, *targets)] + ["rpc.method"]))
"""Attributes from which a span's name may follow; no others are read here for it."""
_MODELS = (semconv.REQUEST_MODEL, semconv.RESPONSE_MODEL)
_THINGS: dict[str, tuple[str, ...]] = {
    EXECUTE_TOOL: (semconv.TOOL_NAME,),
    INVOKE_AGENT: (semconv.AGENT_NAME,),
    "create_agent": (semconv.AGENT_NAME,),
    "invoke_workflow": (semconv.WORKFLOW_NAME, own.NAME),
    RETRIEVAL: (semconv.DATA_SOURCE, own.RETRIEVER_NAME, own.NAME),
    **dict.fromkeys((CHAT, "generate_content", "text_completion", EMBEDDINGS), _MODELS),
}
"""By kind of work, the attributes that name its thing. A model call may name its agent too, which is not its thing."""


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


def full_name(attributes: Mapping[str, Any]) -> str:
    """Return the name that a span should have by its redacted attributes: `execute_tool lookup_order`.

    It consists of the kind of work and the name of its thing; of an agent's work it is the kind alone where nothing
    names the thing. "" if the attributes do not say as much. It is one of `derived_names`.
    """
    work, kind = attributes.get(own.OP), attributes.get(semconv.OPERATION)
    parts = [(work, (own.NAME,))] if work in (RUN, STEP) else []
    parts += [(kind, _THINGS[kind])] if isinstance(kind, str) and kind in _THINGS else []
    named = _first_named(attributes, parts)
    if named or (parts and _says(parts[0][0])):
        return named or str(parts[0][0])
    # Those of the table that stand behind the kinds of an agent's work: of servers, databases, queues.
    named = _first_named(attributes, [(attributes.get(key), targets) for key, targets in _NAME_PARTS[2:]])
    if named:
        return named
    service, method = attributes.get("rpc.service"), attributes.get("rpc.method")
    head = derived_names(dict(attributes))[0]
    return f"{head}/{method}" if head == service and _says(service) and _says(method) else ""


def _first_named(attributes: Mapping[str, Any], parts: list[tuple[Any, tuple[str, ...]]]) -> str:
    for first, targets in parts:
        thing = next((value for key in targets if _says(value := attributes.get(key))), None)
        if _says(first) and thing is not None:
            return f"{first} {thing}"
    return ""


def _says(value: object) -> bool:
    return isinstance(value, str) and value != "" and not value.startswith("[REDACTED")


def derived_names(attributes: dict[str, Any]) -> tuple[str, set[str]]:
    """Return the first word a span's name may have, and all names that follow from its redacted attributes.

    The semantic conventions build span names from low-cardinality attributes. A name that can be built from kept
    attributes says nothing more than they do; any other name is free text.
    """
    head, names = "", set[str]()
    for key, targets in _NAME_PARTS:
        if key not in attributes:
            continue
        first = attributes[key]
        if isinstance(first, str):
            head = head or first
            names.add(first)
            for target in targets:
                if target in attributes and isinstance(value := attributes[target], str):
                    names.add(f"{first} {value}")
    method = attributes.get("rpc.method")
    if isinstance(method, str) and head:
        names.add(f"{head}/{method}")
    return head, names
