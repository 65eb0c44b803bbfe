"""Times and durations as people type them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from runbundle.bundle.search.moments import parse_duration, parse_moment
from runbundle.errors import ConfigError

NOW = datetime(2026, 11, 27, 16, 30, tzinfo=UTC)  # a Friday


@pytest.fixture(autouse=True, params=["UTC", "America/New_York"])
def zone(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run each test in two zones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.mark.parametrize(
    ("text", "utc", "new_york"),
    [
        ("2h", "2026-11-27T14:30:00", "2026-11-27T14:30:00"),
        ("2 hours ago", "2026-11-27T14:30:00", "2026-11-27T14:30:00"),
        ("90m", "2026-11-27T15:00:00", "2026-11-27T15:00:00"), ("1 day", "2026-11-26T16:30:00", "2026-11-26T16:30:00"),
        ("now", "2026-11-27T16:30:00", "2026-11-27T16:30:00"), ("today", "2026-11-27T00:00:00", "2026-11-27T05:00:00"),
        ("yesterday", "2026-11-26T00:00:00", "2026-11-26T05:00:00"),
        ("monday", "2026-11-23T00:00:00", "2026-11-23T05:00:00"),
        ("Friday", "2026-11-27T00:00:00", "2026-11-27T05:00:00"),
        ("2026-11-25", "2026-11-25T00:00:00", "2026-11-25T05:00:00"),
        ("2026-11-25T14:00Z", "2026-11-25T14:00:00", "2026-11-25T14:00:00"),
        ("2026-11-25T14:00+02:00", "2026-11-25T12:00:00", "2026-11-25T12:00:00"),
    ],
)  # fmt: skip
def test_a_time_is_relative_or_a_date_of_this_machines_zone(text: str, utc: str, new_york: str, zone: str) -> None:
    """Unless it names its zone."""
    assert parse_moment(text, now=NOW) == (utc if zone == "UTC" else new_york)


@pytest.mark.parametrize("text", ["once", "", "2x", "13:00:00:00", "-2d", "2026-13-01", "999999w", "\x1b[31m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """With examples; what cannot be printed is not quoted."""
    with pytest.raises(ConfigError, match="is no time") as raised:
        parse_moment(text, now=NOW)
    assert "\x1b" not in raised.value.message


@pytest.mark.parametrize(
    ("text", "ns"),
    [("300ms", 300_000_000), ("1.5s", 1_500_000_000), ("2m", 120 * 10**9), ("1h", 3600 * 10**9), ("7us", 7000),
     ("999999999999w", 2**63 - 1)],
)  # fmt: skip
def test_a_duration_has_a_number_and_a_unit(text: str, ns: int) -> None:
    """At most what a count can hold."""
    assert parse_duration(text) == ns
    for wrong in ("", "2", "s", "1.s", "-1s", "1 fortnight"):
        with pytest.raises(ConfigError, match="is no duration"):
            parse_duration(wrong)
