"""Times as a list shows them: how long ago, in this machine's zone, or in UTC."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import click

from runbundle.cli.render import on_screen

Style = Literal["ago", "local", "utc", "iso"]


def time_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--utc` and `--iso`."""
    for option in (
        click.option("--iso", is_flag=True, help="Print times as RFC 3339 in UTC, whole."),
        click.option("--utc", is_flag=True, help="Print times in UTC, instead of how long ago or this machine's zone."),
    ):
        function = option(function)
    return function


def style_of(*, utc: bool, iso: bool) -> Style:
    """Return how times are shown: on a terminal how long ago they were, in a pipe in this machine's zone."""
    return "iso" if iso else "utc" if utc else "ago" if on_screen() else "local"


def shown(rfc3339: str, style: Style, *, now: datetime | None = None) -> str:
    """Return a time in UTC as it is shown; `-` for none.

    How long ago is said of the last week; earlier times, and times to come, are dates in this machine's zone.
    """
    if not rfc3339:
        return "-"
    if style == "iso":
        return rfc3339
    try:
        moment = datetime.fromisoformat(rfc3339)
    except ValueError:
        return "?"
    if style == "utc":
        return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    local = moment.astimezone()
    if style == "local":
        return local.isoformat(sep=" ", timespec="seconds")
    now = now or datetime.fromtimestamp(time.time_ns() / 1e9, UTC)  # the clock of spans, which our pages hold steady
    seconds = (now - moment).total_seconds()
    for unit, length, most in (("s", 1, 60), ("m", 60, 3600), ("h", 3600, 86_400), ("d", 86_400, 604_800)):
        if 0 <= seconds < most:
            return f"{int(seconds // length)} {unit}"
    return local.strftime("%d %b %H:%M" if abs(seconds) < 300 * 86_400 else "%d %b %Y")


def zone() -> str:
    """Return the name of this machine's zone and how far it is from UTC: `CET, +01:00`."""
    here = datetime.now().astimezone()
    ahead = here.isoformat(timespec="minutes")[16:]
    return f"{here.tzname()}, {ahead}" if here.tzname() else ahead
