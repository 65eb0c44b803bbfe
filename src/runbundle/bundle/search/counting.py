"""What runs add up to: how many there are of each tool, status, model or error, over time, and how long they took.

Each function is given a way to ask an index about the runs that are wanted (`Index.asked`), whose table is `chosen`.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

Ask = Callable[..., list[tuple[Any, ...]]]
"""Given a query over `chosen` and the values of its marks, returns the answer."""
By = Literal["tool", "status", "model", "error", "tenant", "name", "agent"]
GROUPS: tuple[By, ...] = ("tool", "status", "model", "error", "tenant", "name")
"""What runs can be counted by."""
PERCENTILES = (50, 90, 95, 99)

_BUCKET = "(chosen.started_s + ?) / ? * ? - ?"
_FAILED_CALLS = "sum(CASE WHEN acts.status = 'error' THEN acts.calls ELSE 0 END)"
_FROM = {
    "tool": ("acts.name", "chosen JOIN acts ON acts.key = chosen.key AND acts.kind = 'tool'"),
    "model": ("acts.name", "chosen JOIN acts ON acts.key = chosen.key AND acts.kind = 'model'"),
    "error": ("found.error", "chosen JOIN (SELECT key, error, calls FROM acts WHERE status = 'error' AND error != '' "
              "UNION SELECT key, error_type, 0 FROM chosen WHERE error_type != '') AS found ON found.key = chosen.key"),
    "status": ("coalesce(nullif(chosen.status, ''), chosen.state)", "chosen"),
    "tenant": ("chosen.tenant", "chosen"),
    "name": ("chosen.name", "chosen"),
}  # fmt: skip


class Count(NamedTuple):
    """How many runs there are of one group, in one stretch of time."""

    start_s: int
    """When the stretch begins, in seconds since 1970; 0 if all time is one."""
    name: str
    runs: int
    """Number of runs in which it occurs."""
    calls: int
    """Number of calls, of a tool or model; else 0."""
    errors: int
    """Number of calls that failed, of a tool or model; else of runs that ended in an error."""


def counts(ask: Ask, by: str, over_s: int = 0) -> list[Count]:
    """Return the number of runs by group, in the order of time, and then with the largest group first.

    `over_s`: the length of a stretch of time in seconds; 0 for all time. Stretches begin at the hours and days of this
    machine's zone.
    """
    group, source = _FROM[by]
    of_acts = by in ("tool", "model")
    calls = "sum(acts.calls)" if of_acts else "0"
    errors = _FAILED_CALLS if of_acts else "count(DISTINCT CASE WHEN chosen.status = 'error' THEN chosen.key END)"
    bucket, values = _bucket(over_s)
    known = "chosen.started_at != ''" if over_s else "1"
    asked = (
        f"SELECT {bucket} AS start, {group} AS grouped, count(DISTINCT chosen.key) AS runs, {calls}, {errors} "  # noqa: S608
        f"FROM {source} WHERE {known} GROUP BY start, grouped ORDER BY start, runs DESC, grouped"
    )
    return [
        Count(_whole(start), str(name or ""), _whole(runs), _whole(called), _whole(failed))
        for start, name, runs, called, failed in ask(asked, *values)
    ]


class Totals(NamedTuple):
    """What all runs add up to."""

    runs: int
    errors: int
    """Number of runs that ended in an error."""
    input_tokens: int
    output_tokens: int
    percentiles_ns: dict[str, int]
    """Durations by percentile, `p50` to `p99`, and `max`; empty if no run has one."""


def totals(ask: Ask) -> Totals:
    """Return the sums over all runs, and the percentiles of their durations."""
    sums = ask("SELECT count(*), sum(status = 'error'), sum(input_tokens), sum(output_tokens) FROM chosen")[0]
    took = [_whole(ns) for (ns,) in ask("SELECT duration_ns FROM chosen WHERE started_at != '' ORDER BY duration_ns")]
    runs, errors, given, received = map(_whole, sums)
    return Totals(runs, errors, given, received, percentiles(took))


def percentiles(ordered: Sequence[int]) -> dict[str, int]:
    """Return percentiles of sorted values, each the smallest value that so many percent do not exceed."""
    if not ordered:
        return {}
    found = {f"p{p}": ordered[max(0, -(-len(ordered) * p // 100) - 1)] for p in PERCENTILES}
    return {**found, "max": ordered[-1]}


class Use(NamedTuple):
    """How often a tool or model was called, and how it went."""

    name: str
    runs: int
    calls: int
    errors: int
    blocked: int
    mean_ns: int
    longest_ns: int
    input_tokens: int
    output_tokens: int


def uses(ask: Ask, kind: Literal["tool", "model"]) -> list[Use]:
    """Return the tools or models that were called, with most errors first, then the most called."""
    asked = (
        f"SELECT acts.name, count(DISTINCT chosen.key), sum(acts.calls) AS calls, {_FAILED_CALLS} AS errors, "  # noqa: S608
        "sum(CASE WHEN acts.status = 'blocked' THEN acts.calls ELSE 0 END), "
        "sum(acts.total_ns * 1.0) / sum(acts.calls), "
        "max(acts.longest_ns), sum(acts.input_tokens), sum(acts.output_tokens) "
        "FROM chosen JOIN acts ON acts.key = chosen.key AND acts.kind = ? GROUP BY acts.name "
        "ORDER BY errors DESC, calls DESC, acts.name"
    )
    return [Use(str(name), *map(_whole, numbers)) for name, *numbers in ask(asked, kind)]


def series(found: Sequence[Count], name: str, starts: Sequence[int]) -> list[int]:
    """Return the errors of one group for each of the stretches that begin at `starts`."""
    line = [0] * len(starts)
    for count in found:
        if count.name == name:
            place = bisect_left(starts, count.start_s)
            if place < len(starts) and starts[place] == count.start_s:
                line[place] += count.errors
    return line


def stretches(found: Sequence[Count], over_s: int, *, most: int = 500) -> list[int]:
    """Return the beginnings of all stretches from the first to the last, also of empty ones; at most `most`."""
    begun = sorted({count.start_s for count in found})
    if not begun or over_s <= 0:
        return begun
    if (begun[-1] - begun[0]) // over_s >= most:
        return begun[-most:]
    return sorted({*range(begun[0], begun[-1] + 1, over_s), *begun})


def _bucket(over_s: int) -> tuple[str, tuple[int, ...]]:
    if over_s <= 0:
        return "0", ()
    offset = datetime.now().astimezone().utcoffset()
    shift = int(offset.total_seconds()) if offset else 0
    return _BUCKET, (shift, over_s, over_s, shift)


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, int | float) else 0
