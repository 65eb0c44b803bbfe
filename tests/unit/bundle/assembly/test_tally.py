"""Totals over the spans of a run, in whatever order they come."""

from itertools import permutations
from typing import Any

from runbundle.bundle.assembly.tally import RunTotals
from runbundle.bundle.assembly.timeline import Span, span_from_entry
from runbundle.format.words import RULES
from tests.unit.bundle.assembly.spans import TRACE, entry, span_id

_NONE_LOST: dict[str, Any] = {"torn": 0, "malformed": 0, "collided": 0, "late": 0, "grace_s": None, "begun": True}


def spans() -> list[Span]:
    """Return a run of four spans: its own, an agent, a model call, a tool that never ended."""
    start = {"trace_id": TRACE, "span_id": span_id(4), "parent_span_id": span_id(2), "start_ns": 40, "label": "tool:t"}
    return [
        span_from_entry(entry(1, attributes={"runbundle.op": "run", "runbundle.spans.started": 4}), ended=True),
        span_from_entry(
            entry(2, 1, attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 9}),
            ended=True,
        ),
        span_from_entry(
            entry(3, 2, attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "m",
                                    "gen_ai.usage.input_tokens": 7}), ended=True
        ),
        span_from_entry(start, ended=False),
    ]  # fmt: skip


def totals(order: list[Span], rules: int = RULES) -> RunTotals:
    """Add the spans and finish."""
    made = RunTotals("r", rules)
    for span in order:
        made.add(span, parent_here=bool(span.record["parent_span_id"]))
    made.finish()
    return made


def test_the_order_of_spans_does_not_matter() -> None:
    """Every order gives the same totals."""
    seen = {
        repr((t.completeness(**_NONE_LOST), t.usage(), sorted(t.counts.items()), t.models, t.first_ns, t.last_ns))
        for t in (totals(list(order)) for order in permutations(spans()))
    }
    assert len(seen) == 1


def test_by_the_first_rules_all_tokens_but_those_of_agents_are_added() -> None:
    """Agents repeat those of their calls: theirs count only where no call has any."""
    assert totals(spans(), rules=1).usage() == {"input_tokens": 7}
    assert totals(spans()[:2], rules=1).usage() == {"input_tokens": 9}
    assert [totals(spans(), rules).counts["model_calls"] for rules in (1, RULES)] == [1, 0]


def test_completeness_is_what_was_started_against_what_arrived() -> None:
    """Complete, lossy, crashed or unknown."""
    lossy = totals(spans()).completeness(**_NONE_LOST | {"grace_s": 2.0})
    assert (lossy["state"], lossy["open_spans"], lossy["grace_s"]) == ("lossy", [span_id(4)], 2.0)
    few = [span_from_entry(entry(1, attributes={"runbundle.op": "run", "runbundle.spans.started": 1}), ended=True)]
    assert totals(few).completeness(**_NONE_LOST)["state"] == "complete"
    assert totals(few).completeness(**_NONE_LOST | {"torn": 1})["dropped"] == {"torn_lines": 1}
    assert totals(few).completeness(**_NONE_LOST | {"begun": False})["state"] == "lossy"
    unsaid = [span_from_entry(entry(1, attributes={"runbundle.op": "run"}), ended=True)]
    assert totals(unsaid).completeness(**_NONE_LOST)["state"] == "unknown"
    assert totals([]).completeness(**_NONE_LOST)["state"] == "crashed"


def test_two_spans_that_claim_the_run_are_counted_and_attempts_are_not() -> None:
    """A second attempt is the same run; a second first attempt is another."""
    first = entry(1, attributes={"runbundle.op": "run"})
    again = entry(2, attributes={"runbundle.op": "run"})
    second = entry(3, attributes={"runbundle.op": "run", "runbundle.run.attempt": 2})
    made = [span_from_entry(one, ended=True) for one in (first, again, second)]
    assert totals([made[0], made[2]]).roots == 1
    assert totals(made).roots == 2


def test_captured_values_are_counted_by_word() -> None:
    """Whatever their keys."""
    made = totals([])
    made.captured({"a": ["whole", "cut"], "b": ["whole"]})
    assert made.completeness(**_NONE_LOST)["capture"] == {"cut": 1, "whole": 2}
