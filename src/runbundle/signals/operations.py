"""What a span is, whoever instrumented it."""

from collections.abc import Mapping
from typing import Any, Literal

Operation = Literal["run", "agent", "step", "tool", "model", "retrieval", "other"]

_GEN_AI: dict[str, Operation] = {
    "invoke_agent": "agent",
    "create_agent": "agent",
    "invoke_workflow": "agent",
    "execute_tool": "tool",
    "chat": "model",
    "generate_content": "model",
    "text_completion": "model",
    "embeddings": "model",
    "retrieval": "retrieval",
    "plan": "step",
}


def operation(attributes: Mapping[str, Any]) -> Operation:
    """Return what kind of work a span stands for, from its attributes alone."""
    own = attributes.get("runbundle.op")
    if own in ("run", "step"):
        return own
    named = attributes.get("gen_ai.operation.name")
    return _GEN_AI.get(named, "other") if isinstance(named, str) else "other"


def is_agent_work(name: object, attributes: Mapping[str, Any]) -> bool:
    """Tell, at the start of a span outside any run, whether a run begins with it."""
    if "gen_ai.operation.name" in attributes or "runbundle.op" in attributes:
        return True
    return isinstance(name, str) and name.startswith("invoke_agent")


_LABELLED: dict[str, tuple[str, str, str]] = {
    "tool": ("gen_ai.operation.name", "execute_tool", "gen_ai.tool.name"),
    "agent": ("gen_ai.operation.name", "invoke_agent", "gen_ai.agent.name"),
    "model": ("gen_ai.operation.name", "chat", "gen_ai.request.model"),
    "retrieval": ("gen_ai.operation.name", "retrieval", "runbundle.name"),
    "step": ("runbundle.op", "step", "runbundle.name"),
    "run": ("runbundle.op", "run", "runbundle.name"),
}


def attributes_of(label: str) -> dict[str, Any]:
    """Return the attributes that a label such as `tool:find_order` stands for; none for one that says nothing."""
    op, _, name = label.partition(":")
    if op not in _LABELLED:
        return {}
    key, value, name_key = _LABELLED[op]
    return {key: value, **({name_key: name} if name else {})}


def span_name(attributes: Mapping[str, Any]) -> str:
    """Return the name of a span of which only such attributes are known."""
    first = attributes.get("gen_ai.operation.name") or attributes.get("runbundle.op")
    if first is None:
        return "[REDACTED:name]"
    rest = (attributes.get(key) for key in ("gen_ai.tool.name", "gen_ai.agent.name", "gen_ai.request.model"))
    name = next((n for n in rest if n), None) or attributes.get("runbundle.name")
    return f"{first} {name}" if name else str(first)
