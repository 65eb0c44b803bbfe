"""The words, times and bars of lists."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from runbundle.bundle.catalog.rows import Row, with_facts
from runbundle.bundle.facts import Act, Facts
from runbundle.cli.listing.bars import bar, line
from runbundle.cli.listing.moments import Style, shown
from runbundle.inspect.outcome import what_was_lost, why_failed

NOW = datetime(2026, 11, 27, 16, 30, tzinfo=UTC)


def row(completeness: str = "complete", status: str = "ok", **lost: Any) -> Row:
    """Return the row of a sealed run."""
    return Row("r", "r", status=status, completeness=completeness, lost=orjson.dumps(lost).decode() if lost else "")


@pytest.mark.parametrize(
    ("state", "lost", "words"),
    [
        ("complete", {}, ""), ("unknown", {}, "not known whether it is complete"),
        ("lossy", {"spans_expected": 12, "spans_seen": 10, "dropped": {}, "open": 0}, "lossy: 2 of 12 spans missing"),
        ("lossy", {"spans_expected": 1, "spans_seen": 1, "dropped": {"torn_lines": 1}}, "lossy: 1 torn line"),
        ("lossy", {"spans_seen": 1, "dropped": {"torn_lines": 3, "journal": 2}, "open": 1},
         "lossy: 1 span that never ended, 2 spans lost ahead of the journal, 3 torn lines"),
        ("lossy", {"dropped": {"sdk_limit_attributes": 4}, "roots": 2},
         "lossy: 4 attributes cut off, 2 runs under one id"),
        ("crashed", {"open": 2, "spans_seen": 5, "dropped": {}}, "crashed: 2 spans that never ended"),
        ("lossy", {}, "lossy"), ("lossy", {"dropped": 3, "open": "x"}, "lossy"),
    ],
)  # fmt: skip
def test_a_lossy_run_says_what_it_lost(state: str, lost: dict[str, Any], words: str) -> None:
    """Each kind with its number; what has another shape than an index gives says nothing."""
    assert what_was_lost(row(state, **lost)) == words


def test_why_a_run_failed_names_the_call_and_its_message() -> None:
    """That of the run, and else those of calls that failed within it."""
    acts = [Act("tool", "refund", "error", "TimeoutError", 2, 9, 9, 0, 0), Act("tool", "x", "ok", "", 1, 1, 1, 0, 0)]
    facts = Facts(acts, [], "ValueError\nTimeoutError: too late", [])
    assert why_failed(with_facts(row(), facts)) == "failed: refund: TimeoutError: too late"
    failed = with_facts(row(status="error"), facts)
    assert why_failed(failed._replace(error_type="TimeoutError")) == "refund: TimeoutError: too late"
    assert why_failed(failed._replace(error_type="ValueError")) == "ValueError"
    assert why_failed(failed._replace(error_type="KeyError", error="gone")) == "KeyError: gone"
    assert why_failed(row()) == ""
    many = [Act("tool", f"t{n}", "error", "", 1, 1, 1, 0, 0) for n in range(5)]
    assert why_failed(with_facts(row(), Facts(many, [], "", []))) == "failed: t0, t1, t2 and 2 more"


@pytest.fixture
def new_york() -> Iterator[None]:
    """Be in another zone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("moment", "style", "text"),
    [
        ("2026-11-27T16:29:18.000000001Z", "ago", "42 s"), ("2026-11-27T15:00:00Z", "ago", "1 h"),
        ("2026-11-25T15:00:00Z", "ago", "2 d"), ("2026-11-10T15:00:00Z", "ago", "10 Nov 10:00"),
        ("2025-11-10T15:00:00Z", "ago", "10 Nov 2025"), ("2027-01-10T15:00:00Z", "ago", "10 Jan 10:00"),
        ("2026-11-25T02:00:00Z", "local", "2026-11-24 21:00:00-05:00"), ("", "ago", "-"), ("nonsense", "local", "?"),
        ("2026-11-25T02:00:00.5Z", "utc", "2026-11-25 02:00:00Z"),
        ("2026-11-25T02:00:00.5Z", "iso", "2026-11-25T02:00:00.5Z"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("new_york")
def test_a_time_is_shown_as_it_was_asked_for(moment: str, style: Style, text: str) -> None:
    """How long ago, with the zone of this machine, in UTC, or whole."""
    assert shown(moment, style, now=NOW) == text


def test_bars_compare_and_nothing_is_invisible() -> None:
    """The largest fills the width; what is not 0 has a sliver, or a block of its own."""
    assert bar(10, 10, 4) == "████"
    assert bar(5, 10, 4) == "██"
    assert bar(1, 10_000, 4) == "▏"
    assert bar(0, 10, 4) == bar(1, 0, 4) == ""
    assert line([0, 1, 4, 8], 10) == "·▁▄█"
    assert line([1] * 9, 3) == "███"
    assert line([], 3) == line([0], 0 + 1)[:0]
