"""Whether a tool call may run: what the tool's contract asks for, and the decider that answers.

`deny` is final: such a call never runs, and no decider is asked. For `require_approval` the decider given to
`configure()` is asked; by default nobody is, and the call is refused. Tools that are allowed, or have no contract,
are not held up. Whatever goes wrong while deciding, the call is denied.
"""

import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from weakref import WeakSet

from runbundle.errors import PolicyBlocked
from runbundle.format.contract import ToolContract
from runbundle.redaction.permitted.safe_text import safe_name

_log = logging.getLogger("runbundle")

Outcome = Literal["allowed", "blocked", "approved", "denied"]
_OUTCOMES = frozenset({"allowed", "blocked", "approved", "denied"})
_RULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,255}")

NOBODY = "needs an approval that nobody gave"


@dataclass(frozen=True, eq=False)
class PendingCall:
    """A call that waits for a decision: what a decider is given."""

    tool: str
    """The tool's name."""
    arguments: Mapping[str, Any] = field(repr=False)
    """The live arguments by name, defaults included; read-only. For the decider's eyes: nothing records them."""
    call_id: str
    """The id that the call has in the bundle."""
    contract: ToolContract
    """The tool's contract."""
    run_id: str
    """The run that the call is part of, or ""."""

    @property
    def rule(self) -> str:
        """The rule that holds the call up: `contract:<tool>:<policy>`."""
        return f"contract:{self.tool}:{self.contract.effective_policy}"


@dataclass(frozen=True)
class Decision:
    """What was decided about a call. With `allowed` and `approved` it runs, with `blocked` and `denied` it does not.

    `approved` and `denied` are for what a person decided, `allowed` and `blocked` for what a rule did.
    """

    outcome: Outcome
    """The decision."""
    rule: str = ""
    """Name of the rule it was made by: letters, digits and `_.:/-`, without data of the call, since it is recorded
    and shown to the agent. Empty, or not such a name: the contract's rule."""
    reason: str = ""
    """Why, in free text. Recorded as a digest, like all content."""


Decider = Callable[[PendingCall], Decision | bool | Awaitable[Decision | bool]]
"""Decides about one call. True approves, False denies. An async one decides for coroutines, async generators and
`async with start_tool(...)` only. A sync one is called where the tool is: in a coroutine it holds the loop up."""


def default_decider(call: PendingCall) -> Decision:
    """Decide by the contract alone: what needs an approval is blocked, for nobody gave one."""
    policy = call.contract.effective_policy
    if policy == "allow":
        return Decision("allowed", call.rule)
    return Decision("blocked", call.rule, NOBODY if policy == "require_approval" else "")


def ask(decider: Decider, call: PendingCall) -> Decision:
    """Return what the decider decides. Raises no `Exception`; cancellation and interrupts go through."""
    try:
        answer: object = decider(call)
        if inspect.isawaitable(answer):
            if inspect.iscoroutine(answer):
                answer.close()
            return _fault(call, "an async decider cannot decide for a sync tool")
        return _settled(call, answer)
    except Exception as error:  # noqa: BLE001 - fail closed; the message may quote the call, so it goes nowhere
        return _fault(call, f"the decider raised {type(error).__name__}")


async def ask_async(decider: Decider, call: PendingCall) -> Decision:
    """Do as `ask` does, and wait for the answer if it is an awaitable."""
    try:
        answer: object = decider(call)
        if inspect.isawaitable(answer):
            answer = cast("object", await answer)
        return _settled(call, answer)
    except Exception as error:  # noqa: BLE001 - fail closed, as above
        return _fault(call, f"the decider raised {type(error).__name__}")


def _settled(call: PendingCall, answer: object) -> Decision:
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


def _fault(call: PendingCall, reason: str) -> Decision:
    _log.error("%s; the call is denied", reason)
    return Decision("denied", call.rule, reason)


_refusals: "WeakSet[PolicyBlocked]" = WeakSet()


def refusal(call: PendingCall, decision: Decision) -> PolicyBlocked | None:
    """Return the error that keeps the call from running, or None if it may run. It names tool and rule only."""
    if decision.outcome in ("allowed", "approved"):
        return None
    error = PolicyBlocked(
        f"tool {call.tool!r} was {decision.outcome} by policy, rule {decision.rule}",
        hint=NOBODY if decision.reason == NOBODY else "",
    )
    _refusals.add(error)
    return error


def is_refusal(error: BaseException) -> bool:
    """Tell whether `refusal` made this error, as against one that an agent raised by itself."""
    return isinstance(error, PolicyBlocked) and error in _refusals
