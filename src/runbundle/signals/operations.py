"""What a span is, whoever instrumented it."""

from collections.abc import Mapping
from typing import Any, Literal

from runbundle.signals import own, semconv
from runbundle.signals.dialects.canonical import canonical_attributes
from runbundle.signals.names import CHAT, EXECUTE_TOOL, INDEX, INVOKE_AGENT, RETRIEVAL, RUN, STEP

Operation = Literal["run", "agent", "step", "tool", "model", "retrieval", "other"]

OF_GEN_AI: dict[str, Operation] = {
    INVOKE_AGENT: "agent",
    "create_agent": "step",
    "invoke_workflow": "step",
    EXECUTE_TOOL: "tool",
    CHAT: "model",
    "generate_content": "model",
    "text_completion": "model",
    "embeddings": "model",
    RETRIEVAL: "retrieval",
    "plan": "step",
}
"""Kinds of work, by the operation that a span names."""


def operation(attributes: Mapping[str, Any]) -> Operation:
    """Return what kind of work a span stands for, from its attributes alone."""
    op = attributes.get(own.OP)
    if op in ("run", "step"):
        return op
    named = attributes.get(semconv.OPERATION)
    return OF_GEN_AI.get(named, "other") if isinstance(named, str) else "other"


_BEGINS_NONE = ("create_agent", "embeddings", INDEX)
"""Work on agents and on what they search, none of an agent's own."""


def is_agent_work(name: object, attributes: Mapping[str, Any]) -> bool:
    """Tell whether a span is of an agent's work in any dialect, so that its content is not for everybody."""
    if semconv.OPERATION in attributes or own.OP in attributes:
        return True  # a table may change which of them it is
    said = canonical_attributes(name, attributes, whole=False)
    if semconv.OPERATION in said or own.OP in said:
        return True
    return isinstance(name, str) and name.startswith(INVOKE_AGENT)


def begins_run(name: object, attributes: Mapping[str, Any], scope: str = "") -> bool:
    """Tell whether a span shows that what it is part of is an agent's run, in any dialect.

    `attributes` are those with which it began, or all that it ended with. `scope`: the name of its instrumentation
    scope, if it is known.
    """
    said = attributes if scope == own.SCOPE else canonical_attributes(name, attributes, whole=False)
    if semconv.OPERATION in said or own.OP in said:
        if semconv.MCP_METHOD in said and own.OP in said:
            return False  # a client that connects and asks what there is
        return said.get(semconv.OPERATION) not in _BEGINS_NONE
    return isinstance(name, str) and name.startswith(INVOKE_AGENT)


_LABELLED: dict[str, tuple[str, str, str]] = {
    "tool": (semconv.OPERATION, EXECUTE_TOOL, semconv.TOOL_NAME),
    "agent": (semconv.OPERATION, INVOKE_AGENT, semconv.AGENT_NAME),
    "model": (semconv.OPERATION, CHAT, semconv.REQUEST_MODEL),
    "retrieval": (semconv.OPERATION, RETRIEVAL, own.NAME),
    "step": (own.OP, STEP, own.NAME),
    "run": (own.OP, RUN, own.NAME),
}


def attributes_of(label: str) -> dict[str, Any]:
    """Return the attributes that a label such as `tool:find_order` stands for; none for one that says nothing."""
    op, _, name = label.partition(":")
    if op not in _LABELLED:
        return {}
    key, value, name_key = _LABELLED[op]
    return {key: value, **({name_key: name} if name else {})}
