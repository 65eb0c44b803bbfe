"""A run of several traces, in which one id may name a span of each: they are told apart, or the run is refused."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.bundle.reader import Bundle
from runbundle.compare.changes import compared
from runbundle.compare.report import diff
from runbundle.compare.steps import NOT_HERE, Numbers, Steps, steps_of
from runbundle.errors import NotComparable
from runbundle.signals import own, semconv
from tests.support import handmade

TRACES = ("a" * 32, "b" * 32, "c" * 32)


def forest(drawn: random.Random, *, shared: bool, orders: dict[int, str] | None = None) -> list[dict[str, Any]]:
    """Return the events of a tree in each trace, all with the same span ids if `shared`.

    `orders`: of some tool calls, by their number in the run, what they were given.
    """
    lines: list[dict[str, Any]] = []
    number = 0
    for place, trace in enumerate(TRACES):
        ids = [f"{n + 1 + (0 if shared else place * 100):016x}" for n in range(6)]
        parents = [drawn.randrange(-1, n) if n else -1 for n in range(6)]
        for n, span in enumerate(ids):
            op = "agent" if n < 3 else drawn.choice(("tool", "retrieval", "other"))
            said = {"gen_ai.tool.name": f"t{n}", "gen_ai.tool.call.arguments": (orders or {}).get(number, f"x{number}")}
            more = {"parent_span_id": ids[parents[n]]} if parents[n] >= 0 else {}
            ended = handmade.event(
                number * 10 + 5, "span.ended", span, op=op, name=f"n{number}", status="ok", duration_ns="5",
                trace_id=trace, attributes=said if op == "tool" else {}, **more,
            )  # fmt: skip
            lines.append(ended)
            if op == "tool":
                decided = {own.POLICY_DECISION: "allowed" if number % 2 else "blocked", own.POLICY_RULE: "r"}
                lines.insert(-1, handmade.event(
                    number * 10, "policy.decision", span, trace_id=trace, attributes=decided
                ))  # fmt: skip
            number += 1
    return [line | {"seq": seq} for seq, line in enumerate(lines)]


def bundle(lines: list[dict[str, Any]]) -> Bundle:
    """Return a bundle of those events."""
    return Bundle.open(handmade.build(lines=lines), handmade.KEY)


def shape(steps: Steps, numbers: Numbers) -> list[tuple[Any, ...]]:
    """Return what steps are, without their ids."""
    return [
        (steps.op[row], numbers.texts[steps.name[row]], numbers.texts[steps.status[row]], steps.parent[row])
        for row in range(len(steps))
    ]


@given(st.integers(0, 10**6))
def test_one_id_in_several_traces_names_several_spans(seed: int) -> None:
    """The tree is that of a run whose ids are all different; so are the decisions, and what a diff finds."""
    numbers = Numbers()
    shared, apart = (bundle(forest(random.Random(seed), shared=one)) for one in (True, False))
    assert shape(steps_of(shared, numbers), numbers) == shape(steps_of(apart, numbers), numbers)
    assert diff(shared, apart).outcome == "same"
    tools = [n for n in range(18) if f'"n{n}","op":"tool"' in shared.read("events.jsonl").decode()]
    if not tools:
        return
    changed = random.Random(seed).choice(tools)
    other = bundle(forest(random.Random(seed), shared=True, orders={changed: "other"}))
    [change] = compared(shared, other).changes
    assert (change.verdict, change.parts) == ("changed", ("given",))
    row = change.row_b
    found = compared(shared, other)
    assert found.said(other, found.steps_b, row)[semconv.ARGUMENTS] == "other"


def test_an_id_that_a_trace_has_twice_is_refused() -> None:
    """Which of the two a step lies beneath, nobody can tell: not comparable, never a difference."""
    lines = [line for line in forest(random.Random(1), shared=True) if line["type"] == "span.ended"]
    twice = [*lines, lines[0] | {"name": "again"}]
    with pytest.raises(NotComparable, match="two spans of one trace have the id"):
        diff(bundle(twice), bundle(lines))


def test_a_span_beneath_one_of_another_trace_is_beneath_none() -> None:
    """A parent is of the same trace."""
    lines = [
        handmade.event(1, "span.ended", "1" * 16, op="agent", duration_ns="1", trace_id=TRACES[0]),
        handmade.event(2, "span.ended", "2" * 16, op="agent", duration_ns="1", trace_id=TRACES[1],
                       parent_span_id="1" * 16),
    ]  # fmt: skip
    assert list(steps_of(bundle(lines), Numbers()).parent) == [NOT_HERE, NOT_HERE]
