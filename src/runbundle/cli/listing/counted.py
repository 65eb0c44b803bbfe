"""What `ls --count-by` prints: how many runs there are of each group, with bars, for all time or stretch by stretch."""

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from runbundle.bundle.search.counting import Count, counts, stretches
from runbundle.cli.listing.bars import bar
from runbundle.cli.options import print_json
from runbundle.cli.printing import say
from runbundle.cli.render import on_screen, table, width
from runbundle.errors import ConfigError

if TYPE_CHECKING:
    from runbundle.bundle.catalog.index import Index
    from runbundle.bundle.search.filters import RunFilter

_BAR = 24
_GROUPS = 4
_NONE = {"tenant": "(none)", "name": "(none)", "status": "(none)"}


def print_counts(index: "Index", wanted: "RunFilter", by: str, over: str | None, *, as_json: bool) -> None:
    """Print the counts. Raises `ConfigError` if `over` is no duration of a second or more."""
    from runbundle.bundle.search.moments import parse_duration

    over_s = parse_duration(over) // 1_000_000_000 if over else 0
    if over and over_s < 1:
        raise ConfigError("--over takes a second or more", hint="as in 1h or 1d")
    found = counts(partial(index.asked, wanted), by, over_s)
    found = [count._replace(name=count.name or _NONE.get(by, "?")) for count in found]
    if as_json:
        print_json([
            ({"start": clock(count.start_s, whole=True)} if over_s else {})
            | {by: count.name, "runs": count.runs, "calls": count.calls, "errors": count.errors}
            for count in found
        ])  # fmt: skip
        return
    if not found:
        say(f"No {by} to count in these runs.")
    elif over_s:
        _by_time(found, over_s)
    else:
        _at_once(found, by)


def _at_once(found: list[Count], by: str) -> None:
    largest = max(count.runs for count in found)
    calls = ["CALLS"] if by in ("tool", "model") else []
    table(
        [by.upper(), "RUNS", *calls, "ERRORS", ""],
        [
            [count.name, str(count.runs), *([str(count.calls)] if calls else []), str(count.errors),
             bar(count.runs, largest, _BAR)]
            for count in found
        ],
        right=(1, 2, 3) if calls else (1, 2),
    )  # fmt: skip


def _by_time(found: list[Count], over_s: int) -> None:
    sums: dict[str, int] = {}
    for count in found:
        sums[count.name] = sums.get(count.name, 0) + count.runs
    named = sorted(sums, key=lambda name: (-sums[name], name))
    shown = named if not on_screen() else named[:_GROUPS]
    rows = {start: dict[str, int]() for start in stretches(found, over_s)}
    for count in found:
        if count.start_s in rows:
            rows[count.start_s][count.name] = rows[count.start_s].get(count.name, 0) + count.runs
    totals = {start: sum(of.values()) for start, of in rows.items()}
    largest = max(totals.values(), default=0)
    others = ["others"] if len(named) > len(shown) else []
    room = min(_BAR, max(8, width() - 20 - sum(len(name) + 2 for name in [*shown, *others])))
    table(
        ["BEGAN", *shown, *others, ""],
        [
            [clock(start, whole=not on_screen()), *(str(of.get(name, 0)) for name in shown),
             *([str(totals[start] - sum(of.get(name, 0) for name in shown))] if others else []),
             bar(totals[start], largest, room)]
            for start, of in rows.items()
        ],
        right=range(1, 1 + len(shown) + len(others)),
    )  # fmt: skip


def clock(start_s: int, *, whole: bool) -> str:
    """Return the beginning of a stretch in this machine's zone."""
    local = datetime.fromtimestamp(max(start_s, 0)).astimezone()
    return local.isoformat(timespec="seconds") if whole else local.strftime("%d %b %H:%M")
