"""What runs add up to: by group and time, percentiles, uses of tools and models."""

from pathlib import Path

import pytest

from runbundle.bundle.catalog.index import index_of
from runbundle.bundle.search.counting import GROUPS, counts, percentiles, series, stretches, totals, uses
from runbundle.bundle.search.filters import RunFilter
from runbundle.store import LocalStore
from tests.support.golden import add


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """Four runs of the golden agent: two in the first hour, of which one failed, and one in the third."""
    made = LocalStore(tmp_path / "s")
    add(made, "a", 0, duration_ns="10")
    add(made, "b", 60, status="error", error={"type": "TimeoutError"}, duration_ns="30")
    add(made, "acme/c", 2 * 3600, duration_ns="20")
    made.put("half/events.jsonl", b"")
    return made


def test_runs_are_counted_by_each_group(store: LocalStore) -> None:
    """Each run once in a group; of tools and models also the calls and those that failed."""
    index = index_of(store)

    def ask(query: str, *values: str | float) -> list[tuple[object, ...]]:
        return index.asked(RunFilter(sealed=True), query, *values)

    by = {group: {count.name: (count.runs, count.calls, count.errors) for count in counts(ask, group)}
          for group in GROUPS}  # fmt: skip
    assert by["status"] == {"ok": (2, 0, 0), "error": (1, 0, 1)}
    assert by["tool"] == {"find_order": (3, 3, 0), "refund": (3, 3, 0), "weather": (3, 3, 0)}
    assert by["model"] == {"demo-model-1": (3, 3, 0)}
    assert by["error"]["TimeoutError"] == (1, 0, 1)
    assert by["tenant"] == {"": (2, 0, 1), "acme": (1, 0, 0)}
    used = {use.name: use for use in uses(ask, "tool")}
    assert (used["refund"].blocked, used["refund"].calls) == (3, 3)
    assert uses(ask, "model")[0].input_tokens == 3 * 18
    found = totals(ask)
    assert (found.runs, found.errors) == (3, 1)
    assert found.percentiles_ns == {"p50": 20, "p90": 30, "p95": 30, "p99": 30, "max": 30}
    index.close()


def test_stretches_of_time_have_no_gaps_and_leave_out_what_has_no_time(store: LocalStore) -> None:
    """An hour without a run is there with nothing in it; an unsealed folder began at no time."""
    index = index_of(store)

    def ask(query: str, *values: str | float) -> list[tuple[object, ...]]:
        return index.asked(RunFilter(), query, *values)

    found = counts(ask, "status", 3600)
    starts = stretches(found, 3600)
    assert [start - starts[0] for start in starts] == [0, 3600, 7200]
    assert series(found, "error", starts) == [1, 0, 0]
    assert len(stretches(found, 1, most=10)) <= 10
    assert stretches([], 60) == []
    index.close()


def test_a_percentile_is_a_value_that_was_measured() -> None:
    """The smallest that so many percent do not exceed."""
    assert percentiles([]) == {}
    assert percentiles([7]) == {"p50": 7, "p90": 7, "p95": 7, "p99": 7, "max": 7}
    assert percentiles(range(1, 101)) == {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "max": 100}
