"""A tool call before it runs: the decision that its contract asks for, and the event that records that decision."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, cast

from runbundle.contracts.approval import NOBODY, Decider, Decision, ToolCall, default_decider
from runbundle.otel import active
from runbundle.otel.agent.capture import arguments_of, signature_of
from runbundle.signals import own


def decision_needed(
    tool: str, arguments: Callable[[], Mapping[str, Any]], *, call_id: str, run_id: str
) -> tuple[Decider, ToolCall] | None:
    """Return the decider and the call to put to it, or None if the contract allows the call."""
    handle = active.get()
    contract = handle.redactor.policy.contracts.get(tool) if handle is not None else None
    if handle is None or contract is None or contract.effective_policy == "allow":
        return None
    call = ToolCall(tool, MappingProxyType(arguments()), call_id, contract, run_id)
    return (default_decider if contract.effective_policy == "deny" else handle.decider), call


def decision_attributes(call: ToolCall, decision: Decision) -> dict[str, str]:
    """Return the attributes of the event `runbundle.policy.decision` for one decision; empty ones are left out."""
    # The rule says as much as the default reason does, of which redaction would leave a digest.
    reason = "" if decision.reason == NOBODY else decision.reason
    said = {"decision": decision.outcome, "rule": decision.rule, "reason": reason, "tool": call.tool}
    return {own.POLICY[key]: value for key, value in said.items() if value}


def all_arguments(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a call's arguments as the function will see them: by name, with the defaults filled in.

    `self` and `cls` are left out. A keyword that `**kwargs` takes in under the name of another parameter does not hide
    that parameter's value. A call that does not fit the signature is described as `arguments_of` does.
    """
    signature = signature_of(function)
    try:
        bound = signature.bind(*args, **kwargs) if signature is not None else None
    except TypeError:  # the call could not be made anyhow
        bound = None
    if signature is None or bound is None:
        return arguments_of(function, args, kwargs)
    bound.apply_defaults()
    named, extra = dict(bound.arguments), dict[str, Any]()
    first = next(iter(signature.parameters), None)
    if first in ("self", "cls"):
        named.pop(first, None)
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            extra = cast("dict[str, Any]", named.pop(parameter.name, {}))
    return {**extra, **named}
