"""Paths of lanes: names, ranks, and what becomes of long ones."""

import functools
from contextvars import copy_context

from hypothesis import given
from hypothesis import strategies as st

from runbundle.otel.belonging.lanes import LANE_LIMIT, Control, Lane, function_name, join_path, path_segment
from runbundle.redaction.permitted.values import is_name, own_value


@given(
    st.lists(st.lists(st.sampled_from(["step:a#0", "tool:a_long_name_of_a_tool#12", "b#1"]), max_size=60), max_size=8)
)
def test_different_ways_have_different_paths_however_long(ways: list[list[str]]) -> None:
    """A path over the limit keeps its head and ends in what stands for the rest; none is like another."""
    paths = {tuple(way): functools.reduce(join_path, way, "run:r") for way in ways}
    assert len(set(paths.values())) == len(paths)
    assert all(
        len(path) <= LANE_LIMIT and path.startswith("run:r") and is_name(path, "runbundle.lane")
        for path in paths.values()
    )


def test_the_ranks_of_a_name_are_counted_apart() -> None:
    """Tasks of another name do not shift the numbers."""
    lane = Control("main", object())
    spawned = [lane.spawn(name).path for name in ("a", "b", "a")]
    assert spawned == ["main/a#0", "main/b#0", "main/a#1"]
    assert lane.spawn("a").spawn("c").path == "main/a#2/c#0"
    assert lane.spawn("b").seen_from(lane) == "b#1"


@given(st.text(max_size=80))
def test_any_name_of_a_function_gives_a_part_that_may_be_kept(name: str) -> None:
    """What is no name is replaced by a digest, the same each time, in which there is nothing of it."""
    part = path_segment(name)
    assert is_name(part, "runbundle.lane")
    assert own_value("runbundle.effect", f"main/{part}#0:7")
    assert path_segment(name) == part


def test_a_function_named_like_a_kind_of_span_is_told_from_one() -> None:
    """A span without a name is called by its kind."""
    assert Lane("run:r").next_path("tool") != Control("run:r", None).spawn("tool").path


def test_the_effect_is_kept_by_its_shape_alone() -> None:
    """What only looks like one is dropped."""
    for text in (
        "main:0",
        "main/branch#3:12",
        "main/f.<locals>.g#0:1",
        "main/x#0/@0123456789abcde:3",
        "resumed@0123456789abcde:1",
    ):
        assert own_value("runbundle.effect", text), text
    for text in (
        "main",
        "main:",
        ":1",
        "password:123456",
        "main/a b#0:1",
        "main/sk-proj-0123456789abcdefgh#0:1",
        "x#0:1:2",
        "main:-1",
    ):
        assert not own_value("runbundle.effect", text), text


def test_a_name_is_found_beneath_what_carries_a_function_to_a_thread() -> None:
    """`asyncio.to_thread` hands on a context's `run`."""

    def work() -> None: ...

    wrapped = functools.partial(copy_context().run, work, 1)
    assert function_name(wrapped) == function_name(functools.partial(work)) == work.__qualname__
    assert function_name(object()) == "object"
    assert [function_name(c) for c in (len, Lane)] == ["len", "Lane"]
