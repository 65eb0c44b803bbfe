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
    return _GEN_AI.get(attributes.get("gen_ai.operation.name", ""), "other")


def is_agent_work(name: str, attributes: Mapping[str, Any]) -> bool:
    """Tell, at the start of a span outside any run, whether a run begins with it."""
    return "gen_ai.operation.name" in attributes or "runbundle.op" in attributes or name.startswith("invoke_agent")
