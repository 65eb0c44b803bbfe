"""The policy of a tool's contract, enforced: what is refused never runs, and every decision is in the bundle."""

import asyncio
import gc
import logging
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import runbundle
from runbundle import Decision, PendingCall, PolicyBlocked, tool
from runbundle.bundle.verify import verify
from runbundle.format.tool_calls import PolicyOutcome
from tests.conftest import all_bytes, sealed

Configured = Callable[..., runbundle.Handle]
CANARY = "canary-4711-mallory"
CONTRACTS: list[dict[str, Any]] = [
    {"name": "send", "policy": "require_approval"},
    {"name": "drop_table", "policy": "deny"},
    {"name": "wipe", "side_effects": "destructive"},
    {"name": "look", "policy": "allow"},
]
ran: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@tool(name="send")
def send(to: str, amount: int = 5) -> str:
    """Run only if somebody approves."""
    ran.append(to)
    return "sent"


@tool(name="send")
async def send_async(to: str) -> str:
    """Run only if somebody approves."""
    ran.append(to)
    return "sent"


@tool(name="send")
def send_many(to: str) -> Iterator[str]:
    """Run only if somebody approves."""
    ran.append(to)
    yield "sent"


@tool(name="send")
async def send_stream(to: str) -> AsyncIterator[str]:
    """Run only if somebody approves."""
    ran.append(to)
    yield "sent"


class Mail:
    """Tools that are methods."""

    @tool(name="send")
    def method(self, to: str) -> str:
        ran.append(to)
        return "sent"

    @tool(name="send")
    @classmethod
    def of_class(cls, to: str) -> str:
        ran.append(to)
        return "sent"

    @tool(name="send")
    @staticmethod
    def static(to: str) -> str:
        ran.append(to)
        return "sent"


async def _first(stream: Any) -> Any:
    return await anext(aiter(stream))


def _with_scope(to: str) -> str:
    with runbundle.start_tool("send", {"to": to}):
        ran.append(to)
    return "sent"


async def _with_async_scope(to: str) -> str:
    async with runbundle.start_tool("send", {"to": to}):
        ran.append(to)
    return "sent"


SYNC: dict[str, Callable[[str], Any]] = {
    "function": send,
    "generator": lambda to: next(send_many(to)),
    "method": lambda to: Mail().method(to),
    "class method": Mail.of_class,
    "static method": Mail.static,
    "start_tool": _with_scope,
}
ASYNC: dict[str, Callable[[str], Any]] = {
    "coroutine": lambda to: asyncio.run(send_async(to)),
    "async generator": lambda to: asyncio.run(_first(send_stream(to))),
    "async start_tool": lambda to: asyncio.run(_with_async_scope(to)),
}
KINDS = {**SYNC, **ASYNC}


def outcomes(bundle: Any) -> list[tuple[str, PolicyOutcome]]:
    """Return what tool_calls.json says of each call's policy."""
    return [(call.tool, call.policy) for call in bundle.tool_calls().calls]


@pytest.mark.parametrize("kind", KINDS)
def test_a_blocked_call_never_runs_and_is_recorded(configured: Configured, tmp_path: Path, kind: str) -> None:
    """By default what needs an approval is refused, on every kind of function; no argument gets anywhere."""
    handle = configured(contracts=CONTRACTS)
    with runbundle.start_run("r"), pytest.raises(PolicyBlocked) as caught:
        KINDS[kind](CANARY)
    assert ran == []
    text = str(caught.value)
    assert "'send' was blocked" in text
    assert "contract:send:require_approval" in text
    assert "needs an approval that nobody gave" in text
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    bundle = sealed(handle)
    [call] = bundle.tool_calls().calls
    assert (call.status, call.error and call.error.type) == ("blocked", "PolicyBlocked")
    assert (call.policy.decision, call.policy.rule) == ("blocked", "contract:send:require_approval")
    [event] = [e for e in bundle.events() if e["type"] == "policy.decision"]
    assert event["span_id"] == call.span_id
    said = {key: value for key, value in event["attributes"].items() if key.startswith("runbundle.policy.")}
    assert said == {
        "runbundle.policy.decision": "blocked",
        "runbundle.policy.rule": "contract:send:require_approval",
        "runbundle.policy.tool": "send",
    }
    assert bundle.index.counts.policy_blocks == 1
    assert bundle.index.completeness.state == "complete"
    assert verify(bundle.store, bundle.key).verdict == "verified"
    handle.shutdown()
    assert CANARY.encode() not in all_bytes(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_an_approved_call_runs_and_the_approval_is_recorded(configured: Configured, kind: str) -> None:
    """A decider that says True lets the call run once, on every kind of function, and is asked once."""
    asked: list[PendingCall] = []

    def decider(call: PendingCall) -> bool:
        asked.append(call)
        return True

    handle = configured(contracts=CONTRACTS, decider=decider)
    with runbundle.start_run("r", run_id="run-1"):
        assert KINDS[kind]("bob") == "sent"
    assert ran == ["bob"]
    [call] = asked
    assert (call.tool, call.run_id, call.arguments["to"]) == ("send", "run-1", "bob")
    assert call.contract.effective_policy == "require_approval"
    bundle = sealed(handle)
    [recorded] = bundle.tool_calls().calls
    assert recorded.call_id == call.call_id
    assert (recorded.policy.decision, recorded.policy.rule) == ("approved", call.rule)
    assert bundle.index.counts.policy_blocks == 0
    assert verify(bundle.store, bundle.key).verdict == "verified"


@pytest.mark.parametrize("kind", ASYNC)
@pytest.mark.parametrize("approves", [True, False])
def test_an_async_decider_decides_for_async_tools(configured: Configured, kind: str, approves: bool) -> None:
    """It is awaited before the function is entered."""

    async def decider(call: PendingCall) -> bool:
        await asyncio.sleep(0)
        assert ran == []
        return approves

    handle = configured(contracts=CONTRACTS, decider=decider)
    with runbundle.start_run("r"):
        if approves:
            assert ASYNC[kind]("bob") == "sent"
        else:
            with pytest.raises(PolicyBlocked, match="denied"):
                ASYNC[kind]("bob")
    assert ran == (["bob"] if approves else [])
    assert [o.decision for _, o in outcomes(sealed(handle))] == ["approved" if approves else "denied"]


@pytest.mark.parametrize("kind", SYNC)
def test_an_async_decider_denies_a_sync_tool(configured: Configured, kind: str) -> None:
    """What cannot be waited for is no approval; its coroutine is closed without a warning."""

    async def decider(call: PendingCall) -> bool:
        return True

    handle = configured(contracts=CONTRACTS, decider=decider)
    with runbundle.start_run("r"), pytest.raises(PolicyBlocked, match="denied"):
        SYNC[kind]("bob")
    gc.collect()
    assert ran == []
    assert [o.decision for _, o in outcomes(sealed(handle))] == ["denied"]


def _raises(call: PendingCall) -> bool:
    raise ValueError(call.arguments["to"])


async def _raises_later(call: PendingCall) -> bool:
    await asyncio.sleep(0)
    raise ValueError(call.arguments["to"])


BROKEN: dict[str, Any] = {
    "raises": _raises,
    "raises later": _raises_later,
    "takes nothing": lambda: True,
    "says nothing": lambda call: None,
    "says something true": lambda call: 1,
    "says yes": lambda call: call.arguments["to"],
    "unknown outcome": lambda call: Decision("yes"),  # pyright: ignore[reportArgumentType]
    "unhashable outcome": lambda call: Decision([]),  # pyright: ignore[reportArgumentType]
    "asks for itself": lambda call: send(call.arguments["to"]),
}


@pytest.mark.parametrize("kind", ["function", "coroutine", "async generator", "start_tool"])
@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_decider_denies(
    configured: Configured, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, fault: str
) -> None:
    """Whatever it does, the agent sees PolicyBlocked, and what the decider's error says of the call is nowhere."""
    handle = configured(contracts=CONTRACTS, decider=BROKEN[fault])
    caplog.set_level(logging.ERROR, "runbundle")
    with runbundle.start_run("r"), pytest.raises(PolicyBlocked, match="denied") as caught:
        KINDS[kind](CANARY)
    assert ran == []
    assert caught.value.__context__ is None
    assert CANARY not in "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "the call is denied" in caplog.text
    bundle = sealed(handle)
    assert {o.decision for _, o in outcomes(bundle)} == {"denied"}
    reason = outcomes(bundle)[0][1].reason or ""
    assert reason.startswith("[REDACTED:content:")
    handle.shutdown()
    assert CANARY.encode() not in all_bytes(tmp_path)


def test_deny_is_final(configured: Configured) -> None:
    """No decider is asked about a tool that the contract denies."""
    asked: list[PendingCall] = []
    handle = configured(contracts=CONTRACTS, decider=lambda call: asked.append(call) or True)
    drop_table = tool(name="drop_table")(lambda: ran.append("dropped"))
    with runbundle.start_run("r"), pytest.raises(PolicyBlocked, match="contract:drop_table:deny"):
        drop_table()
    assert (ran, asked) == ([], [])
    assert outcomes(sealed(handle)) == [
        ("drop_table", PolicyOutcome(decision="blocked", rule="contract:drop_table:deny"))
    ]


def test_a_destructive_tool_needs_an_approval_by_itself(configured: Configured) -> None:
    """A contract that only says `destructive` is enforced as `require_approval`."""
    handle = configured(contracts=CONTRACTS)
    with runbundle.start_run("r"), pytest.raises(PolicyBlocked, match="contract:wipe:require_approval"):
        tool(name="wipe")(lambda: ran.append("wiped"))()
    assert ran == []
    assert [o.decision for _, o in outcomes(sealed(handle))] == ["blocked"]


def test_other_tools_are_not_held_up(configured: Configured) -> None:
    """Allowed tools and tools without a contract run unasked, and leave no event of a decision."""
    asked: list[PendingCall] = []
    handle = configured(contracts=CONTRACTS, decider=asked.append)
    with runbundle.start_run("r"):
        tool(name="look")(lambda: ran.append("look"))()
        tool(name="unknown")(lambda: ran.append("unknown"))()
    assert (ran, asked) == (["look", "unknown"], [])
    bundle = sealed(handle)
    assert [o for _, o in outcomes(bundle)] == [PolicyOutcome(decision="allowed")] * 2
    assert not [e for e in bundle.events() if e["type"] == "policy.decision"]


@pytest.mark.parametrize("outcome", ["allowed", "approved", "blocked", "denied"])
def test_a_decision_is_recorded_with_rule_and_reason(configured: Configured, tmp_path: Path, outcome: Any) -> None:
    """The rule's name is kept, the reason leaves a digest; the error has the one and not the other."""
    handle = configured(contracts=CONTRACTS, decider=lambda call: Decision(outcome, "small-amounts", f"for {CANARY}"))
    with runbundle.start_run("r"), suppress(PolicyBlocked):
        send("bob")
    assert ran == (["bob"] if outcome in ("allowed", "approved") else [])
    bundle = sealed(handle)
    [(_, policy)] = outcomes(bundle)
    assert (policy.decision, policy.rule) == (outcome, "small-amounts")
    assert policy.reason is not None
    assert policy.reason.startswith("[REDACTED:content:h2:")
    assert bundle.index.counts.policy_blocks == (0 if ran else 1)
    assert verify(bundle.store, bundle.key).verdict == "verified"
    handle.shutdown()
    assert CANARY.encode() not in all_bytes(tmp_path)


@pytest.mark.parametrize("rule", ["", f"because {CANARY} asked", "AKIA" + "ABCDEFGHIJKLMNOP", "x" * 300, 5, None])
def test_a_rule_that_is_not_a_name_is_not_used(configured: Configured, tmp_path: Path, rule: Any) -> None:
    """The contract's rule stands in its place, in the error and in the bundle."""
    handle = configured(contracts=CONTRACTS, decider=lambda call: Decision("denied", rule))
    with runbundle.start_run("r"), pytest.raises(PolicyBlocked, match=r"rule contract:send:require_approval$"):
        send("bob")
    assert outcomes(sealed(handle))[0][1].rule == "contract:send:require_approval"
    handle.shutdown()
    assert CANARY.encode() not in all_bytes(tmp_path)


def test_a_decider_sees_what_the_function_will(configured: Configured) -> None:
    """Defaults are there, `**kwargs` cannot pose as another parameter, and the mapping cannot be changed."""
    seen: list[dict[str, Any]] = []

    def decider(call: PendingCall) -> bool:
        seen.append(dict(call.arguments))
        assert "bob" not in repr(call)
        with pytest.raises(TypeError):
            call.arguments["to"] = "mallory"  # pyright: ignore[reportIndexIssue]
        return True

    @tool(name="send")
    def transfer(amount: int, /, *to: str, **more: Any) -> Any:
        return amount, to, more

    handle = configured(contracts=CONTRACTS, decider=decider)
    with runbundle.start_run("r"):
        assert send("bob") == "sent"
        assert transfer(1000, "bob", amount=1, note="n") == (1000, ("bob",), {"amount": 1, "note": "n"})
        with runbundle.start_tool("send"):
            pass
        with runbundle.start_tool("send", "bob"):
            pass
    assert seen == [
        {"to": "bob", "amount": 5},
        {"amount": 1000, "to": ("bob",), "note": "n"},
        {},
        {"0": "bob"},
    ]
    assert not handle.flush().failed


def test_the_tool_around_a_blocked_one_was_not_blocked(configured: Configured) -> None:
    """It ran, and failed or went on; only the inner call counts as blocked."""
    handle = configured(contracts=CONTRACTS)

    @tool
    def outer(careful: bool) -> str:
        ran.append("outer")
        with suppress(*([PolicyBlocked] if careful else [])):
            send("bob")
        return "went on"

    with runbundle.start_run("r"):
        assert outer(True) == "went on"
        with pytest.raises(PolicyBlocked, match="'send'"):
            outer(False)
    assert ran == ["outer", "outer"]
    bundle = sealed(handle)
    calls = [(c.tool, c.status, c.policy.decision) for c in bundle.tool_calls().calls]
    assert calls == [
        ("outer", "unset", "allowed"),
        ("send", "blocked", "blocked"),
        ("outer", "error", "allowed"),
        ("send", "blocked", "blocked"),
    ]
    assert bundle.index.counts.policy_blocks == 2
    assert verify(bundle.store, bundle.key).verdict == "verified"


def test_a_tool_may_block_itself_as_before(configured: Configured) -> None:
    """A PolicyBlocked that the function raises is its own decision."""
    handle = configured(contracts=CONTRACTS)

    @tool(name="look")
    def look() -> None:
        raise PolicyBlocked("not today")

    with runbundle.start_run("r"), pytest.raises(PolicyBlocked, match="not today"):
        look()
    [call] = sealed(handle).tool_calls().calls
    assert (call.status, call.policy.decision) == ("blocked", "blocked")


def test_the_decider_works_inside_the_calls_span(configured: Configured) -> None:
    """What it records is part of the call, and after a refusal the caller's span is current again."""
    from opentelemetry import trace

    def decider(call: PendingCall) -> bool:
        runbundle.current_run().event("asked")
        return False

    handle = configured(contracts=CONTRACTS, decider=decider)
    with runbundle.start_run("r"):
        before = trace.get_current_span()
        for kind in ("function", "generator", "start_tool"):
            with pytest.raises(PolicyBlocked):
                KINDS[kind]("bob")
            assert trace.get_current_span() is before
    bundle = sealed(handle)
    spans = {c.span_id for c in bundle.tool_calls().calls}
    assert {e["span_id"] for e in bundle.events() if e["name"] == "runbundle.event"} == spans


def test_interrupts_go_through_a_decider(configured: Configured) -> None:
    """Cancelling an agent that waits for an approval cancels it; the tool does not run."""

    async def decider(call: PendingCall) -> bool:
        await asyncio.sleep(60)
        return True

    async def agent() -> None:
        task = asyncio.create_task(send_async("bob"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    handle = configured(contracts=CONTRACTS, decider=decider)
    with runbundle.start_run("r"):
        asyncio.run(agent())
    assert ran == []
    assert [c.status for c in sealed(handle).tool_calls().calls] == ["cancelled"]


def test_policy_holds_in_threads_outside_runs_and_unsampled(configured: Configured) -> None:
    """It depends on the contract, and on nothing that tracing does."""
    handle = configured(contracts=CONTRACTS, tracer_provider=TracerProvider(sampler=ALWAYS_OFF))
    errors: list[BaseException] = []

    def work() -> None:
        try:
            send("bob")
        except PolicyBlocked as error:
            errors.append(error)

    with runbundle.start_run("r"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    with pytest.raises(PolicyBlocked):
        send("bob")
    assert (len(errors), ran) == (1, [])
    handle.shutdown()


def test_outside_any_run_a_refusal_is_recorded_too(configured: Configured) -> None:
    """The call makes a run of its own, which has the decision."""
    handle = configured(contracts=CONTRACTS)
    with pytest.raises(PolicyBlocked):
        send("bob")
    assert outcomes(sealed(handle)) == [
        ("send", PolicyOutcome(decision="blocked", rule="contract:send:require_approval"))
    ]


def test_the_contract_counts_when_the_call_begins(configured: Configured) -> None:
    """A scope made before `configure()` is refused if it is entered after; without contracts everything runs."""
    assert send("bob") == "sent"
    scope = runbundle.start_tool("send")
    configured(contracts=CONTRACTS)
    with pytest.raises(PolicyBlocked), scope:
        ran.append("never")
    assert ran == ["bob"]


def test_a_decider_must_be_callable(configured: Configured) -> None:
    """A mistake of the developer is told in `configure()`."""
    with pytest.raises(runbundle.ConfigError, match="decider is not callable"):
        configured(decider=True)
