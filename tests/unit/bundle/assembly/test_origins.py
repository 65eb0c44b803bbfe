"""Where errors began, told from spans alone."""

import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runbundle.bundle.assembly.origins import ErrorOrigins


def entry(kind: str, end_ns: int, line: int = 0) -> dict[str, Any]:
    """Return the entry of a failed span."""
    raised = {"exception.type": kind, **({"exception.stacktrace": f"a.py:1 in f\nb.py:{line} in g"} if line else {})}
    return {"end_ns": end_ns, "attributes": {}, "events": [{"name": "exception", "attributes": raised}]}


def test_the_child_that_ended_last_with_the_same_error_is_where_it_came_from() -> None:
    """Not one with another type, nor one raised at another line, nor one that ended later than its parent."""
    origins = ErrorOrigins()
    spans = [entry("E", 100, 7), entry("E", 50, 7), entry("E", 90, 7), entry("F", 95, 7), entry("E", 96, 8),
             entry("E", 200, 7), entry("a.E", 80)]  # fmt: skip
    for place, one in enumerate(spans):
        origins.add(place, one)
    parents = [-1, 0, 0, 0, 0, 0, 2]
    origins.link(lambda place: parents[place])
    assert [origins.origin_of(place) for place in range(8)] == [6, 1, 6, 3, 4, 5, 6, 7]


@given(st.lists(st.tuples(st.integers(-1, 20), st.integers(0, 3), st.sampled_from("EF")), max_size=20))
def test_any_spans_have_an_answer(spans: list[tuple[int, int, str]]) -> None:
    """Also such as are their own ancestors; asking again gives the same."""
    origins = ErrorOrigins()
    for place, (_, end_ns, kind) in enumerate(spans):
        origins.add(place, entry(kind, end_ns))
    origins.link(lambda place: spans[place][0])
    for place in range(len(spans)):
        origin = origins.origin_of(place)
        assert spans[origin][2] == spans[place][2]
        assert origins.origin_of(place) == origin


def test_a_failed_span_costs_few_bytes() -> None:
    """However many there are."""
    origins = ErrorOrigins()
    for place in range(10_000):
        origins.add(place, entry("E", place))
    origins.link(lambda place: place + 1)
    assert origins.origin_of(9_999) == 0
    assert sum(sys.getsizeof(getattr(origins, name)) for name in vars(origins)) < 30 * 10_000
