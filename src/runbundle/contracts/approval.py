"""Decisions about tool calls: a tool's contract asks for one, and a decider gives it.

`deny` is final: the call never runs, and no decider is asked. `require_approval` asks the decider that was given to
`configure()`; the default decider refuses. A tool that is allowed, or that has no contract, runs at once. If deciding
fails in any way, the call is denied.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from weakref import WeakSet

from runbundle import format as formats  # its models are loaded when they are asked for
from runbundle.errors import PolicyBlocked
from runbundle.process.regex import later
from runbundle.redaction.permitted.safe_text import safe_name

_log = logging.getLogger("runbundle")

Outcome = Literal["allowed", "blocked", "approved", "denied"]
_OUTCOMES = frozenset({"allowed", "blocked", "approved", "denied"})
_RULE = later(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,255}")

NOBODY = "needs an approval that nobody gave"


@dataclass(frozen=True, eq=False)
class ToolCall:
    """A tool call that waits for a decision: the argument of a decider."""

    tool: str
    """The tool's name."""
    arguments: Mapping[str, Any] = field(repr=False)
    """The live arguments by name, defaults included; read-only. Only the decider sees them: they are not recorded."""
    call_id: str
    """The id of the call in the bundle."""
    contract: "formats.contract.ToolContract"
    """The tool's contract."""
    run_id: str
    """The run of the call, or ""."""

    @property
    def rule(self) -> str:
        """The rule that holds the call up: `contract:<tool>:<policy>`."""
        return f"contract:{self.tool}:{self.contract.effective_policy}"


@dataclass(frozen=True)
class Decision:
    """The decision about one call. `allowed` and `approved` let it run; `blocked` and `denied` do not.

    `approved` and `denied` say that a person decided, `allowed` and `blocked` that a rule did.
    """

    outcome: Outcome
    """The decision."""
    rule: str = ""
    """The name of the rule that decided: letters, digits and `_.:/-`. It is recorded and shown to the agent, so it must
    hold no data of the call. If it is empty or no such name, the contract's rule stands in its place.
    """
    reason: str = ""
    """The reason in free text. It is recorded as a digest, like all content."""


Decider = Callable[[ToolCall], Decision | bool | Awaitable[Decision | bool]]
"""A function that decides about one call: True approves, False denies. An async decider serves coroutines, async
generators and `async with start_tool(...)` only. A sync decider runs on the thread of the tool, so in a coroutine it
blocks the event loop.
"""


def default_decider(call: ToolCall) -> Decision:
    """Decide by the contract alone: block a call that needs an approval, since nobody was asked for one."""
    policy = call.contract.effective_policy
    if policy == "allow":
        return Decision("allowed", call.rule)
    return Decision("blocked", call.rule, NOBODY if policy == "require_approval" else "")


def ask(decider: Decider, call: ToolCall) -> Decision:
    """Return the decision of the decider, or `denied` if it fails. Raises no `Exception`; cancellation and interrupts
    pass.
    """
    try:
        answer: object = decider(call)
        if inspect.isawaitable(answer):
            if inspect.iscoroutine(answer):
                answer.close()
            return _fault(call, "an async decider cannot decide for a sync tool")
        return _settled(call, answer)
    except Exception as error:  # noqa: BLE001 - fail closed; the message may quote the call, so it goes nowhere
        return _fault(call, f"the decider raised {type(error).__name__}")


async def ask_async(decider: Decider, call: ToolCall) -> Decision:
    """Return the decision of the decider as `ask` does, and await it if it is awaitable."""
    try:
        answer: object = decider(call)
        if inspect.isawaitable(answer):
            answer = cast("object", await answer)
        return _settled(call, answer)
    except Exception as error:  # noqa: BLE001 - fail closed, as above
        return _fault(call, f"the decider raised {type(error).__name__}")


def _settled(call: ToolCall, answer: object) -> Decision:
    # Only what is exactly an answer counts: a truthy object is no approval.
    if answer is True or answer is False:
        return Decision("approved" if answer else "denied", call.rule)
    if not isinstance(answer, Decision) or answer.outcome not in _OUTCOMES:
        return _fault(call, f"the decider returned {type(answer).__name__}, not a decision")
    # Type checkers need not have seen the decider.
    rule: Any = answer.rule
    reason: Any = answer.reason
    is_name = isinstance(rule, str) and _RULE.fullmatch(rule) is not None and safe_name(rule)
    return Decision(answer.outcome, rule if is_name else call.rule, reason if isinstance(reason, str) else "")


def _fault(call: ToolCall, reason: str) -> Decision:
    _log.error("%s; the call is denied", reason)
    return Decision("denied", call.rule, reason)


_refusals: WeakSet[PolicyBlocked] = WeakSet()


def refusal(call: ToolCall, decision: Decision) -> PolicyBlocked | None:
    """Return the error that stops a call, or None if the call may run. The error names the tool and the rule only."""
    if decision.outcome in ("allowed", "approved"):
        return None
    error = PolicyBlocked(
        f"tool {call.tool!r} was {decision.outcome} by policy, rule {decision.rule}",
        hint=NOBODY if decision.reason == NOBODY else "",
    )
    _refusals.add(error)
    return error


def is_refusal(error: BaseException) -> bool:
    """Tell whether `refusal` made this error. An error of the same class that an agent raised itself is none."""
    return isinstance(error, PolicyBlocked) and error in _refusals
