"""Spans beneath a live span share its lane, but for those of other tasks, which have one of their own each."""

from types import SimpleNamespace
from typing import Any

from runbundle.otel.belonging.claims import RunScope
from runbundle.otel.belonging.lanes import Lane
from runbundle.otel.belonging.member import Member, base_lane, lane_below
from runbundle.otel.belonging.spawning import RunLanes


def member(control: Any = None) -> Member:
    """Return a live span in the lane `main`."""
    return Member(RunScope("r"), RunLanes(), "main", 0, "step", False, 7, Lane("main/step"), control)


def test_children_share_a_lane_and_another_task_has_its_own() -> None:
    """The same task, and the same way there, lead to the same lane."""
    here, there = SimpleNamespace(path="a"), SimpleNamespace(path="b", seen_from=lambda _: "task")
    parent = member(here)
    assert lane_below(parent, here) is parent.inside  # type: ignore[arg-type]
    assert lane_below(parent, None) is parent.inside
    other = lane_below(parent, there)  # type: ignore[arg-type]
    assert other is lane_below(parent, there) is not parent.inside  # type: ignore[arg-type]
    assert other.path.startswith("main/step/")


def test_an_effect_has_a_key_only_where_its_task_is_known() -> None:
    """Its place there; a task that others share gives none."""
    assert member().effect_key() is None
    control: Any = SimpleNamespace(path="a", shared=False)
    known = member(control)
    known.effect = 3
    assert known.effect_key() == "a:3"
    control.shared = True
    assert known.effect_key() is None


def test_a_span_from_elsewhere_stands_below_its_sender() -> None:
    """Nobody said where the sender stands: the lane names the sender's span, the same each time."""
    above: Any = SimpleNamespace(is_remote=True, span_id=5)
    first = base_lane(RunScope("r"), RunLanes(), 1, above, None)
    assert first == base_lane(RunScope("r"), RunLanes(), 1, above, None)
    assert "remote@" in first
    assert base_lane(RunScope("r"), RunLanes(), 1, None, None) == ""
