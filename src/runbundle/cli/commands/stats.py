"""`runbundle stats`: what the runs of a store add up to."""

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from runbundle.cli.listing.choosing import Chosen, choosing
from runbundle.cli.options import format_option, print_json, read_store, reports_errors, store_option
from runbundle.cli.printing import say
from runbundle.errors import ConfigError

if TYPE_CHECKING:
    from runbundle.bundle.search.counting import Ask, Totals, Use

_STEPS_S = (60, 300, 900, 3_600, 6 * 3_600, 86_400, 7 * 86_400, 30 * 86_400)
_STRETCHES = 24


@click.command("stats", epilog="Example: runbundle stats --since 2d --over 1h")
@store_option
@format_option()
@choosing
@click.option("--over", metavar="TIME", help="Length of a stretch of time, such as 1h; by default some 24 stretches.")
@reports_errors
def command(store_url: str, format_: str, chosen: Chosen, over: str | None) -> None:
    """Print what the runs of a store add up to: errors, durations, tokens, and the use of each tool and model.

    The options choose the runs, as in ls. Durations are those of whole runs: p90 is the smallest that nine of ten runs
    do not exceed. Of tools and models the mean and the longest call are known. A line of blocks shows when errors
    happened; a dot is a stretch of time without one. Of model spans within each other the innermost is counted.
    Tokens are those that spans say; where none says any there is no number, and 0 in JSON.

    Runs that are not sealed have no part in it. Whether a bundle is what was sealed is not checked here; runbundle
    verify does.

    Exit codes: 0 done, also if there are no runs.
    """
    from dataclasses import replace

    from runbundle.bundle.catalog.index import index_of
    from runbundle.bundle.search import counting
    from runbundle.bundle.search.asked import near_names
    from runbundle.bundle.search.moments import parse_duration
    from runbundle.cli.listing.choosing import Reading

    over_s = parse_duration(over) // 1_000_000_000 if over else 0
    if over and over_s < 1:
        raise ConfigError("--over takes a second or more", hint="as in 1h or 1d")
    store = read_store(store_url)
    with closing(index_of(store, progress=Reading())) as index:
        wanted = replace(chosen.wanted(store.url, index), sealed=True)
        ask = partial(index.asked, wanted)
        totals = counting.totals(ask)
        over_s = over_s or _fitting(ask)
        used = {"tool": counting.uses(ask, "tool"), "model": counting.uses(ask, "model")}
        when = {kind: counting.counts(ask, kind, over_s) for kind in used}
        starts = counting.stretches([*when["tool"], *when["model"]], over_s)
        lines = {(kind, use.name): counting.series(when[kind], use.name, starts) for kind in used for use in used[kind]}
        hints = near_names(chosen.said, index) if not totals.runs else []
    if format_ == "json":
        print_json(_as_json(totals, used, lines, starts, over_s))
        return
    if not totals.runs:
        say(f"{store_url} holds no {'such ' if chosen.searched else ''}sealed runs.")
        for line in hints:
            say(line)
        return
    _print(totals, used, lines, starts, over_s)


def _fitting(ask: "Ask") -> int:
    """Return the length of a stretch by which there are about 24 between the first run and the last."""
    (span,) = ask("SELECT max(started_s) - min(started_s) FROM chosen")[0]
    return next((step for step in _STEPS_S if (span or 0) <= step * _STRETCHES), _STEPS_S[-1])


def _print(
    totals: "Totals", used: "dict[str, list[Use]]", lines: dict[tuple[str, str], list[int]], starts: list[int],
    over_s: int,
) -> None:  # fmt: skip
    from runbundle.cli.listing.bars import line
    from runbundle.cli.listing.counted import clock
    from runbundle.cli.render import age, duration, table

    say(f"runs      {totals.runs:,}, of which {totals.errors:,} ended in an error{_share(totals.errors, totals.runs)}")
    if totals.percentiles_ns:
        say(f"took      {'   '.join(f'{name} {duration(ns)}' for name, ns in totals.percentiles_ns.items())}")
    tokens = {"in": totals.input_tokens, "out": totals.output_tokens}
    # Of runs that say no tokens the index has none: nobody knows that there were none.
    say(f"tokens    {', '.join(f'{count:,} {way}' for way, count in tokens.items() if count) or 'not said'}")
    for kind in ("tool", "model"):
        if not used[kind]:
            continue
        say()
        last = "BLOCKED" if kind == "tool" else "TOKENS"
        table(
            [kind.upper(), "CALLS", "ERRORS", "", last, "MEAN", "LONGEST", "ERRORS OVER TIME"],
            [
                [use.name, str(use.calls), str(use.errors), _share(use.errors, use.calls).strip(" ()"),
                 str(use.blocked if kind == "tool" else use.input_tokens + use.output_tokens or "-"),
                 *(("-", "-") if use.calls == use.blocked else (duration(use.mean_ns), duration(use.longest_ns))),
                 line(lines[kind, use.name], _STRETCHES) if use.errors else ""]
                for use in used[kind]
            ],
            right=(1, 2, 3, 4, 5, 6), spare=(5,), roomy=((7, 12),),
        )  # fmt: skip
    if starts:
        say()
        many = "1 stretch" if len(starts) == 1 else f"{len(starts)} stretches"
        say(f"over time: {many} of {age(over_s * 1_000_000_000)} from {clock(starts[0], whole=False)}")


def _share(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.1f} %)" if part and whole else ""


def _as_json(
    totals: "Totals", used: "dict[str, list[Use]]", lines: dict[tuple[str, str], list[int]], starts: list[int],
    over_s: int,
) -> dict[str, Any]:  # fmt: skip
    from runbundle.cli.listing.counted import clock

    return {
        **totals._asdict(),
        "over_s": over_s,
        "starts": [clock(start, whole=True) for start in starts],
        **{
            f"{kind}s": [use._asdict() | {"errors_over_time": lines[kind, use.name]} for use in of]
            for kind, of in used.items()
        },
    }
