"""A tool call before it runs: who is asked about it, what its contract is asked with, and what the span says of it."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, cast

from runbundle.contracts.approval import NOBODY, Decider, Decision, PendingCall, default_decider
from runbundle.otel import active
from runbundle.otel.agent.capture import arguments_of, signature_of


def decision_needed(
    tool: str, arguments: Callable[[], Mapping[str, Any]], *, call_id: str, run_id: str
) -> tuple[Decider, PendingCall] | None:
    """Return the decider and the call to put to it, or None if the contract allows the call."""
    handle = active.get()
    contract = handle.redactor.policy.contracts.get(tool) if handle is not None else None
    if handle is None or contract is None or contract.effective_policy == "allow":
        return None
    call = PendingCall(tool, MappingProxyType(arguments()), call_id, contract, run_id)
    return (default_decider if contract.effective_policy == "deny" else handle.decider), call


def decision_attributes(call: PendingCall, decision: Decision) -> dict[str, str]:
    """Return the attributes of the event `runbundle.policy.decision`."""
    # The rule says as much as the default reason does, of which redaction would leave a digest.
    reason = "" if decision.reason == NOBODY else decision.reason
    said = {"decision": decision.outcome, "rule": decision.rule, "reason": reason, "tool": call.tool}
    return {f"runbundle.policy.{key}": value for key, value in said.items() if value}


def all_arguments(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a call's arguments as the function will see them: as `arguments_of`, with defaults.

    A keyword that `**kwargs` takes up under the name of another parameter does not hide that parameter's value.
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
