"""Ids and times for tests are the same in every run."""

from runbundle.testing import FakeClock, SequentialIds


def test_ids_count_up_from_one_for_traces_and_for_spans_apart() -> None:
    """A second generator begins anew."""
    for ids in (SequentialIds(), SequentialIds()):
        assert [ids.generate_span_id() for _ in range(3)] == [1, 2, 3]
        assert [ids.generate_trace_id() for _ in range(2)] == [1, 2]


def test_a_clock_advances_by_its_step_with_each_call() -> None:
    """In nanoseconds."""
    clock = FakeClock(start_ns=100, step_ns=7)
    assert [clock() for _ in range(3)] == [107, 114, 121]
