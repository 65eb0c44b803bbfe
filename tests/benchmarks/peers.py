"""runbundle beside what users compare it with, from one run: `make bench`.

    python -m tests.benchmarks.peers          # print
    python -m tests.benchmarks.peers --write  # and put the figures into the repository's pages

Each subject emits the same runs of 31 spans in a process of its own; rounds alternate. Compared is CPU time a span: of
the whole process with all below it, until everything is exported or sealed, and of the calling thread. What counts is
the ratio to the floor, the SDK with a batch processor that exports to nowhere, in the same round; of the rounds, its
median. Then come measures of runbundle alone. Langfuse and Logfire are in an environment of their own in the user's
cache, made when it is missing; while it runs, nothing asks the network: what is sent goes to a receiver here.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from tests.benchmarks import workload as work
from tests.benchmarks.measures import MEASURES
from tests.benchmarks.results import machine, printed, rounded, versions, write
from tests.benchmarks.rounds import Bench, alternate, bench, emitted, progress, run
from tests.benchmarks.subjects import BY_KEY, FLOOR, SUBJECTS, VARIANTS, Subject, Variant
from tests.docs import figures_page

_QUIET = 0.5
"""The load of a machine that does nothing else."""
LONG = 30_000
"""Spans of the one long run."""


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    made = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.peers", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--runs", type=int, default=100, help="runs of each subject in a round")
    made.add_argument("--only", nargs="*", choices=tuple(BY_KEY), metavar="SUBJECT", help=", ".join(BY_KEY))
    made.add_argument("--no-measures", action="store_true", help="leave out the measures of runbundle alone")
    made.add_argument("--write", action="store_true", help="write benchmarks/results/peers.json and what shows it")
    return made


def chosen(only: Sequence[str] | None, *, native: bool) -> list[Subject]:
    """Return the subjects that were asked for and can run here; the floor is always one of them."""
    asked = [subject for subject in SUBJECTS if not only or subject.key in {FLOOR, *only}]
    return [subject for subject in asked if native or not subject.needs_native]


def fixed_us(shorts: Sequence[float], longs: Sequence[float]) -> float:
    """Return the CPU microseconds of a run over what its spans take, from those of runs of one span and of all.

    Both are microseconds a run. A span's share is what the long run has more, over the spans that it has more.
    """
    more = work.spans_of(work.STEPS) - work.spans_of(0)
    return statistics.median(short - (long - short) / more for short, long in zip(shorts, longs, strict=True))


def fixed(on: Bench, subject: Subject, rounds: int, runs: int) -> dict[str, float]:
    """Measure what a run costs beside its spans."""
    found: dict[int, list[float]] = {0: [], work.STEPS: []}
    for _ in range(rounds):
        for steps, each in found.items():
            took = emitted(on, subject, runs, "--steps", steps)
            each.append(took["total_us"] * took["spans"] / took["runs"])
    return {"us": fixed_us(found[0], found[work.STEPS])}


def start(on: Bench, subject: Subject, rounds: int) -> dict[str, float]:
    """Measure import, `configure()` and the first run, over the same of the SDK with a batch processor."""
    pairs = [tuple(emitted(on, each, 1, "--warm", 0) for each in (subject, BY_KEY[FLOOR])) for _ in range(rounds)]
    return {
        "time_s": statistics.median(ours["ready_s"] for ours, _ in pairs),
        "peak_mb": statistics.median(ours["peak_mb"] for ours, _ in pairs),
        "time_ratio": statistics.median(ours["ready_s"] / theirs["ready_s"] for ours, theirs in pairs),
        "memory_ratio": statistics.median(ours["peak_mb"] / theirs["peak_mb"] for ours, theirs in pairs),
    }


def measures_of(on: Bench, variant: Variant, rounds: int, runs: int) -> dict[str, Any]:
    """Take all measures of a variant. Fewer runs than usual shorten them all."""
    subject = BY_KEY[variant.key]
    progress(f"{variant.title}: a run beside its spans")
    found: dict[str, Any] = {"fixed": fixed(on, subject, min(3, rounds), runs)}
    progress(f"{variant.title}: the start")
    found["start"] = start(on, subject, min(3, rounds))
    for name, (_, usual) in MEASURES.items():
        progress(f"{variant.title}: {name}")
        given = ("--variant", variant.key, "--times", min(usual, runs * 10))
        found[name] = run(on, "measures", name, *given, **variant.variables)
    spans = min(LONG, runs * 300)
    progress(f"{variant.title}: a run of {spans} spans")
    found["long"] = long_run(on, variant, spans, min(3, rounds))
    return found


def long_run(on: Bench, variant: Variant, spans: int, rounds: int) -> dict[str, float]:
    """Measure seal and verification of a long run, over what the shell takes for the same bytes; return medians."""
    took: list[dict[str, Any]] = [run(on, "large", spans, "--json", **variant.variables) for _ in range(rounds)]
    found: dict[str, float] = {"spans": spans}
    for step, beside in (("seal", "sha256sum_sort_s"), ("verify", "sha256sum_s")):
        # The shell takes a third of a second: measured once, the same verify was 14 and 37 times as long.
        found[f"{step}_ratio"] = statistics.median(each[step]["s"] / each[beside] for each in took)
        found[f"{step}_mb"] = statistics.median(each[step]["mb"] for each in took)
    return found


def main(given: argparse.Namespace) -> None:
    """Measure, print, and write if that is asked for."""
    progress("the peers' environment is made if it is not there: a minute, 110 MB")
    before = machine()
    if before["load"] > _QUIET:
        progress(f"the machine is busy, with a load of {before['load']:.1f}: figures of wall time will mean little")
    with bench() as on:
        if not on.native:
            said = "the native core is not there and cannot be built: see make native"
            if given.write:
                raise SystemExit(said)
            progress(f"{said}. Its rows are left out")
        rounds = list(alternate(on, chosen(given.only, native=on.native), given.rounds, given.runs, progress))
        variants = [each for each in VARIANTS if not given.no_measures and (on.native or not each.needs_native)]
        measures = {variant.key: measures_of(on, variant, given.rounds, given.runs) for variant in variants}
    progress("")
    found = rounded({
        "machine": before, "versions": versions(), "runs": given.runs, "rounds": rounds, "measures": measures,
    })  # fmt: skip
    print(printed(found))
    if given.write:
        write(found)
        figures_page.write()


if __name__ == "__main__":
    command = parser()
    options = command.parse_args()
    if options.write and (options.only or options.no_measures):
        command.error("--write takes a whole run: neither --only nor --no-measures")
    sys.exit(main(options))
